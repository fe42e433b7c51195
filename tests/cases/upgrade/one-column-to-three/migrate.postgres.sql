ALTER TABLE idn_oauth2_access_token ADD COLUMN tenant_id INT;
ALTER TABLE idn_oauth2_access_token ADD COLUMN user_domain VARCHAR(50);
UPDATE idn_oauth2_access_token SET
    tenant_id = coalesce((SELECT t.um_id FROM um_tenant t WHERE t.um_domain_name = split_part(authz_user, '@', 2)), -1234),
    user_domain = split_part(authz_user, '/', 1),
    authz_user = split_part(split_part(authz_user, '/', 2), '@', 1);
ALTER TABLE idn_oauth2_access_token ALTER COLUMN tenant_id SET NOT NULL;
