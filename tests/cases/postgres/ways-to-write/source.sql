CREATE TABLE t (id integer PRIMARY KEY, v text, u integer UNIQUE);
CREATE TABLE archive (id integer PRIMARY KEY, v text);
INSERT INTO t SELECT n, 'v' || n, n FROM generate_series(1, 40) n;
