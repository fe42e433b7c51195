INSERT INTO um_tenant (um_id, um_domain_name) VALUES (4, 'wakanda.example');
INSERT INTO idn_oauth_consumer_apps VALUES ('ck-after', 's6', 'corp/shuri', 4, 'After');
INSERT INTO idn_oauth2_access_token
    (access_token, refresh_token, consumer_key, authz_user, user_type, validity_period, token_scope) VALUES
    ('t30', 'r30', 'ck-after', 'corp/shuri@wakanda.example', 'APPLICATION_USER', 3600000, 'a b c'),
    ('t31', 'r31', 'ck-after', 'nobody@nowhere.example', 'APPLICATION_USER', 3600000, 'x'),
    ('t32', 'r32', 'ck-portal', 'admin', 'APPLICATION', 3600000, NULL);
DELETE FROM idn_oauth2_access_token WHERE access_token = 't31';
UPDATE idn_oauth2_access_token SET token_scope = 'email profile' WHERE access_token = 't2';
UPDATE idn_oauth2_access_token SET token_state = 'REVOKED' WHERE access_token = 't3';
UPDATE idn_oauth_consumer_apps SET username = 'CORP/alfred', consumer_secret = 'new' WHERE consumer_key = 'ck-mobile';
UPDATE idn_associated_id SET user_name = 'LDAP/bruce' WHERE id = 2;
INSERT INTO idn_associated_id (id, idp_user_id, tenant_id, user_name) VALUES (3, 'g-3', 3, 'tony');
INSERT INTO idn_oauth1a_access_token VALUES ('o3', 'ck-after', 'shuri');
INSERT INTO idn_auth_session_store (session_id, session_type, session_object) VALUES ('s2', 'AppAuth', 'y');
