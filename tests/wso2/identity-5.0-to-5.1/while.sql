INSERT INTO um_tenant (um_id, um_domain_name) VALUES (3, 'stark.example');
INSERT INTO idn_oauth_consumer_apps VALUES ('ck-while', 's5', 'tony', 3, 'While');
INSERT INTO idn_oauth2_access_token
    (access_token, refresh_token, consumer_key, authz_user, user_type, validity_period, token_scope) VALUES
    ('t20', 'r20', 'ck-while', 'tony@stark.example', 'APPLICATION_USER', 3600000, 'profile openid'),
    ('t21', 'r21', 'ck-while', 'pepper @stark.example', 'APPLICATION_USER', 3600000, 'openid');
UPDATE idn_oauth2_access_token SET token_state = 'INACTIVE', token_state_id = 'x' WHERE access_token = 't1';
DELETE FROM idn_oauth_consumer_apps WHERE consumer_key = 'ck-old';
INSERT INTO idn_oauth2_authorization_code (authorization_code, consumer_key, scope, authz_user, validity_period) VALUES
    ('c3', 'ck-while', 'openid', 'tony@stark.example', 300000);
