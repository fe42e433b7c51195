UPDATE w SET b = 3 WHERE b = 2;
DELETE FROM auto WHERE id = 3;
INSERT INTO auto (v) VALUES ('d');
DELETE FROM auto WHERE v = 'd';
UPDATE nocase SET k = 'KEY', v = 'upper' WHERE k = 'key';
UPDATE strict_one SET a = '7' WHERE id = 2;
INSERT INTO nullable_key VALUES (NULL, 'a');
DELETE FROM nullable_key WHERE k = 'k';
UPDATE computed SET a = 11 WHERE id = 1;
