INSERT INTO um_tenant (um_id, um_domain_name) VALUES (2, 'acme.example');
UPDATE um_user SET um_user_name = 'batman' WHERE um_id = 2;
INSERT INTO um_hybrid_role VALUES (2, 'sales', 2);
INSERT INTO reg_resource_tag VALUES (2, 3, NULL, NULL, -1234);
