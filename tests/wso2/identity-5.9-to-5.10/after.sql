INSERT INTO idn_oauth2_access_token (token_id, access_token, consumer_key_id, authz_user, tenant_id, user_domain,
    time_created, refresh_token_time_created, validity_period, refresh_token_validity_period) VALUES
    ('i20', 'after', 1, 'admin', -1234, 'PRIMARY', {now}, {now}, 3600000, 86400000);
INSERT INTO sp_app (id, tenant_id, app_name) VALUES (2, -1234, 'mobile');
UPDATE sp_app SET app_name = 'portal 2' WHERE id = 1;
INSERT INTO idn_oauth2_scope (scope_id, name, display_name, tenant_id) VALUES (3, 'admin', 'Admin', -1234);
DELETE FROM idn_oauth2_scope_binding WHERE scope_binding = 'Internal/a';
INSERT INTO idn_auth_session_store (session_id, session_type, operation, session_object, time_created) VALUES
    ('s1', 'AppAuth', 'DELETE', NULL, 978307200000000000), ('s3', 'AppAuth', 'STORE', 'x', 4000000000000000000);
