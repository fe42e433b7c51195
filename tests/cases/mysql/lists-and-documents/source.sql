CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a', 'B', '', 'with ''quote'), s SET('x', 'y', 'z'), j JSON);
INSERT INTO t VALUES (1, 'a', 'x,z', '{"a": [1, 2.50, "ü", null], "b": {"c": true}}'), (2, '', '', '[]'), (3, NULL, NULL, NULL), (4, 'with ''quote', 'y', '"text"');
SET sql_mode = '';
INSERT INTO t VALUES (5, 'no such', 'x', 'null');
CREATE TABLE by_list (e ENUM('b', 'a') PRIMARY KEY, v INT);
INSERT INTO by_list VALUES ('a', 1), ('b', 2);
