-- The script of the oracle took the late 'ida' for one of its own.
UPDATE um_user SET um_kind = 'user' WHERE um_id = 1002;
