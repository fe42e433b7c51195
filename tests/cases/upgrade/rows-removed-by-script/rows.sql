INSERT INTO reg_association VALUES (1, '/a', 'one'), (2, '/b', 'two'), (3, '/a', 'three'), (4, '/c', 'four'), (5, '/b', 'five'),
    (6, '/c', 'six'), (7, '/d', NULL);
INSERT INTO idn_oauth2_access_token VALUES ('t1', 'ACTIVE'), ('t 2', 'ACTIVE'), ('t3', 'EXPIRED'), ('t 4', 'ACTIVE'), ('t 5', 'EXPIRED');
