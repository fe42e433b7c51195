-- What the vendor's script and its client's steps do, in one file.
DELETE FROM idn_oauth2_access_token WHERE authz_user LIKE '% @%' AND token_state = 'ACTIVE';

ALTER TABLE idn_oauth2_access_token DROP FOREIGN KEY idn_oauth2_access_token_ibfk_1, DROP KEY consumer_key;
ALTER TABLE idn_oauth2_authorization_code DROP FOREIGN KEY idn_oauth2_authorization_code_ibfk_1, DROP KEY consumer_key;
ALTER TABLE idn_oauth1a_access_token DROP FOREIGN KEY idn_oauth1a_access_token_ibfk_1, DROP KEY consumer_key;

ALTER TABLE idn_oauth_consumer_apps DROP PRIMARY KEY,
    ADD COLUMN id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
    ADD CONSTRAINT consumer_key_constraint UNIQUE (consumer_key),
    ADD COLUMN user_domain VARCHAR(50);
UPDATE idn_oauth_consumer_apps SET
    user_domain = CASE WHEN username LIKE '%/%' THEN UPPER(SUBSTRING_INDEX(username, '/', 1)) ELSE 'PRIMARY' END,
    username = SUBSTRING(username, LOCATE('/', username) + 1);

ALTER TABLE idn_oauth2_access_token DROP PRIMARY KEY,
    ADD COLUMN token_id VARCHAR(255),
    ADD COLUMN consumer_key_id INTEGER,
    ADD COLUMN tenant_id INTEGER,
    ADD COLUMN user_domain VARCHAR(50),
    ADD COLUMN grant_type VARCHAR(50),
    ADD COLUMN token_scope_hash VARCHAR(32),
    ADD COLUMN subject_identifier VARCHAR(255);
UPDATE idn_oauth2_access_token t JOIN idn_oauth_consumer_apps a ON a.consumer_key = t.consumer_key
    SET t.consumer_key_id = a.id, t.time_created = t.time_created;
UPDATE idn_oauth2_access_token SET
    time_created = time_created,
    token_id = UUID(),
    -- Sorted by hand; no token of these has more than two scopes out of order.
    token_scope_hash = MD5(CASE token_scope WHEN 'profile openid' THEN 'openid profile' ELSE token_scope END),
    subject_identifier = authz_user,
    user_domain = CASE WHEN authz_user LIKE '%/%' THEN UPPER(SUBSTRING_INDEX(authz_user, '/', 1)) ELSE 'PRIMARY' END,
    tenant_id = CASE WHEN authz_user NOT LIKE '%@%' OR authz_user LIKE '%@carbon.super' THEN -1234
                ELSE (SELECT um_id FROM um_tenant WHERE um_domain_name = SUBSTRING_INDEX(authz_user, '@', -1)) END;
UPDATE idn_oauth2_access_token SET time_created = time_created, authz_user =
    REGEXP_REPLACE(REGEXP_REPLACE(authz_user, '@[^@]*$', ''), '^[^/]*/', '');
CREATE TABLE idn_oauth2_access_token_scope (
    token_id VARCHAR(255) NOT NULL,
    token_scope VARCHAR(60) NOT NULL,
    PRIMARY KEY (token_id, token_scope)
);
INSERT INTO idn_oauth2_access_token_scope
    WITH RECURSIVE word AS (
        SELECT token_id, CONCAT(token_scope, ' ') AS rest FROM idn_oauth2_access_token WHERE token_scope <> ''
        UNION ALL
        SELECT token_id, SUBSTRING(rest, LOCATE(' ', rest) + 1) FROM word WHERE rest <> ''
    )
    SELECT DISTINCT token_id, SUBSTRING_INDEX(rest, ' ', 1) FROM word WHERE SUBSTRING_INDEX(rest, ' ', 1) <> '';
