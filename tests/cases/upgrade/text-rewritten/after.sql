INSERT INTO reg_path VALUES (8, '/fay-at-six.com'), (9, '/no/rewriting');
INSERT INTO um_role_permission VALUES ('reader', '/fay-at-six.com', 1);
UPDATE reg_path SET path_value = '/SYSTEM' WHERE path_id = 3;
UPDATE um_role_permission SET is_allowed = 1 WHERE resource_id = '/bob-at-two.com';
UPDATE um_role_permission SET role_name = 'writer-at-one' WHERE role_name = 'reader' AND resource_id = '/anna-at-one.com';
DELETE FROM um_role_permission WHERE resource_id = '/cid-at-three.com';
DELETE FROM reg_path WHERE path_id = 4;
UPDATE reg_property SET id = 14, content = 'y-at-x' WHERE id = 4;
