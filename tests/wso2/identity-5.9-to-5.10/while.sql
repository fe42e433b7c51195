INSERT INTO idn_oauth2_access_token (token_id, access_token, consumer_key_id, authz_user, tenant_id, user_domain,
    time_created, refresh_token_time_created, validity_period, refresh_token_validity_period) VALUES
    ('i10', 'while', 1, 'admin', -1234, 'PRIMARY', {now}, {now}, 3600000, 86400000);
INSERT INTO idp (id, tenant_id, name) VALUES (2, -1234, 'google');
INSERT INTO idn_oauth2_scope_binding VALUES (2, 'Internal/c');
