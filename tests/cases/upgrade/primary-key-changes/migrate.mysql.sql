ALTER TABLE idn_oauth_consumer_apps DROP PRIMARY KEY, ADD COLUMN id INT NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST,
    ADD UNIQUE KEY consumer_key_constraint (consumer_key);
ALTER TABLE idn_oauth2_access_token ADD COLUMN consumer_key_id INT, ADD COLUMN token_id VARCHAR(64);
UPDATE idn_oauth2_access_token SET consumer_key_id =
    (SELECT a.id FROM idn_oauth_consumer_apps a WHERE a.consumer_key = idn_oauth2_access_token.consumer_key);
UPDATE idn_oauth2_access_token SET token_id = {uuid};
ALTER TABLE idn_oauth2_access_token DROP PRIMARY KEY, DROP COLUMN consumer_key, ADD PRIMARY KEY (token_id),
    ADD UNIQUE KEY con_app_key (access_token);
