DELETE FROM idn_oauth2_access_token WHERE access_token LIKE '% %';
DELETE FROM idn_oauth2_access_token WHERE token_state IS NULL OR token_state <> 'ACTIVE' OR expires < CURRENT_TIMESTAMP;
ALTER TABLE idn_oauth2_access_token ADD COLUMN idp_id INT DEFAULT -1 NOT NULL;
