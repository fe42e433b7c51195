INSERT INTO idn_oauth_consumer_apps VALUES ('k1', 'App 1', 'https://one'), ('k2', 'App 2', NULL),
    ('k3', 'App 3', 'https://three'), ('k4', 'App 4', 'https://four'), ('k5', NULL, 'https://five');
INSERT INTO idn_oauth2_authorization_code VALUES ('c1', 'k1', 'openid'), ('c2', 'k1', NULL), ('c3', 'k2', 'openid'),
    ('c4', 'k3', 'email'), ('c5', 'k4', 'email'), ('c6', 'k4', 'openid'), ('c7', 'k5', 'openid');
