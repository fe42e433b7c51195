CREATE TABLE shared (a INTEGER NOT NULL, b INTEGER NOT NULL, note TEXT, UNIQUE (a, b));
INSERT INTO shared VALUES (1, 1, 'x'), (1, 2, 'y'), (2, 1, 'z');
