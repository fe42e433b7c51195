INSERT INTO idn_oauth2_access_token VALUES ('t9', 'fay', 'a b c d');
UPDATE idn_oauth2_access_token SET token_scope = 'openid phone' WHERE access_token = 't2';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't8';
