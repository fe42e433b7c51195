UPDATE t SET a = a || 4, c.no = 7 WHERE k = 'sad';
UPDATE t SET k = 'sad' WHERE k = 'happy';
DELETE FROM t WHERE k = 'ok';
INSERT INTO t (k, k2, mr) VALUES ('happy', 9, '{[1,2),[10,)}');
