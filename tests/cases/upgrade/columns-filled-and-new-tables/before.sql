INSERT INTO um_tenant VALUES (6, 'six.com', NULL);
INSERT INTO um_user_role VALUES (8, 'hal', 'admin', 6);
UPDATE um_user_role SET um_user_name = 'robert' WHERE um_id = 2;
DELETE FROM um_user_role WHERE um_id = 3;
