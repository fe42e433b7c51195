INSERT INTO idn_session VALUES ('s5', 'five');
UPDATE reg_log SET reg_user_id = 'cid' WHERE reg_log_id = 3;
UPDATE idn_session SET session_object = 'two again' WHERE session_id = 's2';
DELETE FROM reg_log WHERE reg_log_id = 2;
INSERT INTO um_cache VALUES ('c3', 'three');
