SELECT count(*) = 0 FROM idn_oauth2_authorization_code WHERE consumer_key_id NOT IN (SELECT id FROM idn_oauth_consumer_apps)
SELECT count(*) = 2 FROM idn_oauth2_authorization_code c JOIN idn_oauth_consumer_apps a ON a.id = c.consumer_key_id WHERE a.consumer_key = 'k22'
