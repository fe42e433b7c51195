INSERT INTO reg_association VALUES (8, '/e', 'eight');
UPDATE reg_association SET note = 'seven' WHERE id = 7;
INSERT INTO idn_oauth2_access_token VALUES ('t 6', 'ACTIVE'), ('t7', 'ACTIVE');
