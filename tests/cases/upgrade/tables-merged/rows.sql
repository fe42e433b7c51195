INSERT INTO um_user VALUES (1, 'ann'), (2, 'bob'), (3, 'cid'), (4, 'dan');
INSERT INTO um_group VALUES (1, 'staff'), (2, 'guests'), (3, 'ann'), (5, 'robots');
INSERT INTO um_user_role VALUES ('ann', 'admin', 'a'), ('bob', 'admin', NULL), ('bob', 'reader', 'b'), ('cid', 'reader', NULL);
INSERT INTO um_group_role VALUES ('staff', 'admin'), ('ann', 'admin'), ('guests', 'reader'), ('robots', 'writer');
