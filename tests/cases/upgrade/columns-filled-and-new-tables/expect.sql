SELECT count(*) = 1 FROM um_system_user
SELECT count(*) = 2 FROM um_domain WHERE um_tenant_id = -1234
SELECT count(*) = 0 FROM um_domain WHERE um_tenant_id IN (3, 4, 5)
SELECT count(*) = 1 FROM um_user_role WHERE um_domain_id IS NULL
