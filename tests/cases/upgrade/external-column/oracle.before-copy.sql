UPDATE sp_app SET secret_hash = NULL;
