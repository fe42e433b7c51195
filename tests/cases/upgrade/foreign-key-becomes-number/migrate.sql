CREATE TABLE apps_new (
    id {number}, consumer_key VARCHAR(60) NOT NULL UNIQUE, app_name VARCHAR(60), callback_url VARCHAR(200)
);
INSERT INTO apps_new (consumer_key, app_name, callback_url)
    SELECT consumer_key, app_name, callback_url FROM idn_oauth_consumer_apps ORDER BY consumer_key DESC;
CREATE TABLE code_new (
    authorization_code VARCHAR(60) NOT NULL PRIMARY KEY, consumer_key_id INT NOT NULL, scope VARCHAR(60),
    FOREIGN KEY (consumer_key_id) REFERENCES apps_new (id) ON DELETE CASCADE
);
INSERT INTO code_new (authorization_code, consumer_key_id, scope)
    SELECT c.authorization_code, a.id, c.scope
    FROM idn_oauth2_authorization_code c JOIN apps_new a ON a.consumer_key = c.consumer_key;
DROP TABLE idn_oauth2_authorization_code;
DROP TABLE idn_oauth_consumer_apps;
ALTER TABLE apps_new RENAME TO idn_oauth_consumer_apps;
ALTER TABLE code_new RENAME TO idn_oauth2_authorization_code;
