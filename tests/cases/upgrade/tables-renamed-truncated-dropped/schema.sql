CREATE TABLE reg_log (reg_log_id INT NOT NULL PRIMARY KEY, reg_path VARCHAR(60), reg_user_id VARCHAR(60));
CREATE TABLE idn_session (session_id VARCHAR(60) NOT NULL PRIMARY KEY, session_object VARCHAR(60));
CREATE TABLE um_cache (cache_key VARCHAR(60) NOT NULL PRIMARY KEY, cache_value VARCHAR(60));
