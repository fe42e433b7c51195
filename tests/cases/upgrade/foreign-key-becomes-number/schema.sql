CREATE TABLE idn_oauth_consumer_apps (
    consumer_key VARCHAR(60) NOT NULL PRIMARY KEY, app_name VARCHAR(60), callback_url VARCHAR(200)
);
CREATE TABLE idn_oauth2_authorization_code (
    authorization_code VARCHAR(60) NOT NULL PRIMARY KEY, consumer_key VARCHAR(60) NOT NULL, scope VARCHAR(60),
    FOREIGN KEY (consumer_key) REFERENCES idn_oauth_consumer_apps (consumer_key) ON DELETE CASCADE ON UPDATE CASCADE
);
