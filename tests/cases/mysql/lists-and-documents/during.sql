UPDATE t SET j = JSON_SET(j, '$.a', 9007199254740993), s = 'x,y,z' WHERE id = 1;
UPDATE t SET e = 'b' WHERE id = 2;
DELETE FROM t WHERE id = 4;
INSERT INTO t VALUES (6, 'A', 'z,x', '{"b": 1, "a": 2}');
UPDATE by_list SET v = 3 WHERE e = 'b';
