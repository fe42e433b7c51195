CREATE TABLE t (id bigint PRIMARY KEY, n numeric(12,2), v text, d date, f double precision);
