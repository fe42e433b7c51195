INSERT INTO idn_oauth_consumer_apps VALUES ('k7', 'App 7', 'https://seven');
INSERT INTO idn_oauth2_authorization_code VALUES ('c9', 'k7', NULL);
UPDATE idn_oauth_consumer_apps SET app_name = 'Application 1' WHERE consumer_key = 'k1';
UPDATE idn_oauth2_authorization_code SET authorization_code = 'c33' WHERE authorization_code = 'c3';
DELETE FROM idn_oauth2_authorization_code WHERE authorization_code = 'c7';
DELETE FROM idn_oauth_consumer_apps WHERE consumer_key = 'k5';
