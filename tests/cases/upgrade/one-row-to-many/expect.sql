SELECT count(*) = 0 FROM idn_oauth2_access_token_scope s WHERE NOT EXISTS (SELECT 1 FROM idn_oauth2_access_token t WHERE t.token_id = s.token_id)
SELECT count(*) = 3 FROM idn_oauth2_access_token t JOIN idn_oauth2_access_token_scope s ON s.token_id = t.token_id WHERE t.access_token = 't99'
SELECT count(*) = 0 FROM idn_oauth2_access_token t JOIN idn_oauth2_access_token_scope s ON s.token_id = t.token_id WHERE t.access_token = 't1'
