INSERT INTO reg_path VALUES (1, '/home/ann-at-one.com'), (2, '/home/bob-at-two.com/mail'), (3, '/system'), (4, '/a-at-b-at-c'), (5, '/upper-AT-case');
INSERT INTO um_role_permission VALUES ('admin', '/ann-at-one.com', 1), ('admin', '/bob-at-two.com', 1), ('reader', '/ann-at-one.com', 0),
    ('reader', '/system', 1), ('reader-at-one', '/system', 1);
INSERT INTO reg_property VALUES (1, 'owner', 'ann-at-one.com'), (2, NULL, NULL), (3, 'owner', 'nobody'), (4, 'x-at-y', 'x-at-y');
