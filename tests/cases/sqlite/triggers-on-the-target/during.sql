INSERT INTO t VALUES (3, 'c');
UPDATE t SET v = 'x' WHERE id = 1;
