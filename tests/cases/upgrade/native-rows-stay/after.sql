INSERT INTO um_user VALUES (7, 'gus'), (999, 'hal'), (1002, 'ida');
INSERT INTO idn_oauth2_scope VALUES ('theirs', 'Theirs');
UPDATE um_user SET um_user_name = 'cyd' WHERE um_id = 3;
DELETE FROM um_user WHERE um_id = 4;
