CREATE TABLE log (a INTEGER, b TEXT);
INSERT INTO log VALUES (1, 'x'), (1, 'x'), (1, NULL), (NULL, NULL), (NULL, NULL), (2, ''), (2, 'y');
