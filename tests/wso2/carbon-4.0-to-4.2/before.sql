INSERT INTO um_user VALUES (3, 'selina', 1);
INSERT INTO um_user_role VALUES (2, 1, 3, 1);
