INSERT INTO um_user VALUES (1000, 'newcomer'), (5, 'eve');
DELETE FROM um_user WHERE um_id = 2;
