ALTER TABLE idn_oauth2_access_token ADD COLUMN token_id VARCHAR(64);
UPDATE idn_oauth2_access_token SET token_id = {uuid};
ALTER TABLE idn_oauth2_access_token ADD COLUMN token_scope_hash VARCHAR(32);
UPDATE idn_oauth2_access_token SET token_scope_hash = md5(token_scope);
CREATE TABLE idn_oauth2_access_token_scope (
    token_id VARCHAR(64) NOT NULL, token_scope VARCHAR(60) NOT NULL, tenant_id INT DEFAULT -1,
    PRIMARY KEY (token_id, token_scope)
);
INSERT INTO idn_oauth2_access_token_scope (token_id, token_scope)
    SELECT DISTINCT t.token_id, s.scope
    FROM idn_oauth2_access_token t CROSS JOIN LATERAL regexp_split_to_table(t.token_scope, ' ') AS s (scope);
ALTER TABLE idn_oauth2_access_token DROP COLUMN token_scope;
ALTER TABLE idn_oauth2_access_token DROP CONSTRAINT idn_oauth2_access_token_pkey;
ALTER TABLE idn_oauth2_access_token ADD PRIMARY KEY (token_id);
ALTER TABLE idn_oauth2_access_token ADD UNIQUE (access_token);
