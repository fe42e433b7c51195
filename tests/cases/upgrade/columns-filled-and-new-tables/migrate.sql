CREATE TABLE um_system_user (um_id INT NOT NULL PRIMARY KEY, um_user_name VARCHAR(100) NOT NULL);
INSERT INTO um_system_user VALUES (1, 'wso2.system.user');
CREATE TABLE um_domain (
    um_domain_id {number}, um_domain_name VARCHAR(100) NOT NULL, um_tenant_id INT NOT NULL,
    UNIQUE (um_domain_name, um_tenant_id)
);
INSERT INTO um_domain (um_domain_name, um_tenant_id) SELECT 'PRIMARY', um_id FROM um_tenant;
INSERT INTO um_domain (um_domain_name, um_tenant_id) VALUES ('PRIMARY', -1234), ('INTERNAL', -1234);
ALTER TABLE um_user_role ADD COLUMN um_domain_id INT;
ALTER TABLE um_user_role ADD COLUMN um_user_upper VARCHAR(100);
ALTER TABLE um_user_role ADD COLUMN um_state VARCHAR(10) DEFAULT 'active';
UPDATE um_user_role SET um_user_upper = upper(um_user_name), um_domain_id =
    (SELECT d.um_domain_id FROM um_domain d
     WHERE d.um_tenant_id = um_user_role.um_tenant_id AND d.um_domain_name = 'PRIMARY');
