CREATE TABLE idn_oauth_consumer_apps (consumer_key VARCHAR(60) NOT NULL PRIMARY KEY, app_name VARCHAR(60));
CREATE TABLE idn_oauth2_access_token (
    access_token VARCHAR(60) NOT NULL PRIMARY KEY, consumer_key VARCHAR(60) NOT NULL, token_state VARCHAR(20) NOT NULL
);
