INSERT INTO um_tenant VALUES (5, 'five.com');
INSERT INTO idn_oauth2_access_token VALUES ('t8', 'PRIMARY/hal@five.com', 'A');
UPDATE idn_oauth2_access_token SET authz_user = 'LDAP/anna@two.com' WHERE access_token = 't1';
DELETE FROM idn_oauth2_access_token WHERE access_token = 't5';
