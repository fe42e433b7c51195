UPDATE t SET b = x'ff00', g = ST_GeomFromText('POINT(-1.5 1e300)') WHERE k = x'00';
UPDATE t SET k = x'fe' WHERE k = x'ff';
DELETE FROM t WHERE k = x'';
INSERT INTO t VALUES (x'610a', x'0a', x'0d0a', x'', NULL, 6);
UPDATE by_bytes SET v = v + 1;
DELETE FROM by_bytes WHERE v = 3;
