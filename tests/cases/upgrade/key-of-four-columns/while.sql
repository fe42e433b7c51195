INSERT INTO idn_auth_session_store VALUES ('s7', 'web', 'seven', '2026-06-03 08:00:00'), ('s8', 'app', 'eight', '2026-06-03 09:00:00');
UPDATE idn_auth_session_store SET session_id = 's33' WHERE session_id = 's3';
DELETE FROM idn_auth_session_store WHERE session_id = 's5';
