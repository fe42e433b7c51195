-- Removed by the script as a double, and only updated since.
DELETE FROM reg_association WHERE id = 6;
-- Deleted and inserted again since.
INSERT INTO idn_oauth2_access_token VALUES ('t 4', 'ACTIVE');
