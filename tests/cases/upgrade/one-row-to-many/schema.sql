CREATE TABLE idn_oauth2_access_token (
    access_token VARCHAR(60) NOT NULL PRIMARY KEY, authz_user VARCHAR(60), token_scope VARCHAR(200)
);
