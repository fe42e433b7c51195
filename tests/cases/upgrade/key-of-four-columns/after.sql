INSERT INTO idn_auth_session_store VALUES ('s9', 'web', 'nine', '2026-06-04 08:00:00'), ('s4', 'app', 'four again', '2026-06-04 09:00:00');
UPDATE idn_auth_session_store SET session_object = 'seven again', time_created = '2026-06-04 10:00:00' WHERE session_id = 's7';
UPDATE idn_auth_session_store SET session_object = 'three again' WHERE session_id = 's2';
UPDATE idn_auth_session_store SET session_type = 'web' WHERE session_id = 's8';
