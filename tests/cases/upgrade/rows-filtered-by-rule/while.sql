INSERT INTO idn_oauth2_access_token VALUES ('t11', 'EXPIRED', '2037-01-01 00:00:00', 'j'), ('t12', 'ACTIVE', '2037-01-01 00:00:00', 'k');
UPDATE idn_oauth2_access_token SET note = 'not yet' WHERE access_token = 't2';
UPDATE idn_oauth2_access_token SET access_token = 't 6' WHERE access_token = 't6';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't7';
