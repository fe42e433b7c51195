INSERT INTO idn_oauth2_access_token VALUES ('t12', 'hal', 'x y'), ('t13', 'hal', 'x x');
UPDATE idn_oauth2_access_token SET token_scope = NULL WHERE access_token = 't1';
UPDATE idn_oauth2_access_token SET token_scope = 'openid' WHERE access_token = 't3';
UPDATE idn_oauth2_access_token SET token_scope = 'openid address' WHERE access_token = 't10';
UPDATE idn_oauth2_access_token SET authz_user = 'cyd' WHERE access_token = 't5';
UPDATE idn_oauth2_access_token SET access_token = 't99', token_scope = 'a d e' WHERE access_token = 't9';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't4';
INSERT INTO idn_oauth2_access_token VALUES ('t8', 'eve', 'again');
