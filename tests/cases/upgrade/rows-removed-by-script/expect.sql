SELECT count(*) = 0 FROM reg_association WHERE id IN (4, 6)
SELECT count(*) = 2 FROM reg_association WHERE id IN (3, 5)
SELECT count(*) = 1 FROM idn_oauth2_access_token WHERE access_token LIKE '% %'
