SELECT count(*) = 2 FROM um_user WHERE um_kind = 'system'
SELECT count(*) = 2 FROM idn_oauth2_scope WHERE name IN ('internal_login', 'SYSTEM')
