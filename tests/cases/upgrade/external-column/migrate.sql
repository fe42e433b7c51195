-- The hash stands for what the vendor's own client would compute.
ALTER TABLE sp_app ADD COLUMN secret_hash VARCHAR(60);
UPDATE sp_app SET secret_hash = 'hash of row ' || id;
