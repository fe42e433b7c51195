ALTER TABLE idn_oauth_consumer_apps DROP CONSTRAINT idn_oauth_consumer_apps_pkey;
ALTER TABLE idn_oauth_consumer_apps ADD COLUMN id SERIAL PRIMARY KEY;
ALTER TABLE idn_oauth_consumer_apps ADD CONSTRAINT consumer_key_constraint UNIQUE (consumer_key);
ALTER TABLE idn_oauth2_access_token ADD COLUMN consumer_key_id INT;
UPDATE idn_oauth2_access_token SET consumer_key_id =
    (SELECT a.id FROM idn_oauth_consumer_apps a WHERE a.consumer_key = idn_oauth2_access_token.consumer_key);
ALTER TABLE idn_oauth2_access_token DROP COLUMN consumer_key;
ALTER TABLE idn_oauth2_access_token ADD COLUMN token_id VARCHAR(64);
UPDATE idn_oauth2_access_token SET token_id = {uuid};
ALTER TABLE idn_oauth2_access_token DROP CONSTRAINT idn_oauth2_access_token_pkey;
ALTER TABLE idn_oauth2_access_token ADD PRIMARY KEY (token_id);
ALTER TABLE idn_oauth2_access_token ADD CONSTRAINT con_app_key UNIQUE (access_token);
