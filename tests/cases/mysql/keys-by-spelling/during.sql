SET sql_mode = '';
-- Another spelling of the same key; a key that is nearly the same; the other spelling of a deleted row's.
UPDATE folded SET k = 'ANNA' WHERE k = 'anna';
UPDATE folded SET k = 'berta' WHERE k = 'bert';
DELETE FROM folded WHERE k = 'cid';
INSERT INTO folded VALUES ('CID', 'new');
UPDATE folded SET k = 'dora  ' WHERE k = 'dora';
UPDATE folded SET k = 'été' WHERE k = 'ete';
-- Number 0 and the label ''.
UPDATE moods SET k = '' WHERE v = 'none';
INSERT INTO moods VALUES (0, 'none again');
UPDATE moods SET v = 'changed' WHERE k + 0 = 2;
UPDATE exact SET k = 1.0004 WHERE k = 1;
UPDATE exact SET k = 2.001 WHERE k = 2;
DELETE FROM exact WHERE k = 3;
INSERT INTO exact VALUES ('3.000', 'again');
UPDATE halves SET k = 1.0000000000000002 WHERE k = 1;
UPDATE halves SET v = 'changed' WHERE v = 2;
UPDATE padded SET k = 'A ' WHERE k = 'a';
UPDATE padded SET k = ' b' WHERE k = 'b';
DELETE FROM padded WHERE k = 'c';
INSERT INTO padded VALUES ('C', 'new');
UPDATE moments SET v = 'zero' WHERE v = 2;
UPDATE moments SET k = '2023-10-29 00:30:00.002' WHERE v = 1;
DELETE FROM moments WHERE v = 3;
UPDATE pairs SET a = 'À', b = 1.04 WHERE v = 1;
UPDATE pairs SET b = 2.5 WHERE v = 2;
