INSERT INTO um_user VALUES (5, 'eve');
INSERT INTO um_user_role VALUES ('eve', 'reader', NULL);
UPDATE um_group SET um_name = 'visitors' WHERE um_id = 2;
DELETE FROM um_group_role WHERE group_name = 'guests';
