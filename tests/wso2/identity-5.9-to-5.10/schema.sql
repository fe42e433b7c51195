-- Identity Server 5.9 as far as its upgrade to 5.10 changes it.
CREATE TABLE idn_oauth_consumer_apps (
    id {number},
    consumer_key VARCHAR(255),
    username VARCHAR(255),
    user_domain VARCHAR(25),
    CONSTRAINT consumer_key_constraint UNIQUE (consumer_key)
);
CREATE TABLE idn_oauth2_access_token (
    token_id VARCHAR(255) NOT NULL,
    access_token VARCHAR(2048),
    consumer_key_id INTEGER,
    authz_user VARCHAR(100),
    tenant_id INTEGER,
    user_domain VARCHAR(50),
    time_created {time},
    refresh_token_time_created {time},
    validity_period BIGINT,
    refresh_token_validity_period BIGINT,
    token_state VARCHAR(25) DEFAULT 'ACTIVE',
    PRIMARY KEY (token_id),
    FOREIGN KEY (consumer_key_id) REFERENCES idn_oauth_consumer_apps (id) ON DELETE CASCADE
);
CREATE TABLE idn_oauth2_access_token_scope (
    token_id VARCHAR(255) NOT NULL,
    token_scope VARCHAR(60) NOT NULL,
    tenant_id INTEGER DEFAULT -1,
    PRIMARY KEY (token_id, token_scope)
);
CREATE TABLE idn_oauth2_authorization_code (
    code_id VARCHAR(255) NOT NULL,
    authorization_code VARCHAR(2048),
    consumer_key_id INTEGER,
    time_created {time},
    validity_period BIGINT,
    state VARCHAR(25) DEFAULT 'ACTIVE',
    token_id VARCHAR(255),
    PRIMARY KEY (code_id)
);
CREATE TABLE idn_oauth2_scope (
    scope_id {number},
    name VARCHAR(255) NOT NULL,
    display_name VARCHAR(255) NOT NULL,
    tenant_id INTEGER NOT NULL DEFAULT -1
);
CREATE TABLE idn_oauth2_scope_binding (
    scope_id INTEGER NOT NULL,
    scope_binding VARCHAR(255) NOT NULL,
    FOREIGN KEY (scope_id) REFERENCES idn_oauth2_scope (scope_id) ON DELETE CASCADE
);
CREATE TABLE idp (id {number}, tenant_id INTEGER, name VARCHAR(254) NOT NULL, UNIQUE (tenant_id, name));
CREATE TABLE sp_app (id {number}, tenant_id INTEGER NOT NULL, app_name VARCHAR(255) NOT NULL, UNIQUE (app_name, tenant_id));
CREATE TABLE idn_auth_session_store (
    session_id VARCHAR(100) NOT NULL,
    session_type VARCHAR(100) NOT NULL,
    operation VARCHAR(10) NOT NULL,
    session_object {bytes},
    time_created BIGINT NOT NULL,
    PRIMARY KEY (session_id, session_type, time_created, operation)
);
