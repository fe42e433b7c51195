ALTER TABLE idn_oauth2_scope RENAME COLUMN name TO display_name;
ALTER TABLE idn_oauth2_scope RENAME COLUMN scope_key TO name;
UPDATE idn_oauth2_scope SET tenant_id = -1 WHERE tenant_id = 0;
ALTER TABLE idn_oauth2_resource_scope RENAME COLUMN name TO display_name;
ALTER TABLE idn_oauth2_resource_scope RENAME COLUMN scope_key TO name;
UPDATE idn_oauth2_resource_scope SET tenant_id = -1 WHERE tenant_id = 0;
