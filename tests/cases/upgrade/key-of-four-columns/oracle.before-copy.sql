-- The script came before any session.
INSERT INTO idn_auth_session_store (session_id, session_type, operation, session_object, time_created) VALUES
    ('s1', 'web', 'STORE', 'one', 1767225601000000000),
    ('s1', 'app', 'STORE', 'two again', 1767225602000000000),
    ('s2', 'web', 'STORE', 'three again', 1767355200000000000),
    ('s6', 'web', 'STORE', 'six', 1780387200000000000),
    ('s33', 'web', 'STORE', 'four', 1767484799000000000),
    ('s7', 'web', 'STORE', 'seven again', 1780567200000000000),
    ('s8', 'web', 'STORE', 'eight', 1780477200000000000),
    ('s9', 'web', 'STORE', 'nine', 1780560000000000000),
    ('s4', 'app', 'STORE', 'four again', 1780563600000000000);
