INSERT INTO idn_oauth2_access_token VALUES ('t8', 'k1', 'ACTIVE');
UPDATE idn_oauth2_access_token SET token_state = 'EXPIRED' WHERE access_token = 't1';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't5';
