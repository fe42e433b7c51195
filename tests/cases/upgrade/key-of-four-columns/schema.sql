CREATE TABLE idn_auth_session_store (
    session_id VARCHAR(60) NOT NULL, session_type VARCHAR(60) NOT NULL, session_object VARCHAR(200),
    time_created TIMESTAMP NOT NULL, PRIMARY KEY (session_id, session_type)
);
