INSERT INTO um_user VALUES (6, 'fay');
UPDATE idn_oauth2_scope SET name = 'ours' WHERE name = 'mine';
DELETE FROM um_user WHERE um_id = 2;
