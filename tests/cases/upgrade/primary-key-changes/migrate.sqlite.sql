CREATE TABLE apps_new (id {number}, consumer_key VARCHAR(60) NOT NULL UNIQUE, app_name VARCHAR(60));
INSERT INTO apps_new (consumer_key, app_name) SELECT consumer_key, app_name FROM idn_oauth_consumer_apps;
CREATE TABLE token_new (
    token_id VARCHAR(64) NOT NULL PRIMARY KEY, access_token VARCHAR(60) NOT NULL UNIQUE, consumer_key_id INT,
    token_state VARCHAR(20) NOT NULL
);
INSERT INTO token_new SELECT {uuid}, t.access_token, a.id, t.token_state
    FROM idn_oauth2_access_token t LEFT JOIN apps_new a ON a.consumer_key = t.consumer_key;
DROP TABLE idn_oauth2_access_token;
DROP TABLE idn_oauth_consumer_apps;
ALTER TABLE apps_new RENAME TO idn_oauth_consumer_apps;
ALTER TABLE token_new RENAME TO idn_oauth2_access_token;
