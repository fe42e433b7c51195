UPDATE here SET t = 'here' WHERE id = 2;
INSERT INTO here VALUES (4, 'pg_catalog.pg_proc', '{boolean}');
