ALTER TABLE idn_oauth2_authorization_code ADD COLUMN idp_id INTEGER NOT NULL DEFAULT -1;
ALTER TABLE idn_oauth2_authorization_code ALTER COLUMN idp_id DROP DEFAULT;
ALTER TABLE idn_oauth2_access_token ADD COLUMN idp_id INTEGER NOT NULL DEFAULT -1;
ALTER TABLE idn_oauth2_access_token ALTER COLUMN idp_id DROP DEFAULT;
ALTER TABLE idn_oauth2_scope ADD COLUMN scope_type VARCHAR(255) NOT NULL DEFAULT 'OAUTH2';
ALTER TABLE idn_oauth2_scope ALTER COLUMN scope_type DROP DEFAULT;
ALTER TABLE idn_oauth2_scope_binding ADD COLUMN binding_type VARCHAR(255) NOT NULL DEFAULT 'DEFAULT';
ALTER TABLE idn_oauth2_scope_binding ALTER COLUMN binding_type DROP DEFAULT;
ALTER TABLE idn_oauth2_scope_binding ADD UNIQUE (scope_id, scope_binding, binding_type);
ALTER TABLE idp ADD COLUMN uuid CHAR(36);
UPDATE idp SET uuid = UUID();
ALTER TABLE idp MODIFY uuid CHAR(36) NOT NULL, ADD UNIQUE (uuid);
ALTER TABLE sp_app ADD COLUMN uuid CHAR(36);
UPDATE sp_app SET uuid = UUID();
ALTER TABLE sp_app MODIFY uuid CHAR(36) NOT NULL, ADD UNIQUE (uuid);
CREATE TABLE idn_auth_user (
    user_id VARCHAR(255) NOT NULL PRIMARY KEY,
    user_name VARCHAR(255) NOT NULL
);
