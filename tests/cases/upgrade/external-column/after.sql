INSERT INTO sp_app VALUES (8, 'h', 's8');
UPDATE sp_app SET app_name = 'cc' WHERE id IN (3, 6, 7);
BEGIN;
DELETE FROM sp_app WHERE id = 2;
INSERT INTO sp_app VALUES (2, 'b again', 's2');
COMMIT;
