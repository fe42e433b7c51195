INSERT INTO um_user_role VALUES (10, 'jim', 'admin', 8), (11, 'kim', 'reader', 1), (12, 'lee', 'reader', 99);
INSERT INTO um_tenant VALUES (8, 'eight.com', NULL);
UPDATE um_user_role SET um_user_name = 'anna', um_tenant_id = 2 WHERE um_id = 1;
DELETE FROM um_user_role WHERE um_id = 5;
DELETE FROM um_tenant WHERE um_id = 4;
UPDATE um_tenant SET um_id = 13 WHERE um_id = 3;
UPDATE um_user_role SET um_tenant_id = 13 WHERE um_tenant_id = 3;
