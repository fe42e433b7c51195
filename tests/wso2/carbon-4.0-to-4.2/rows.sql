INSERT INTO um_tenant (um_id, um_domain_name) VALUES (1, 'wayne.example');
INSERT INTO um_user VALUES (1, 'admin', -1234), (2, 'bruce', 1);
INSERT INTO um_hybrid_role VALUES (1, 'everyone', -1234), (1, 'everyone', 1);
INSERT INTO um_user_role VALUES (1, 1, 1, -1234), (1, 1, 2, 1);
INSERT INTO reg_path VALUES (1, '/', -1234), (2, '/_system', -1234);
INSERT INTO reg_resource VALUES (1, 1, -1234), (2, 2, -1234);
INSERT INTO reg_resource_tag VALUES (1, 1, NULL, NULL, -1234), (1, 1, NULL, NULL, -1234);
