INSERT INTO reg_path VALUES (7, '/dan-at-four.com');
INSERT INTO um_role_permission VALUES ('admin-at-four', '/dan-at-four.com', 1);
UPDATE reg_path SET path_value = '/home/anna-at-one.com' WHERE path_id = 1;
UPDATE um_role_permission SET resource_id = '/anna-at-one.com' WHERE resource_id = '/ann-at-one.com';
DELETE FROM um_role_permission WHERE role_name = 'reader-at-one';
UPDATE reg_property SET content = 'eve-at-five.com' WHERE id = 2;
