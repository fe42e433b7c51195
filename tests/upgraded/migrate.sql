CREATE TABLE app_new (id {number}, name VARCHAR(20) NOT NULL UNIQUE, label VARCHAR(20), slot INT UNIQUE);
INSERT INTO app_new (name, label, slot) SELECT name, label, slot FROM app ORDER BY name DESC;
CREATE TABLE token_new (code VARCHAR(20) NOT NULL PRIMARY KEY, app_id INT, state VARCHAR(10) NOT NULL);
INSERT INTO token_new SELECT t.code, a.id, t.state FROM token t LEFT JOIN app_new a ON a.name = t.app;
CREATE TABLE token_scope (code VARCHAR(20) NOT NULL, scope VARCHAR(20) NOT NULL, PRIMARY KEY (code, scope));
INSERT INTO token_scope SELECT code, scope FROM token WHERE scope IS NOT NULL
    UNION SELECT code, other FROM token WHERE other IS NOT NULL;
DROP TABLE token;
DROP TABLE app;
ALTER TABLE app_new RENAME TO app;
ALTER TABLE token_new RENAME TO token;
INSERT INTO idp VALUES (901, 'native'), (902, NULL);
DELETE FROM idp WHERE id IN (1, 2);
ALTER TABLE person RENAME COLUMN given TO kept;
ALTER TABLE person RENAME COLUMN family TO given;
ALTER TABLE person RENAME COLUMN kept TO family;
ALTER TABLE note ADD COLUMN place VARCHAR(20);
