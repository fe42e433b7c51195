INSERT INTO um_tenant VALUES (7, 'seven.com', 'g@seven.com');
INSERT INTO um_user_role VALUES (9, 'ida', 'reader', 7);
UPDATE um_tenant SET um_email = 'b@two.com' WHERE um_id = 2;
UPDATE um_user_role SET um_id = 14 WHERE um_id = 4;
DELETE FROM um_user_role WHERE um_id = 6;
DELETE FROM um_tenant WHERE um_id = 5;
