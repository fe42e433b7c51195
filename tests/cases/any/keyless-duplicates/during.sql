INSERT INTO log VALUES (1, 'x'), (NULL, NULL);
DELETE FROM log WHERE a = 2 AND b = '';
UPDATE log SET b = 'changed' WHERE b = 'y';
