INSERT INTO idn_oauth2_scope VALUES (6, 'device', 'Device', NULL, 0);
INSERT INTO idn_oauth2_resource_scope VALUES ('device', 0, 'Device');
UPDATE idn_oauth2_scope SET name = 'E-mail' WHERE scope_id = 2;
DELETE FROM idn_oauth2_resource_scope WHERE scope_key = 'phone';
