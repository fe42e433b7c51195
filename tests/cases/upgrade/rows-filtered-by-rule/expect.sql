SELECT count(*) = 0 FROM idn_oauth2_access_token WHERE access_token LIKE '% %' OR token_state IS NULL OR token_state <> 'ACTIVE'
SELECT count(*) = 6 FROM idn_oauth2_access_token
