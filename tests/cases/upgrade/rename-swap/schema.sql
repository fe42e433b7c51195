CREATE TABLE idn_oauth2_scope (
    scope_id INT NOT NULL PRIMARY KEY, scope_key VARCHAR(60) NOT NULL, name VARCHAR(60), description VARCHAR(60), tenant_id INT DEFAULT 0 NOT NULL
);
CREATE TABLE idn_oauth2_resource_scope (
    scope_key VARCHAR(60) NOT NULL, tenant_id INT NOT NULL, name VARCHAR(60), PRIMARY KEY (scope_key, tenant_id)
);
