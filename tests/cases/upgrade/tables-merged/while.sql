INSERT INTO um_group VALUES (6, 'owners');
INSERT INTO um_group_role VALUES ('owners', 'admin');
UPDATE um_user_role SET role_name = 'writer' WHERE user_name = 'cid';
UPDATE um_user SET um_id = 13 WHERE um_id = 3;
DELETE FROM um_user WHERE um_id = 4;
DELETE FROM um_group_role WHERE group_name = 'ann';
