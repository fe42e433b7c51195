INSERT INTO idn_oauth_consumer_apps VALUES ('k5', 'App 5');
INSERT INTO idn_oauth2_access_token VALUES ('t9', 'k5', 'ACTIVE');
UPDATE idn_oauth2_access_token SET token_state = 'REVOKED' WHERE access_token = 't2';
UPDATE idn_oauth2_access_token SET access_token = 't33' WHERE access_token = 't3';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't7';
DELETE FROM idn_oauth_consumer_apps WHERE consumer_key = 'k4';
