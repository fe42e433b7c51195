-- What the vendor's script and its client's steps do, in one file.
DELETE FROM idn_oauth2_access_token WHERE authz_user LIKE '% @%' AND token_state = 'ACTIVE';

ALTER TABLE idn_oauth2_access_token DROP CONSTRAINT idn_oauth2_access_token_consumer_key_fkey;
ALTER TABLE idn_oauth2_authorization_code DROP CONSTRAINT idn_oauth2_authorization_code_consumer_key_fkey;
ALTER TABLE idn_oauth1a_access_token DROP CONSTRAINT idn_oauth1a_access_token_consumer_key_fkey;

CREATE SEQUENCE idn_oauth_consumer_apps_pk_seq;
ALTER TABLE idn_oauth_consumer_apps DROP CONSTRAINT idn_oauth_consumer_apps_pkey;
ALTER TABLE idn_oauth_consumer_apps ADD COLUMN id INTEGER DEFAULT nextval('idn_oauth_consumer_apps_pk_seq');
ALTER TABLE idn_oauth_consumer_apps ADD PRIMARY KEY (id);
ALTER TABLE idn_oauth_consumer_apps ADD CONSTRAINT consumer_key_constraint UNIQUE (consumer_key);
ALTER TABLE idn_oauth_consumer_apps ADD COLUMN user_domain VARCHAR(50);
UPDATE idn_oauth_consumer_apps SET
    user_domain = CASE WHEN username LIKE '%/%' THEN upper(split_part(username, '/', 1)) ELSE 'PRIMARY' END,
    username = regexp_replace(username, '^[^/]*/', '');

ALTER TABLE idn_oauth2_access_token DROP CONSTRAINT idn_oauth2_access_token_pkey;
ALTER TABLE idn_oauth2_access_token
    ADD COLUMN token_id VARCHAR(255),
    ADD COLUMN consumer_key_id INTEGER,
    ADD COLUMN tenant_id INTEGER,
    ADD COLUMN user_domain VARCHAR(50),
    ADD COLUMN grant_type VARCHAR(50),
    ADD COLUMN token_scope_hash VARCHAR(32),
    ADD COLUMN subject_identifier VARCHAR(255);
UPDATE idn_oauth2_access_token t SET consumer_key_id = a.id FROM idn_oauth_consumer_apps a
    WHERE a.consumer_key = t.consumer_key;
UPDATE idn_oauth2_access_token SET
    token_id = gen_random_uuid()::text,
    token_scope_hash = (SELECT md5(string_agg(s, ' ' ORDER BY s COLLATE "C"))
                        FROM regexp_split_to_table(token_scope, ' ') AS s),
    subject_identifier = authz_user,
    user_domain = CASE WHEN authz_user LIKE '%/%' THEN upper(split_part(authz_user, '/', 1)) ELSE 'PRIMARY' END,
    tenant_id = CASE WHEN authz_user NOT LIKE '%@%' OR authz_user LIKE '%@carbon.super' THEN -1234
                ELSE (SELECT um_id FROM um_tenant WHERE um_domain_name = split_part(authz_user, '@', -1)) END;
UPDATE idn_oauth2_access_token SET authz_user = regexp_replace(regexp_replace(authz_user, '@[^@]*$', ''), '^[^/]*/', '');
CREATE TABLE idn_oauth2_access_token_scope (
    token_id VARCHAR(255) NOT NULL,
    token_scope VARCHAR(60) NOT NULL,
    PRIMARY KEY (token_id, token_scope)
);
INSERT INTO idn_oauth2_access_token_scope
    SELECT DISTINCT token_id, s FROM idn_oauth2_access_token, regexp_split_to_table(token_scope, ' ') AS s WHERE s <> '';
ALTER TABLE idn_oauth2_access_token DROP COLUMN token_scope, DROP COLUMN consumer_key;
ALTER TABLE idn_oauth2_access_token ADD PRIMARY KEY (token_id);
ALTER TABLE idn_oauth2_access_token ADD FOREIGN KEY (consumer_key_id) REFERENCES idn_oauth_consumer_apps (id) ON DELETE CASCADE;
ALTER TABLE idn_oauth2_access_token_scope
    ADD FOREIGN KEY (token_id) REFERENCES idn_oauth2_access_token (token_id) ON DELETE CASCADE;

