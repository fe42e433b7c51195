INSERT INTO idn_oauth2_scope VALUES (7, 'internal', 'Internal', NULL, 3);
INSERT INTO idn_oauth2_resource_scope VALUES ('internal', 0, 'Internal'), ('internal', 3, NULL);
UPDATE idn_oauth2_scope SET tenant_id = 0 WHERE scope_id = 3;
UPDATE idn_oauth2_resource_scope SET tenant_id = 4 WHERE scope_key = 'email' AND tenant_id = 0;
DELETE FROM idn_oauth2_scope WHERE scope_id = 5;
