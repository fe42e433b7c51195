UPDATE users SET name = 'bert' WHERE id = 2;
INSERT INTO users VALUES (4, 'bob');
DELETE FROM users WHERE id = 3;
