INSERT INTO reg_log VALUES (6, '/f', NULL);
UPDATE reg_log SET reg_log_id = 11, reg_path = '/aa' WHERE reg_log_id = 1;
INSERT INTO idn_session VALUES ('s6', 'six');
UPDATE idn_session SET session_object = 'away' WHERE session_id = 's1';
UPDATE idn_session SET session_object = 'five again' WHERE session_id = 's5';
UPDATE idn_session SET session_id = 's33' WHERE session_id = 's3';
DELETE FROM idn_session WHERE session_id = 's4';
INSERT INTO idn_session VALUES ('s4', 'four again');
UPDATE um_cache SET cache_value = 'x';
