INSERT INTO idn_oauth2_access_token VALUES ('t10', 'gus', 'openid profile'), ('t11', 'gus', NULL);
UPDATE idn_oauth2_access_token SET token_scope = 'phone email' WHERE access_token = 't4';
UPDATE idn_oauth2_access_token SET access_token = 't66' WHERE access_token = 't6';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't7';
