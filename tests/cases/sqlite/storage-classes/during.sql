UPDATE any_type SET x = CAST(x AS BLOB) WHERE k = 'a';
UPDATE any_type SET k = 2.0 WHERE k = 1.5;
UPDATE any_type SET k = x'01' WHERE typeof(k) = 'blob';
DELETE FROM any_type WHERE k = '1' AND typeof(k) = 'text';
INSERT INTO any_type (k, x) VALUES (0.1, 0.1 + 0.2), ('', '');
