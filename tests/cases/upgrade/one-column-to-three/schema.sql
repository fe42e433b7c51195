CREATE TABLE um_tenant (um_id INT NOT NULL PRIMARY KEY, um_domain_name VARCHAR(60) NOT NULL UNIQUE);
CREATE TABLE idn_oauth2_access_token (
    access_token VARCHAR(60) NOT NULL PRIMARY KEY, authz_user VARCHAR(100) NOT NULL, user_type VARCHAR(20)
);
