ALTER TABLE reg_log RENAME TO reg_audit_log;
ALTER TABLE reg_audit_log RENAME COLUMN reg_user_id TO reg_user_name;
DELETE FROM idn_session;
DROP TABLE um_cache;
