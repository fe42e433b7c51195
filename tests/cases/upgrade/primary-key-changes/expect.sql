SELECT count(*) = 0 FROM minted m JOIN idn_oauth2_access_token t ON t.access_token = m.access_token WHERE t.token_id <> m.token_id
SELECT count(*) = 0 FROM idn_oauth2_access_token WHERE length(token_id) < 32
SELECT count(*) = count(DISTINCT token_id) FROM idn_oauth2_access_token
