UPDATE idn_oauth2_access_token SET token_state = 'INACTIVE' WHERE token_id = 'i6';
