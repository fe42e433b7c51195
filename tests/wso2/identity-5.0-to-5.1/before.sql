INSERT INTO idn_oauth_consumer_apps VALUES ('ck-before', 's4', 'LDAP/lucius', 1, 'Before');
INSERT INTO idn_oauth2_access_token
    (access_token, refresh_token, consumer_key, authz_user, user_type, validity_period, token_scope) VALUES
    ('t10', 'r10', 'ck-before', 'LDAP/lucius@wayne.example', 'APPLICATION_USER', 3600000, 'openid');
DELETE FROM idn_oauth2_authorization_code WHERE authorization_code = 'c1';
