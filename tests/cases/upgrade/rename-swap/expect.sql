SELECT count(*) = 0 FROM idn_oauth2_scope WHERE tenant_id = 0
SELECT count(*) = 0 FROM idn_oauth2_resource_scope WHERE tenant_id = 0
SELECT display_name = 'Renamed' FROM idn_oauth2_resource_scope WHERE name = 'openid' AND tenant_id = -1
