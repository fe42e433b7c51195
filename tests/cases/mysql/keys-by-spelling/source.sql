SET sql_mode = '';
CREATE TABLE folded (k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, v TEXT);
CREATE TABLE folded_child (k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, n INT, PRIMARY KEY (k, n),
    FOREIGN KEY (k) REFERENCES folded (k) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE moods (k ENUM('a', '', 'b') PRIMARY KEY, v TEXT);
CREATE TABLE mood_child (k ENUM('a', '', 'b'), n INT, PRIMARY KEY (k, n),
    FOREIGN KEY (k) REFERENCES moods (k) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE exact (k DECIMAL(10, 3) PRIMARY KEY, v TEXT);
CREATE TABLE halves (k DOUBLE PRIMARY KEY, v TEXT);
CREATE TABLE padded (k CHAR(5) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, v TEXT);
CREATE TABLE moments (k TIMESTAMP(3) PRIMARY KEY, v TEXT);
CREATE TABLE pairs (a VARCHAR(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, b DECIMAL(5, 1), v TEXT, PRIMARY KEY (a, b));
INSERT INTO folded VALUES ('anna', 1), ('bert', 2), ('cid', 3), ('dora', 4), ('ete', 5);
INSERT INTO folded_child VALUES ('anna', 1), ('bert', 1), ('cid', 1);
INSERT INTO moods VALUES (0, 'none'), ('a', 'first');
INSERT INTO mood_child VALUES (0, 1), (0, 2), ('a', 1);
INSERT INTO exact VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO halves VALUES (0, 0), (1, 1), (0.1, 2);
INSERT INTO padded VALUES ('a', 1), ('b', 2), ('c', 3);
INSERT INTO moments VALUES ('2023-10-29 00:30:00.001', 1), (0, 2), ('2023-10-29 01:30:00.001', 3);
INSERT INTO pairs VALUES ('a', 1, 1), ('a', 2, 2), ('b', 1, 3);
