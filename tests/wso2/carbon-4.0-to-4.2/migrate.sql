CREATE TABLE um_domain (um_domain_id {number}, um_domain_name VARCHAR(255), um_tenant_id INTEGER DEFAULT 0);
INSERT INTO um_domain (um_domain_name, um_tenant_id) VALUES ('PRIMARY', -1234), ('INTERNAL', -1234);
CREATE TABLE um_system_user (um_id {number}, um_user_name VARCHAR(255) NOT NULL, um_tenant_id INTEGER NOT NULL DEFAULT 0);
CREATE TABLE um_system_role (um_id {number}, um_role_name VARCHAR(255) NOT NULL, um_tenant_id INTEGER NOT NULL DEFAULT 0);
CREATE TABLE um_system_user_role (um_id {number}, um_user_name VARCHAR(255), um_role_id INTEGER NOT NULL);
INSERT INTO um_system_user (um_user_name, um_tenant_id) VALUES ('wso2.system.user', -1234);
ALTER TABLE um_hybrid_role ADD COLUMN um_shared SMALLINT DEFAULT 0;
CREATE TABLE um_shared_user_role (
    um_role_id INTEGER NOT NULL,
    um_user_id INTEGER NOT NULL,
    um_user_tenant_id INTEGER NOT NULL,
    um_role_tenant_id INTEGER NOT NULL,
    UNIQUE (um_role_id, um_user_id, um_user_tenant_id, um_role_tenant_id)
);
