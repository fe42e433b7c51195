INSERT INTO idn_oauth2_scope VALUES (8, 'last', NULL, 'd8', 0);
INSERT INTO idn_oauth2_resource_scope VALUES ('last', 0, NULL);
UPDATE idn_oauth2_scope SET scope_key = name, name = 'shown' WHERE scope_id = 1;
UPDATE idn_oauth2_resource_scope SET name = 'Renamed' WHERE scope_key = 'openid' AND tenant_id = 0;
UPDATE idn_oauth2_resource_scope SET scope_key = 'appliance' WHERE scope_key = 'device';
UPDATE idn_oauth2_resource_scope SET tenant_id = 0 WHERE scope_key = 'email' AND tenant_id = 2;
DELETE FROM idn_oauth2_resource_scope WHERE scope_key = 'internal' AND tenant_id = 0;
UPDATE idn_oauth2_scope SET scope_id = 14 WHERE scope_id = 4;
