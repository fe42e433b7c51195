UPDATE t SET b = 'z' WHERE a = 1 AND b = 'x';
UPDATE t SET c = c + 1, v = 'moved' WHERE a = 2 AND c = 2;
DELETE FROM t WHERE b = 'y';
INSERT INTO t VALUES (9, 'x''quoted', 9, 'five');
