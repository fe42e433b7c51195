INSERT INTO idn_oauth2_access_token VALUES ('t10', 'LDAP/jim@seven.com', 'A'), ('t11', 'PRIMARY/kim@carbon.super', 'B');
INSERT INTO um_tenant VALUES (7, 'seven.com');
UPDATE idn_oauth2_access_token SET authz_user = 'PRIMARY/dan@one.com' WHERE access_token = 't4';
UPDATE um_tenant SET um_domain_name = 'two.org' WHERE um_id = 2;
UPDATE um_tenant SET um_domain_name = 'two.com' WHERE um_id = 4;
DELETE FROM idn_oauth2_access_token WHERE access_token = 't6';
UPDATE idn_oauth2_access_token SET access_token = 't99', authz_user = 'LDAP/ida@one.com' WHERE access_token = 't9';
