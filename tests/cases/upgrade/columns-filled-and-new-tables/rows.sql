INSERT INTO um_tenant VALUES (1, 'one.com', 'a@one.com'), (2, 'two.com', NULL), (3, 'three.com', 'c@three.com'),
    (4, 'four.com', 'd@four.com'), (5, 'five.com', 'e@five.com');
INSERT INTO um_user_role VALUES (1, 'ann', 'admin', 1), (2, 'bob', 'admin', 2), (3, 'cid', 'reader', 2),
    (4, 'dan', 'reader', 3), (5, 'eve', 'admin', 4), (6, 'fay', 'reader', 5), (7, 'gus', 'admin', -1234);
