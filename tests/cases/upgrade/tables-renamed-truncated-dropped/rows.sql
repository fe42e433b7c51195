INSERT INTO reg_log VALUES (1, '/a', 'ann'), (2, '/b', 'bob'), (3, '/c', NULL), (4, '/d', 'dan');
INSERT INTO idn_session VALUES ('s1', 'one'), ('s2', 'two'), ('s3', 'three'), ('s4', 'four');
INSERT INTO um_cache VALUES ('c1', 'one'), ('c2', 'two');
