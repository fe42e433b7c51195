INSERT INTO idn_oauth2_access_token VALUES ('t10', 'k6', 'ACTIVE'), ('t11', 'k5', 'ACTIVE'), ('t12', 'k1', 'EXPIRED');
INSERT INTO idn_oauth_consumer_apps VALUES ('k6', 'App 6');
UPDATE idn_oauth2_access_token SET token_state = 'EXPIRED' WHERE access_token IN ('t8', 't9', 't4');
UPDATE idn_oauth2_access_token SET consumer_key = 'k1' WHERE access_token = 't6';
UPDATE idn_oauth_consumer_apps SET consumer_key = 'k33', app_name = 'App 33' WHERE consumer_key = 'k3';
UPDATE idn_oauth2_access_token SET access_token = 't11 new' WHERE access_token = 't11';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't2';
