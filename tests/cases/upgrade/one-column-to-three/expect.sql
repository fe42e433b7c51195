SELECT count(*) = 0 FROM idn_oauth2_access_token WHERE authz_user LIKE '%@%' OR authz_user LIKE '%/%'
SELECT tenant_id = 7 FROM idn_oauth2_access_token WHERE access_token = 't10'
SELECT tenant_id = 4 FROM idn_oauth2_access_token WHERE access_token = 't2'
