CREATE TABLE um_tenant (
    um_id INT NOT NULL PRIMARY KEY, um_domain_name VARCHAR(100) NOT NULL, um_email VARCHAR(100)
);
CREATE TABLE um_user_role (
    um_id INT NOT NULL PRIMARY KEY, um_user_name VARCHAR(100) NOT NULL, um_role_name VARCHAR(100) NOT NULL,
    um_tenant_id INT NOT NULL
);
