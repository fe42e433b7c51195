UPDATE people SET name = 'Cid' WHERE name = 'cid';
DELETE FROM people WHERE name = 'dora';
INSERT INTO people VALUES ('DORA', 'again');
DELETE FROM people WHERE name = 'FRED';
