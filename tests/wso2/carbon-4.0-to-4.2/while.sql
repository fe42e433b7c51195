INSERT INTO reg_path VALUES (3, '/_system/config', -1234);
INSERT INTO reg_resource VALUES (3, 3, -1234);
INSERT INTO reg_resource_tag VALUES (2, 3, NULL, NULL, -1234);
DELETE FROM um_user_role WHERE um_id = 2;
DELETE FROM um_user WHERE um_id = 3;
