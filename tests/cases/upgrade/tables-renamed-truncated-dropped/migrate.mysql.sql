RENAME TABLE reg_log TO reg_audit_log;
ALTER TABLE reg_audit_log CHANGE reg_user_id reg_user_name VARCHAR(60);
TRUNCATE TABLE idn_session;
DROP TABLE um_cache;
