INSERT INTO reg_association VALUES (9, '/f', 'nine');
UPDATE reg_association SET path = '/g' WHERE id = 5;
UPDATE idn_oauth2_access_token SET access_token = 't33' WHERE access_token = 't3';
