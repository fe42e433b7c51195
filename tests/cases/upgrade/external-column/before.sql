INSERT INTO sp_app VALUES (6, 'f', 's6');
UPDATE sp_app SET app_name = 'aa' WHERE id = 1;
DELETE FROM sp_app WHERE id = 5;
