UPDATE t SET ts = '0044-03-15 BC', i = '1 day 25:00:00' WHERE k = 'infinity';
DELETE FROM t WHERE k = '-infinity';
INSERT INTO t (k, d) VALUES ('2024-03-31 02:30:00+02', '0001-01-01 BC');