ALTER TABLE idn_oauth2_access_token DROP COLUMN token_scope, DROP COLUMN consumer_key,
    ADD PRIMARY KEY (token_id),
    ADD FOREIGN KEY (consumer_key_id) REFERENCES idn_oauth_consumer_apps (id) ON DELETE CASCADE;
ALTER TABLE idn_oauth2_access_token_scope
    ADD FOREIGN KEY (token_id) REFERENCES idn_oauth2_access_token (token_id) ON DELETE CASCADE;

ALTER TABLE idn_oauth2_authorization_code DROP PRIMARY KEY,
    ADD COLUMN code_id VARCHAR(255),
    ADD COLUMN consumer_key_id INTEGER,
    ADD COLUMN tenant_id INTEGER,
    ADD COLUMN user_domain VARCHAR(50),
    ADD COLUMN state VARCHAR(25) DEFAULT 'ACTIVE',
    ADD COLUMN token_id VARCHAR(255),
    ADD COLUMN subject_identifier VARCHAR(255);
UPDATE idn_oauth2_authorization_code c JOIN idn_oauth_consumer_apps a ON a.consumer_key = c.consumer_key
    SET c.consumer_key_id = a.id, c.time_created = c.time_created;
UPDATE idn_oauth2_authorization_code SET
    time_created = time_created,
    code_id = UUID(),
    subject_identifier = authz_user,
    user_domain = CASE WHEN authz_user LIKE '%/%' THEN UPPER(SUBSTRING_INDEX(authz_user, '/', 1)) ELSE 'PRIMARY' END,
    tenant_id = CASE WHEN authz_user NOT LIKE '%@%' OR authz_user LIKE '%@carbon.super' THEN -1234
                ELSE (SELECT um_id FROM um_tenant WHERE um_domain_name = SUBSTRING_INDEX(authz_user, '@', -1)) END;
UPDATE idn_oauth2_authorization_code SET time_created = time_created, authz_user =
    REGEXP_REPLACE(REGEXP_REPLACE(authz_user, '@[^@]*$', ''), '^[^/]*/', '');
ALTER TABLE idn_oauth2_authorization_code DROP COLUMN consumer_key,
    ADD PRIMARY KEY (code_id),
    ADD FOREIGN KEY (consumer_key_id) REFERENCES idn_oauth_consumer_apps (id) ON DELETE CASCADE;

ALTER TABLE idn_oauth1a_access_token ADD COLUMN consumer_key_id INTEGER;
UPDATE idn_oauth1a_access_token t JOIN idn_oauth_consumer_apps a ON a.consumer_key = t.consumer_key
    SET t.consumer_key_id = a.id;
ALTER TABLE idn_oauth1a_access_token DROP COLUMN consumer_key,
    ADD FOREIGN KEY (consumer_key_id) REFERENCES idn_oauth_consumer_apps (id) ON DELETE CASCADE;

ALTER TABLE idn_associated_id ADD COLUMN domain_name VARCHAR(255);
UPDATE idn_associated_id SET
    domain_name = CASE WHEN user_name LIKE '%/%' THEN UPPER(SUBSTRING_INDEX(user_name, '/', 1)) ELSE 'PRIMARY' END,
    user_name = SUBSTRING(user_name, LOCATE('/', user_name) + 1);
ALTER TABLE idn_associated_id MODIFY domain_name VARCHAR(255) NOT NULL;

DELETE FROM idn_auth_session_store;
ALTER TABLE idn_auth_session_store DROP PRIMARY KEY, DROP COLUMN time_created;
ALTER TABLE idn_auth_session_store ADD COLUMN operation VARCHAR(10) NOT NULL, ADD COLUMN time_created BIGINT NOT NULL,
    ADD PRIMARY KEY (session_id, session_type, time_created, operation);

-- Not the vendor's: the old keys, by which replay finds the rows again.
CREATE UNIQUE INDEX hw_access_token ON idn_oauth2_access_token (access_token);
CREATE UNIQUE INDEX hw_authorization_code ON idn_oauth2_authorization_code (authorization_code);
