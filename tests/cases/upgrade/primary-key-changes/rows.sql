INSERT INTO idn_oauth_consumer_apps VALUES ('k1', 'App 1'), ('k2', 'App 2'), ('k3', 'App 3'), ('k4', NULL);
INSERT INTO idn_oauth2_access_token VALUES ('t1', 'k1', 'ACTIVE'), ('t2', 'k1', 'ACTIVE'), ('t3', 'k2', 'EXPIRED'),
    ('t4', 'k2', 'ACTIVE'), ('t5', 'k3', 'REVOKED'), ('t6', 'k3', 'ACTIVE'), ('t7', 'k4', 'ACTIVE');
