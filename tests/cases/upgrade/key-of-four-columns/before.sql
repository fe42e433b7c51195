INSERT INTO idn_auth_session_store VALUES ('s6', 'web', 'six', '2026-06-02 08:00:00');
UPDATE idn_auth_session_store SET session_object = 'two again' WHERE session_id = 's1' AND session_type = 'app';
DELETE FROM idn_auth_session_store WHERE session_id = 's4';
