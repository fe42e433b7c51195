CREATE TABLE minted AS SELECT token_id, access_token FROM idn_oauth2_access_token;
