UPDATE animal SET name = upper(name);
DELETE FROM animal WHERE id = 11;
INSERT INTO dog VALUES (12, 'new', 'mix');
