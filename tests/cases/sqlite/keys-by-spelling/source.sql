CREATE TABLE nocase (k TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v);
CREATE TABLE child (k TEXT COLLATE NOCASE REFERENCES nocase ON UPDATE CASCADE ON DELETE CASCADE, n INT, PRIMARY KEY (k, n)) WITHOUT ROWID;
CREATE TABLE rtrim (k TEXT COLLATE RTRIM PRIMARY KEY NOT NULL, v);
-- The index tells apart what the column's own collation does not, and the other way round.
CREATE TABLE finer (k TEXT COLLATE NOCASE NOT NULL, v, PRIMARY KEY (k COLLATE BINARY));
CREATE TABLE coarser (k TEXT NOT NULL, v, PRIMARY KEY (k COLLATE NOCASE));
CREATE TABLE numbers (k NUMERIC PRIMARY KEY NOT NULL, v);
CREATE TABLE anything (k PRIMARY KEY NOT NULL, v);
CREATE TABLE texts (k TEXT PRIMARY KEY NOT NULL, v);
CREATE TABLE reals (k REAL PRIMARY KEY NOT NULL, v);
INSERT INTO nocase VALUES ('anna', 1), ('bert', 2), ('cid', 3);
INSERT INTO child VALUES ('anna', 1), ('anna', 2), ('bert', 1), ('cid', 1);
INSERT INTO rtrim VALUES ('a', 1), ('b', 2), ('c', 3);
INSERT INTO finer VALUES ('a', 1), ('B', 2), ('c', 3), ('C', 4), ('d', 5);
INSERT INTO coarser VALUES ('a', 1), ('b', 2), ('c', 3);
INSERT INTO numbers VALUES ('1', 1), (2.5, 2), ('x', 3);
INSERT INTO anything VALUES (1, 1), ('1', 2), (x'31', 3), (2.0, 4);
INSERT INTO texts VALUES (1, 1), ('1.0', 2);
INSERT INTO reals VALUES (0, 0), (1, 1);
