INSERT INTO reg_path VALUES (6, '/cid-at-three.com');
INSERT INTO um_role_permission VALUES ('admin', '/cid-at-three.com', 1);
UPDATE um_role_permission SET is_allowed = 0 WHERE resource_id = '/bob-at-two.com';
DELETE FROM reg_property WHERE id = 3;
