SELECT count(*) = 5 FROM reg_audit_log
SELECT count(*) = 1 FROM idn_session WHERE session_id = 's33'
