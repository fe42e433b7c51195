SELECT count(*) = 0 FROM sp_app WHERE secret_hash <> concat('hash of row ', id)
SELECT count(*) = 7 FROM sp_app
