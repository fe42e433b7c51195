SELECT count(*) = 1 FROM idn_auth_session_store WHERE session_id = 's7'
SELECT time_created = 1780567200000000000 FROM idn_auth_session_store WHERE session_id = 's7'
