INSERT INTO um_user VALUES (5, 'eve');
UPDATE um_user SET um_user_name = 'anna' WHERE um_id = 1;
DELETE FROM idn_oauth2_scope WHERE name = 'yours';
