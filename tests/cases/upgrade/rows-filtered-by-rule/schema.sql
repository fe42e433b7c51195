CREATE TABLE idn_oauth2_access_token (
    access_token VARCHAR(60) NOT NULL PRIMARY KEY, token_state VARCHAR(20), expires TIMESTAMP NULL, note VARCHAR(60)
);
