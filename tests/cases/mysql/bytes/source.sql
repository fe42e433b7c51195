CREATE TABLE t (k VARBINARY(20) PRIMARY KEY, f BINARY(4), b BLOB, l LONGBLOB, g GEOMETRY, n INT);
INSERT INTO t VALUES (x'', x'00', x'', x'00ff80', NULL, 1), (x'00', x'ffffffff', x'c328', NULL, ST_GeomFromText('POINT(1 2)'), 2), (x'ff', NULL, 'text', REPEAT(x'f0', 100000), ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))'), 3), (x'61', 'ab', x'5c27', x'1a', ST_GeomFromText('LINESTRING(0 0, 1 1)', 4326), 4), (x'6120', NULL, NULL, NULL, NULL, 5);
CREATE TABLE by_bytes (f BINARY(16) PRIMARY KEY, v INT);
INSERT INTO by_bytes VALUES (x'00112233445566778899aabbccddeeff', 1), (x'61', 2);
