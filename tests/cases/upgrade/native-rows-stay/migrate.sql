INSERT INTO um_user VALUES (1000, 'wso2.system.user'), (1001, 'wso2.anonymous.user');
INSERT INTO idn_oauth2_scope VALUES ('internal_login', 'Login'), ('SYSTEM', 'System');
ALTER TABLE um_user ADD COLUMN um_kind VARCHAR(10) DEFAULT 'user' NOT NULL;
UPDATE um_user SET um_kind = 'system' WHERE um_id >= 1000;
