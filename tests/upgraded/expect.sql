SELECT count(*) = 0 FROM token WHERE app_id IS NOT NULL AND app_id NOT IN (SELECT id FROM app)
SELECT count(*) = 0 FROM token_scope WHERE code NOT IN (SELECT code FROM token)
SELECT count(*) = 2 FROM idp WHERE id IN (901, 902)
