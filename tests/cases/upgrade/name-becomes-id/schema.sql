CREATE TABLE idp (id INT NOT NULL PRIMARY KEY, tenant_id INT NOT NULL, name VARCHAR(60) NOT NULL, UNIQUE (name, tenant_id));
CREATE TABLE idn_associated_id (
    id INT NOT NULL PRIMARY KEY, idp_id VARCHAR(60) DEFAULT '' NOT NULL, tenant_id INT DEFAULT -1 NOT NULL,
    idp_user_id VARCHAR(60) NOT NULL, UNIQUE (idp_user_id, tenant_id, idp_id)
);
