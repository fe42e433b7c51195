INSERT INTO idn_associated_id VALUES (10, 'apple', 1, 'hal'), (11, 'google', 2, 'ida');
INSERT INTO idp VALUES (107, 1, 'apple');
UPDATE idn_associated_id SET idp_user_id = 'bobby', idp_id = 'twitter' WHERE id = 44;
BEGIN;
UPDATE idp SET name = 'swapped' WHERE id = 101;
UPDATE idp SET name = 'google' WHERE id = 102;
UPDATE idp SET name = 'facebook' WHERE id = 101;
COMMIT;
