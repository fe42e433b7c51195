CREATE TABLE t (id integer PRIMARY KEY, n numeric(10,2), v varchar(5), d date, f real);
INSERT INTO t VALUES (1, 1.50, 'abc', '2024-01-01', 1.5), (2, 99999999.99, E'a\tb\\', 'infinity', 'NaN'), (3, NULL, NULL, NULL, NULL);
