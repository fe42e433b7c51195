SELECT count(*) = 0 FROM um_role_permission WHERE replace(resource_id, '-at-', '') <> resource_id
SELECT count(*) = 2 FROM um_role_permission WHERE resource_id = '/anna-AT-one.com'
SELECT content = 'eve-AT-five.com' FROM reg_property WHERE id = 2
