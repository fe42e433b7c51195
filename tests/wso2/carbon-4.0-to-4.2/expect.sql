-- Each gives 0: what is wrong, counted.
SELECT count(*) - 2 FROM um_domain
SELECT count(*) - 1 FROM um_system_user
SELECT count(*) - 2 FROM um_tenant
SELECT count(*) - 2 FROM um_user WHERE um_user_name IN ('admin', 'batman')
SELECT count(*) - 2 FROM um_user
SELECT count(*) - 2 FROM um_user_role
SELECT count(*) - 3 FROM um_hybrid_role WHERE um_shared = 0
SELECT count(*) - 3 FROM reg_resource
SELECT count(*) - 2 FROM reg_resource_tag WHERE reg_tag_id = 1
SELECT count(*) - 2 FROM reg_resource_tag WHERE reg_tag_id = 2
