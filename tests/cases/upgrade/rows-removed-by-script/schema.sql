CREATE TABLE reg_association (id INT NOT NULL PRIMARY KEY, path VARCHAR(60) NOT NULL, note VARCHAR(60));
CREATE TABLE idn_oauth2_access_token (access_token VARCHAR(60) NOT NULL PRIMARY KEY, token_state VARCHAR(20));
