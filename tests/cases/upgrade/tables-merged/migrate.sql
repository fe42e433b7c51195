CREATE TABLE um_principal (id {number}, kind VARCHAR(10) NOT NULL, old_id INT NOT NULL, um_name VARCHAR(60) NOT NULL, UNIQUE (kind, old_id));
INSERT INTO um_principal (kind, old_id, um_name) SELECT 'user', um_id, um_name FROM um_user;
INSERT INTO um_principal (kind, old_id, um_name) SELECT 'group', um_id, um_name FROM um_group;
CREATE TABLE um_principal_role (
    id {number}, kind VARCHAR(10) NOT NULL, principal VARCHAR(60) NOT NULL, role_name VARCHAR(60) NOT NULL, note VARCHAR(60),
    UNIQUE (kind, principal, role_name)
);
INSERT INTO um_principal_role (kind, principal, role_name, note) SELECT 'user', user_name, role_name, note FROM um_user_role;
INSERT INTO um_principal_role (kind, principal, role_name) SELECT 'group', group_name, role_name FROM um_group_role;
DROP TABLE um_user;
DROP TABLE um_group;
DROP TABLE um_user_role;
DROP TABLE um_group_role;
