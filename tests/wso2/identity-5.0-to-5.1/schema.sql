-- Identity Server 5.0 as far as its upgrade to 5.1 changes it, and the tenants beside it.
CREATE TABLE um_tenant (
    um_id {number},
    um_domain_name VARCHAR(255) NOT NULL,
    um_active SMALLINT DEFAULT 1,
    UNIQUE (um_domain_name)
);
CREATE TABLE idn_oauth_consumer_apps (
    consumer_key VARCHAR(255) NOT NULL,
    consumer_secret VARCHAR(512),
    username VARCHAR(255),
    tenant_id INTEGER DEFAULT 0,
    app_name VARCHAR(255),
    PRIMARY KEY (consumer_key)
);
CREATE TABLE idn_oauth2_access_token (
    access_token VARCHAR(255) NOT NULL,
    refresh_token VARCHAR(255),
    consumer_key VARCHAR(255),
    authz_user VARCHAR(100),
    user_type VARCHAR(25),
    time_created TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    validity_period BIGINT,
    token_scope VARCHAR(255),
    token_state VARCHAR(25) DEFAULT 'ACTIVE',
    token_state_id VARCHAR(128) DEFAULT 'NONE',
    PRIMARY KEY (access_token),
    FOREIGN KEY (consumer_key) REFERENCES idn_oauth_consumer_apps (consumer_key) ON DELETE CASCADE
);
CREATE TABLE idn_oauth2_authorization_code (
    authorization_code VARCHAR(255) NOT NULL,
    consumer_key VARCHAR(255),
    scope VARCHAR(1024),
    authz_user VARCHAR(100),
    time_created TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    validity_period BIGINT,
    PRIMARY KEY (authorization_code),
    FOREIGN KEY (consumer_key) REFERENCES idn_oauth_consumer_apps (consumer_key) ON DELETE CASCADE
);
CREATE TABLE idn_oauth1a_access_token (
    access_token VARCHAR(255) NOT NULL,
    consumer_key VARCHAR(255),
    authz_user VARCHAR(100),
    PRIMARY KEY (access_token),
    FOREIGN KEY (consumer_key) REFERENCES idn_oauth_consumer_apps (consumer_key) ON DELETE CASCADE
);
CREATE TABLE idn_associated_id (
    id {number},
    idp_user_id VARCHAR(255) NOT NULL,
    tenant_id INTEGER DEFAULT -1234,
    user_name VARCHAR(255) NOT NULL
);
CREATE TABLE idn_auth_session_store (
    session_id VARCHAR(100) NOT NULL,
    session_type VARCHAR(100) NOT NULL,
    session_object {bytes},
    time_created TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (session_id, session_type)
);
