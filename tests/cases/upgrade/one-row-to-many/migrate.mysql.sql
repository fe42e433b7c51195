ALTER TABLE idn_oauth2_access_token ADD COLUMN token_id VARCHAR(64), ADD COLUMN token_scope_hash VARCHAR(64);
UPDATE idn_oauth2_access_token SET token_id = {uuid};
UPDATE idn_oauth2_access_token SET token_scope_hash = sha2(token_scope, 256);
CREATE TABLE idn_oauth2_access_token_scope (
    token_id VARCHAR(64) NOT NULL, token_scope VARCHAR(60) NOT NULL, tenant_id INT DEFAULT -1,
    PRIMARY KEY (token_id, token_scope)
);
INSERT INTO idn_oauth2_access_token_scope (token_id, token_scope)
    SELECT DISTINCT t.token_id, s.scope
    FROM idn_oauth2_access_token t JOIN
    JSON_TABLE(concat('["', replace(t.token_scope, ' ', '","'), '"]'), '$[*]' COLUMNS (scope VARCHAR(60) PATH '$')) s;
ALTER TABLE idn_oauth2_access_token DROP COLUMN token_scope, DROP PRIMARY KEY, ADD PRIMARY KEY (token_id),
    ADD UNIQUE KEY con_app_key (access_token);
