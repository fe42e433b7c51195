INSERT INTO idn_oauth2_scope VALUES (1, 'openid', 'Open id', 'd1', 0), (2, 'email', 'Mail', NULL, 0), (3, 'phone', 'Phone', 'd3', 1),
    (4, 'address', NULL, 'd4', 2), (5, 'profile', 'Profile', 'd5', 0);
INSERT INTO idn_oauth2_resource_scope VALUES ('openid', 0, 'Open id'), ('openid', 1, 'Open id 1'), ('email', 0, 'Mail'), ('email', 2, NULL),
    ('phone', 1, 'Phone');
