CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE);
INSERT INTO users VALUES (1, 'ann'), (2, 'bob'), (3, 'cy');
