UPDATE t SET k = 'A' WHERE k = 'a';
UPDATE t SET k = 'TRAILING', b = CONCAT(b, '\0\n\t') WHERE k = 'trailing';
INSERT INTO t VALUES ('ö', 'EINZ', 'ab', NULL, REPEAT('ß', 1000));
UPDATE cased SET v = 'ONE' WHERE k = 'a';
DELETE FROM cased WHERE k = 'A';
INSERT INTO cased VALUES ('B', 'Two');
UPDATE folded SET a = 'KEY' WHERE a = 'key';
UPDATE folded SET b = 'y' WHERE v = 2;
DELETE FROM folded WHERE v = 3;
