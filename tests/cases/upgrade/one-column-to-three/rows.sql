INSERT INTO um_tenant VALUES (1, 'one.com'), (2, 'two.com'), (3, 'three.com'), (4, 'four.com');
INSERT INTO idn_oauth2_access_token VALUES ('t1', 'PRIMARY/ann@one.com', 'A'), ('t2', 'LDAP/bob@two.com', 'A'),
    ('t3', 'PRIMARY/cid@carbon.super', NULL), ('t4', 'LDAP/dan@three.com', 'B'), ('t5', 'PRIMARY/eve@two.com', 'A'),
    ('t6', 'JDBC/fay@one.com', 'A'), ('t7', 'PRIMARY/gus@four.com', 'B');
