UPDATE t SET a = 10 WHERE id = 1;
UPDATE t SET hidden = 7 WHERE id = 2;
INSERT INTO t (id, a, made) VALUES (5, 5, NULL);
DELETE FROM t WHERE id = 3;
