INSERT INTO um_user SELECT 1000, 'wso2.system.user' FROM (SELECT 1 AS one) o WHERE NOT EXISTS (SELECT 1 FROM um_user WHERE um_id = 1000);
INSERT INTO um_user SELECT 1001, 'wso2.other.user' FROM (SELECT 1 AS one) o WHERE NOT EXISTS (SELECT 1 FROM um_user WHERE um_id = 1001);
