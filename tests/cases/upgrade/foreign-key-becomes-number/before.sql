INSERT INTO idn_oauth_consumer_apps VALUES ('k6', 'App 6', NULL);
INSERT INTO idn_oauth2_authorization_code VALUES ('c8', 'k6', 'openid');
UPDATE idn_oauth2_authorization_code SET consumer_key = 'k2' WHERE authorization_code = 'c2';
DELETE FROM idn_oauth2_authorization_code WHERE authorization_code = 'c4';
