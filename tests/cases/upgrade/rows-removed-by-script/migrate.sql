CREATE TABLE doubled AS SELECT a.id FROM reg_association a WHERE EXISTS
    (SELECT 1 FROM reg_association b WHERE b.path = a.path AND b.id < a.id);
DELETE FROM reg_association WHERE id IN (SELECT id FROM doubled);
DROP TABLE doubled;
CREATE UNIQUE INDEX reg_association_path ON reg_association (path);
DELETE FROM idn_oauth2_access_token WHERE access_token LIKE '% %';
