CREATE TABLE t (a INTEGER NOT NULL, b VARCHAR(10) NOT NULL, c INTEGER NOT NULL, v TEXT, PRIMARY KEY (b, a, c));
INSERT INTO t VALUES (1, 'x', 1, 'one'), (1, 'y', 1, 'two'), (2, 'x', 1, 'three'), (2, 'x', 2, 'four'), (3, '', 0, NULL);
