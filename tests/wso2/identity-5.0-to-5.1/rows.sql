INSERT INTO um_tenant (um_id, um_domain_name) VALUES (1, 'wayne.example'), (2, 'acme.example');
INSERT INTO idn_oauth_consumer_apps VALUES
    ('ck-portal', 's1', 'admin', -1234, 'Portal'),
    ('ck-mobile', 's2', 'CORP/bruce', 1, 'Mobile'),
    ('ck-old', 's3', 'CORP/selina', 1, 'Old');
INSERT INTO idn_oauth2_access_token
    (access_token, refresh_token, consumer_key, authz_user, user_type, validity_period, token_scope, token_state) VALUES
    ('t1', 'r1', 'ck-portal', 'admin@carbon.super', 'APPLICATION_USER', 3600000, 'openid', 'ACTIVE'),
    ('t2', 'r2', 'ck-mobile', 'CORP/bruce@wayne.example', 'APPLICATION_USER', 3600000, 'profile openid', 'ACTIVE'),
    ('t3', 'r3', 'ck-mobile', 'bruce@mail.example@wayne.example', 'APPLICATION_USER', 3600000, 'email openid profile', 'ACTIVE'),
    ('t4', 'r4', 'ck-old', 'corp/selina@wayne.example', 'APPLICATION_USER', -1, 'default', 'ACTIVE'),
    ('t5', 'r5', 'ck-portal', 'admin', 'APPLICATION', 3600000, NULL, 'ACTIVE'),
    ('t6', 'r6', 'ck-portal', 'admin@carbon.super', 'APPLICATION_USER', 3600000, 'openid', 'REVOKED'),
    ('t7', 'r7', 'ck-portal', 'joker @acme.example', 'APPLICATION_USER', 3600000, 'openid', 'ACTIVE');
INSERT INTO idn_oauth2_authorization_code (authorization_code, consumer_key, scope, authz_user, validity_period) VALUES
    ('c1', 'ck-portal', 'openid', 'admin@carbon.super', 300000),
    ('c2', 'ck-mobile', 'openid', 'CORP/bruce@wayne.example', 300000);
INSERT INTO idn_oauth1a_access_token VALUES ('o1', 'ck-portal', 'admin'), ('o2', 'ck-old', 'admin');
INSERT INTO idn_associated_id (id, idp_user_id, tenant_id, user_name) VALUES
    (1, 'g-1', -1234, 'admin'), (2, 'g-2', 1, 'CORP/bruce');
INSERT INTO idn_auth_session_store (session_id, session_type, session_object) VALUES ('s1', 'AppAuth', 'x');
