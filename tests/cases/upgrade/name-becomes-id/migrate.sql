CREATE TABLE associated_new (
    id INT NOT NULL PRIMARY KEY, idp_id INT NOT NULL, tenant_id INT DEFAULT -1 NOT NULL,
    idp_user_id VARCHAR(60) NOT NULL, UNIQUE (idp_user_id, tenant_id, idp_id),
    FOREIGN KEY (idp_id) REFERENCES idp (id)
);
INSERT INTO associated_new SELECT a.id, i.id, a.tenant_id, a.idp_user_id
    FROM idn_associated_id a JOIN idp i ON i.name = a.idp_id AND i.tenant_id = a.tenant_id;
DROP TABLE idn_associated_id;
ALTER TABLE associated_new RENAME TO idn_associated_id;
