CREATE TABLE any_type (k PRIMARY KEY NOT NULL, i INTEGER, t TEXT, r REAL, n NUMERIC, b BLOB, x);
INSERT INTO any_type VALUES (1, 1, 1, 1, 1, 1, 1), (1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5), ('a', 'a', 'a', 'a', 'a', 'a', 'a'), (x'00ff', x'00ff', x'00ff', x'00ff', x'00ff', x'00ff', x'00ff'), ('1', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO any_type VALUES (9223372036854775807, -9223372036854775808, '', 1e308, -1e-308, zeroblob(1000), 9e999), ('nul' || char(0) || 'inside', 0, 'x' || char(0), -0.0, -9e999, x'', CAST(x'ff41' AS TEXT));
