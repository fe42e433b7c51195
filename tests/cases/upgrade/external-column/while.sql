INSERT INTO sp_app VALUES (7, 'g', 's7');
UPDATE sp_app SET app_name = 'bb', secret = 'another' WHERE id = 2;
UPDATE sp_app SET id = 14 WHERE id = 4;
