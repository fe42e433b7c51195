-- The script dropped the sessions of its time; those that came later stand. 's2', which was only updated
-- later, stays away.
INSERT INTO idn_auth_session_store (session_id, session_type, operation, session_object, time_created) VALUES
    ('s33', 'web', 'STORE', 'four', 1767484799000000000),
    ('s7', 'web', 'STORE', 'seven again', 1780567200000000000),
    ('s8', 'web', 'STORE', 'eight', 1780477200000000000),
    ('s9', 'web', 'STORE', 'nine', 1780560000000000000),
    ('s4', 'app', 'STORE', 'four again', 1780563600000000000);
