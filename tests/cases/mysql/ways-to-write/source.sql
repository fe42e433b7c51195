CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE, w VARCHAR(5) UNIQUE, v TEXT);
INSERT INTO t VALUES (1, 10, 'a', 'one'), (2, 20, 'b', 'two'), (3, 30, 'c', 'three'), (4, 40, 'd', 'four'), (5, 50, 'e', 'five'), (6, 60, 'f', 'six'), (7, 70, 'g', 'seven');
CREATE TABLE o (id INT PRIMARY KEY, v TEXT);
INSERT INTO o VALUES (5, 'from o'), (6, 'from o');
