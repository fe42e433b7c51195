-- Carbon 4.0 as far as its upgrade to 4.2 changes it, and a registry table without a key.
CREATE TABLE um_tenant (um_id {number}, um_domain_name VARCHAR(255) NOT NULL UNIQUE);
CREATE TABLE um_user (
    um_id INTEGER NOT NULL,
    um_user_name VARCHAR(255) NOT NULL,
    um_tenant_id INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (um_id, um_tenant_id)
);
CREATE TABLE um_hybrid_role (
    um_id INTEGER NOT NULL,
    um_role_name VARCHAR(255),
    um_tenant_id INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (um_id, um_tenant_id)
);
CREATE TABLE um_user_role (
    um_id INTEGER NOT NULL,
    um_role_id INTEGER NOT NULL,
    um_user_id INTEGER NOT NULL,
    um_tenant_id INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (um_id, um_tenant_id)
);
CREATE TABLE reg_path (
    reg_path_id INTEGER NOT NULL,
    reg_path_value VARCHAR(500) NOT NULL,
    reg_tenant_id INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (reg_path_id, reg_tenant_id)
);
CREATE TABLE reg_resource (
    reg_path_id INTEGER NOT NULL,
    reg_version INTEGER NOT NULL,
    reg_tenant_id INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (reg_version, reg_tenant_id)
);
CREATE TABLE reg_resource_tag (
    reg_tag_id INTEGER NOT NULL,
    reg_version INTEGER,
    reg_path_id INTEGER,
    reg_resource_name VARCHAR(256),
    reg_tenant_id INTEGER NOT NULL DEFAULT 0
);
