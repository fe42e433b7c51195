INSERT INTO idn_oauth2_access_token VALUES ('t9', 'ACTIVE', '2037-01-01 00:00:00', 'h'), ('t 10', 'ACTIVE', '2037-01-01 00:00:00', 'i');
UPDATE idn_oauth2_access_token SET token_state = 'EXPIRED' WHERE access_token = 't1';
UPDATE idn_oauth2_access_token SET note = 'still away' WHERE access_token = 't 3';
