INSERT INTO idn_oauth_consumer_apps (id, consumer_key, username, user_domain) VALUES (1, 'ck-1', 'admin', 'PRIMARY'), (2, 'ck-2', 'bruce', 'CORP');
INSERT INTO idn_oauth2_access_token (token_id, access_token, consumer_key_id, authz_user, tenant_id, user_domain,
    time_created, refresh_token_time_created, validity_period, refresh_token_validity_period, token_state) VALUES
    ('i1', 'live', 1, 'admin', -1234, 'PRIMARY', {now}, {now}, 3600000, 86400000, 'ACTIVE'),
    ('i2', 'for ever', 1, 'admin', -1234, 'PRIMARY', '2001-01-01 00:00:00', '2001-01-01 00:00:00', -1, -1, 'ACTIVE'),
    ('i3', 'refreshable', 2, 'bruce', 1, 'CORP', '2001-01-01 00:00:00', {now}, 3600000, 86400000, 'ACTIVE'),
    ('i4', 'long over', 2, 'bruce', 1, 'CORP', '2001-01-01 00:00:00', '2001-01-01 00:00:00', 3600000, 86400000, 'ACTIVE'),
    ('i5', 'revoked', 2, 'bruce', 1, 'CORP', {now}, {now}, 3600000, 86400000, 'REVOKED'),
    ('i6', 'to be changed', 2, 'bruce', 1, 'CORP', {now}, {now}, 3600000, 86400000, 'ACTIVE');
INSERT INTO idn_oauth2_authorization_code (code_id, authorization_code, consumer_key_id, time_created, validity_period, state, token_id) VALUES
    ('d1', 'new', 1, {now}, 300000, 'ACTIVE', NULL),
    ('d2', 'used', 1, '2001-01-01 00:00:00', 300000, 'INACTIVE', 'i1'),
    ('d3', 'over', 1, '2001-01-01 00:00:00', 300000, 'ACTIVE', NULL);
INSERT INTO idn_oauth2_scope (scope_id, name, display_name, tenant_id) VALUES (1, 'read', 'Read', -1234), (2, 'write', 'Write', -1234);
INSERT INTO idn_oauth2_scope_binding VALUES (1, 'Internal/a'), (1, 'Internal/b');
INSERT INTO idp (id, tenant_id, name) VALUES (1, -1234, 'LOCAL');
INSERT INTO sp_app (id, tenant_id, app_name) VALUES (1, -1234, 'portal');
INSERT INTO idn_auth_session_store (session_id, session_type, operation, session_object, time_created) VALUES
    ('s1', 'AppAuth', 'STORE', 'x', 4000000000000000000), ('s2', 'AppAuth', 'STORE', 'x', 978307200000000000);
