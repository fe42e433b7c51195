INSERT INTO um_user VALUES (6, 'fay'), (4, 'dan again');
INSERT INTO um_user_role VALUES ('fay', 'admin', 'f');
DELETE FROM um_group WHERE um_id = 1;
UPDATE um_user SET um_name = 'anna' WHERE um_id = 1;
UPDATE um_user_role SET note = 'bb' WHERE user_name = 'bob';
UPDATE um_group_role SET role_name = 'reader' WHERE group_name = 'robots';
DELETE FROM um_user_role WHERE user_name = 'ann';
INSERT INTO um_group_role VALUES ('ann', 'admin');
