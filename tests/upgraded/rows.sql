INSERT INTO app VALUES ('a1', 'one', 1), ('a2', 'two', 2), ('a3', 'three', NULL), ('a4', 'four', 4), ('a7', 'seven', 7);
INSERT INTO token VALUES ('t1', 'a1', 'ACTIVE', 'email', 'openid'), ('t2', 'a2', 'ACTIVE', 'email', 'email'),
    ('t3', 'a3', 'EXPIRED', 'email', NULL), ('t4', NULL, 'ACTIVE', NULL, NULL), ('t5', 'a9', 'ACTIVE', NULL, 'phone');
INSERT INTO idp VALUES (1, 'deleted'), (2, 'replaced'), (3, 'i3'), (4, 'i4'), (5, NULL), (6, 'i6');
INSERT INTO person VALUES (1, 'Ann', 'Ash', 1), (2, 'Bob', 'Birch', 2), (3, NULL, 'Cole', 3), (4, 'Dan', NULL, NULL);
INSERT INTO note VALUES ('a1', 'once'), ('a2', 'twice'), ('a2', 'twice'), (NULL, NULL);
