INSERT INTO idn_oauth2_access_token VALUES ('t13', 'ACTIVE', '2037-01-01 00:00:00', 'l'), ('t14', 'ACTIVE', '2020-01-01 00:00:00', 'm'), ('t 15', 'ACTIVE', '2037-01-01 00:00:00', 'n');
UPDATE idn_oauth2_access_token SET token_state = 'ACTIVE' WHERE access_token = 't11';
UPDATE idn_oauth2_access_token SET token_state = NULL WHERE access_token = 't8';
UPDATE idn_oauth2_access_token SET access_token = 't33' WHERE access_token = 't 3';
UPDATE idn_oauth2_access_token SET expires = '2037-01-01 00:00:00' WHERE access_token = 't5';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't9';
INSERT INTO idn_oauth2_access_token VALUES ('t7', 'ACTIVE', '2037-06-01 00:00:00', 'again');
