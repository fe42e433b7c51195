CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT UNIQUE, v TEXT);
CREATE UNIQUE INDEX part ON t (v) WHERE v LIKE 'only%';
INSERT INTO t VALUES (1, 1, 'a', 'x'), (2, 2, 'b', 'x'), (3, 3, 'c', 'only3'), (4, 4, 'd', 'only4'), (5, 5, 'e', NULL), (6, 6, 'f', NULL);
