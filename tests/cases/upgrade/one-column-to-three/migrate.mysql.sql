ALTER TABLE idn_oauth2_access_token ADD COLUMN tenant_id INT, ADD COLUMN user_domain VARCHAR(50);
UPDATE idn_oauth2_access_token SET
    tenant_id = coalesce((SELECT t.um_id FROM um_tenant t WHERE t.um_domain_name = substring_index(authz_user, '@', -1)), -1234),
    user_domain = substring_index(authz_user, '/', 1),
    authz_user = substring_index(substring_index(authz_user, '@', 1), '/', -1);
ALTER TABLE idn_oauth2_access_token MODIFY tenant_id INT NOT NULL;
