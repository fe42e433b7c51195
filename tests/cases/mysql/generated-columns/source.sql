CREATE TABLE t (id INT PRIMARY KEY, a INT, twice INT AS (a * 2) STORED, thrice INT AS (a * 3) VIRTUAL, hidden INT DEFAULT 5 INVISIBLE, made VARCHAR(40) DEFAULT (CONCAT('made ', 1 + 1)), UNIQUE (twice));
INSERT INTO t (id, a) VALUES (1, 1), (2, 2), (3, NULL);
INSERT INTO t (id, a, hidden) VALUES (4, 4, NULL);
