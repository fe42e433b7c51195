CREATE TABLE token_new (
    token_id VARCHAR(64) NOT NULL PRIMARY KEY, access_token VARCHAR(60) NOT NULL UNIQUE, authz_user VARCHAR(60),
    token_scope_hash VARCHAR(32)
);
INSERT INTO token_new SELECT {uuid}, access_token, authz_user, hex(token_scope) FROM idn_oauth2_access_token;
CREATE TABLE idn_oauth2_access_token_scope (
    token_id VARCHAR(64) NOT NULL, token_scope VARCHAR(60) NOT NULL, tenant_id INT DEFAULT -1,
    PRIMARY KEY (token_id, token_scope)
);
INSERT INTO idn_oauth2_access_token_scope (token_id, token_scope)
    SELECT DISTINCT n.token_id, s.value
    FROM idn_oauth2_access_token t JOIN token_new n ON n.access_token = t.access_token
    JOIN json_each('["' || replace(t.token_scope, ' ', '","') || '"]') s;
DROP TABLE idn_oauth2_access_token;
ALTER TABLE token_new RENAME TO idn_oauth2_access_token;
