INSERT INTO um_tenant VALUES (6, 'six.com');
INSERT INTO idn_oauth2_access_token VALUES ('t9', 'PRIMARY/ida@six.com', 'A');
UPDATE idn_oauth2_access_token SET user_type = 'C' WHERE access_token = 't2';
UPDATE idn_oauth2_access_token SET access_token = 't33' WHERE access_token = 't3';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't7';
