SET sql_mode = '', time_zone = '-03:00';
UPDATE t SET dt = '2026-00-00', ts = '2026-10-25 02:30:00' WHERE d = '0000-00-00';
DELETE FROM t WHERE d = '0000-00-00';
INSERT INTO t VALUES ('0000-00-00', NULL, '0000-00-00', '-00:00:00.000001', 0), ('1000-01-01', '2026-01-01', NULL, '24:00:00', 1999);
UPDATE by_time SET v = 'later', changed = '2001-01-01' WHERE n = 1;
UPDATE by_time SET v = 'touched' WHERE v = 'b';
