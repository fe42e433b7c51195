INSERT INTO idp VALUES (106, 2, 'twitter');
INSERT INTO idn_associated_id VALUES (9, 'twitter', 2, 'gus');
UPDATE idn_associated_id SET id = 44 WHERE id = 4;
DELETE FROM idn_associated_id WHERE id = 6;
DELETE FROM idp WHERE id = 105;
