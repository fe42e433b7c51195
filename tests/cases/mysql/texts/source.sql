CREATE TABLE t (k VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, u VARCHAR(20) CHARACTER SET utf8mb3 UNIQUE, c CHAR(5), b TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, l LONGTEXT CHARACTER SET ucs2);
INSERT INTO t VALUES ('a', 'eins', 'c', 'x', 'y'), ('Ärger', 'Ärger', '', '', ''), ('trailing ', NULL, ' x ', '😀 \\ '' " ` ; -- {k}', 'ÿ');
CREATE TABLE cased (k VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, v VARCHAR(20) COLLATE utf8mb4_general_ci UNIQUE);
INSERT INTO cased VALUES ('a', 'one'), ('A', 'two'), ('b ', 'three'), ('', 'four');
CREATE TABLE folded (a VARCHAR(20) COLLATE utf8mb4_general_ci, b CHAR(8) CHARACTER SET latin1 COLLATE latin1_general_cs, v INT, PRIMARY KEY (a, b));
INSERT INTO folded VALUES ('key', 'x', 1), ('straße', 'X', 2), ('null \0 byte', 'x', 3);
