-- Each gives 0: what is wrong, counted.
SELECT count(*) - 6 FROM idn_oauth2_access_token
SELECT count(*) FROM idn_oauth2_access_token WHERE access_token IN ('t1', 't3', 't4', 't6', 't7', 't21', 't31')
SELECT count(*) FROM idn_oauth2_access_token t WHERE NOT EXISTS (SELECT 1 FROM idn_oauth_consumer_apps a WHERE a.id = t.consumer_key_id)
SELECT count(*) - 2 FROM idn_oauth2_access_token t JOIN idn_oauth_consumer_apps a ON a.id = t.consumer_key_id WHERE (t.access_token = 't2' AND a.consumer_key = 'ck-mobile') OR (t.access_token = 't30' AND a.consumer_key = 'ck-after')
SELECT count(*) - 1 FROM idn_oauth2_access_token WHERE access_token = 't2' AND authz_user = 'bruce' AND user_domain = 'CORP' AND tenant_id = 1 AND subject_identifier = 'CORP/bruce@wayne.example' AND token_scope_hash = MD5('email profile')
SELECT count(*) - 1 FROM idn_oauth2_access_token WHERE access_token = 't20' AND authz_user = 'tony' AND user_domain = 'PRIMARY' AND tenant_id = 3 AND token_scope_hash = MD5('openid profile')
SELECT count(*) - 1 FROM idn_oauth2_access_token WHERE access_token = 't30' AND authz_user = 'shuri' AND user_domain = 'CORP' AND tenant_id = 4
SELECT count(*) - 2 FROM idn_oauth2_access_token WHERE access_token IN ('t5', 't32') AND authz_user = 'admin' AND tenant_id = -1234 AND token_scope_hash IS NULL
SELECT count(*) - 8 FROM idn_oauth2_access_token_scope
SELECT count(*) - 2 FROM idn_oauth2_access_token_scope s JOIN idn_oauth2_access_token t ON t.token_id = s.token_id WHERE t.access_token = 't2' AND s.token_scope IN ('email', 'profile')
SELECT count(*) - 3 FROM idn_oauth2_access_token_scope s JOIN idn_oauth2_access_token t ON t.token_id = s.token_id WHERE t.access_token = 't30' AND s.token_scope IN ('a', 'b', 'c')
SELECT count(*) FROM idn_oauth2_access_token WHERE CHAR_LENGTH(token_id) <> 36
SELECT count(*) - 5 FROM idn_oauth_consumer_apps
SELECT count(*) - 1 FROM idn_oauth_consumer_apps WHERE consumer_key = 'ck-mobile' AND username = 'alfred' AND user_domain = 'CORP' AND consumer_secret = 'new'
SELECT count(*) - 1 FROM idn_oauth_consumer_apps WHERE consumer_key = 'ck-while' AND username = 'tony' AND user_domain = 'PRIMARY'
SELECT count(*) - 2 FROM idn_oauth2_authorization_code WHERE authorization_code IN ('c2', 'c3') AND state = 'ACTIVE'
SELECT count(*) - 1 FROM idn_oauth2_authorization_code WHERE authorization_code = 'c3' AND authz_user = 'tony' AND tenant_id = 3
SELECT count(*) - 2 FROM idn_oauth1a_access_token WHERE access_token IN ('o1', 'o3') AND consumer_key_id IS NOT NULL
SELECT count(*) - 1 FROM idn_associated_id WHERE id = 2 AND user_name = 'bruce' AND domain_name = 'LDAP'
SELECT count(*) - 1 FROM idn_associated_id WHERE id = 3 AND user_name = 'tony' AND domain_name = 'PRIMARY'
SELECT count(*) FROM idn_auth_session_store
