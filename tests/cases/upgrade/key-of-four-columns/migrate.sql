DROP TABLE idn_auth_session_store;
CREATE TABLE idn_auth_session_store (
    session_id VARCHAR(60) NOT NULL, session_type VARCHAR(60) NOT NULL, operation VARCHAR(10) NOT NULL,
    session_object VARCHAR(200), time_created BIGINT NOT NULL, tenant_id INT DEFAULT -1,
    PRIMARY KEY (session_id, session_type, time_created, operation)
);
