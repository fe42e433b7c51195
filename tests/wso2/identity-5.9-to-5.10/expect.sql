-- Each gives 0: what is wrong, counted.
SELECT count(*) - 5 FROM idn_oauth2_access_token WHERE token_id IN ('i1', 'i2', 'i3', 'i10', 'i20') AND idp_id = -1
SELECT count(*) - 5 FROM idn_oauth2_access_token
SELECT count(*) - 2 FROM idn_oauth2_authorization_code WHERE code_id IN ('d1', 'd2') AND idp_id = -1
SELECT count(*) - 2 FROM idn_oauth2_authorization_code
SELECT count(*) - 3 FROM idn_oauth2_scope WHERE scope_type = 'OAUTH2'
SELECT count(*) - 2 FROM idn_oauth2_scope_binding WHERE binding_type = 'DEFAULT' AND scope_binding IN ('Internal/b', 'Internal/c')
SELECT count(*) - 2 FROM idn_oauth2_scope_binding
SELECT count(*) - 2 FROM idp WHERE CHAR_LENGTH(uuid) = 36
SELECT count(*) - 2 FROM sp_app WHERE CHAR_LENGTH(uuid) = 36 AND app_name IN ('portal 2', 'mobile')
SELECT count(*) - 2 FROM idn_auth_session_store WHERE session_id IN ('s1', 's3') AND time_created = 4000000000000000000
SELECT count(*) - 2 FROM idn_auth_session_store
