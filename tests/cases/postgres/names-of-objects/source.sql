CREATE TABLE apart (id integer PRIMARY KEY);
DROP TABLE apart;
CREATE TABLE here (id integer PRIMARY KEY, t regclass, ty regtype[]);
INSERT INTO here VALUES (1, 'here', '{integer,text}'), (2, 'pg_class', NULL), (3, NULL, '{}');
