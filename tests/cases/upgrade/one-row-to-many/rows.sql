INSERT INTO idn_oauth2_access_token VALUES ('t1', 'ann', 'openid'), ('t2', 'ann', 'openid email'), ('t3', 'bob', NULL),
    ('t4', 'bob', 'email phone address'), ('t5', 'cid', 'openid openid'), ('t6', NULL, 'openid email'),
    ('t7', 'dan', 'device profile'), ('t8', 'eve', 'openid');
