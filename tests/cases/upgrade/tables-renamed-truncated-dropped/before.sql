INSERT INTO reg_log VALUES (5, '/e', 'eve');
UPDATE idn_session SET session_object = 'one again' WHERE session_id = 's1';
DELETE FROM um_cache WHERE cache_key = 'c1';
