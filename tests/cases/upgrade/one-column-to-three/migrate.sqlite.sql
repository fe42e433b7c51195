ALTER TABLE idn_oauth2_access_token ADD COLUMN tenant_id INT NOT NULL DEFAULT 0;
ALTER TABLE idn_oauth2_access_token ADD COLUMN user_domain VARCHAR(50);
UPDATE idn_oauth2_access_token SET
    tenant_id = coalesce((SELECT t.um_id FROM um_tenant t
        WHERE t.um_domain_name = substr(authz_user, instr(authz_user, '@') + 1)), -1234),
    user_domain = substr(authz_user, 1, instr(authz_user, '/') - 1),
    authz_user = substr(authz_user, instr(authz_user, '/') + 1, instr(authz_user, '@') - instr(authz_user, '/') - 1);