ALTER TABLE idn_oauth2_authorization_code DROP CONSTRAINT idn_oauth2_authorization_code_pkey;
ALTER TABLE idn_oauth2_authorization_code
    ADD COLUMN code_id VARCHAR(255),
    ADD COLUMN consumer_key_id INTEGER,
    ADD COLUMN tenant_id INTEGER,
    ADD COLUMN user_domain VARCHAR(50),
    ADD COLUMN state VARCHAR(25) DEFAULT 'ACTIVE',
    ADD COLUMN token_id VARCHAR(255),
    ADD COLUMN subject_identifier VARCHAR(255);
UPDATE idn_oauth2_authorization_code c SET consumer_key_id = a.id FROM idn_oauth_consumer_apps a
    WHERE a.consumer_key = c.consumer_key;
UPDATE idn_oauth2_authorization_code SET
    code_id = gen_random_uuid()::text,
    subject_identifier = authz_user,
    user_domain = CASE WHEN authz_user LIKE '%/%' THEN upper(split_part(authz_user, '/', 1)) ELSE 'PRIMARY' END,
    tenant_id = CASE WHEN authz_user NOT LIKE '%@%' OR authz_user LIKE '%@carbon.super' THEN -1234
                ELSE (SELECT um_id FROM um_tenant WHERE um_domain_name = split_part(authz_user, '@', -1)) END;
UPDATE idn_oauth2_authorization_code
    SET authz_user = regexp_replace(regexp_replace(authz_user, '@[^@]*$', ''), '^[^/]*/', '');
ALTER TABLE idn_oauth2_authorization_code DROP COLUMN consumer_key;
ALTER TABLE idn_oauth2_authorization_code ADD PRIMARY KEY (code_id);
ALTER TABLE idn_oauth2_authorization_code
    ADD FOREIGN KEY (consumer_key_id) REFERENCES idn_oauth_consumer_apps (id) ON DELETE CASCADE;

ALTER TABLE idn_oauth1a_access_token ADD COLUMN consumer_key_id INTEGER;
UPDATE idn_oauth1a_access_token t SET consumer_key_id = a.id FROM idn_oauth_consumer_apps a
    WHERE a.consumer_key = t.consumer_key;
ALTER TABLE idn_oauth1a_access_token DROP COLUMN consumer_key;
ALTER TABLE idn_oauth1a_access_token
    ADD FOREIGN KEY (consumer_key_id) REFERENCES idn_oauth_consumer_apps (id) ON DELETE CASCADE;

ALTER TABLE idn_associated_id ADD COLUMN domain_name VARCHAR(255);
UPDATE idn_associated_id SET
    domain_name = CASE WHEN user_name LIKE '%/%' THEN upper(split_part(user_name, '/', 1)) ELSE 'PRIMARY' END,
    user_name = regexp_replace(user_name, '^[^/]*/', '');
ALTER TABLE idn_associated_id ALTER COLUMN domain_name SET NOT NULL;

DELETE FROM idn_auth_session_store;
ALTER TABLE idn_auth_session_store DROP CONSTRAINT idn_auth_session_store_pkey;
ALTER TABLE idn_auth_session_store DROP COLUMN time_created;
ALTER TABLE idn_auth_session_store ADD COLUMN operation VARCHAR(10) NOT NULL, ADD COLUMN time_created BIGINT NOT NULL;
ALTER TABLE idn_auth_session_store ADD PRIMARY KEY (session_id, session_type, time_created, operation);

-- Not the vendor's: the old keys, by which replay finds the rows again.
CREATE UNIQUE INDEX hw_access_token ON idn_oauth2_access_token (access_token);
CREATE UNIQUE INDEX hw_authorization_code ON idn_oauth2_authorization_code (authorization_code);
