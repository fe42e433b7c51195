DELETE FROM a WHERE x = 1 AND y = 'p';
UPDATE a SET y = 'moved' WHERE x = 1;
UPDATE b SET id = 50 WHERE id = 5;
REPLACE INTO a VALUES (3, 'r', 'replaced');
DELETE FROM tree WHERE id = 2;
DELETE FROM tree WHERE id = 8;
