CREATE TABLE reg_path (path_id INT NOT NULL PRIMARY KEY, path_value VARCHAR(100) NOT NULL UNIQUE);
CREATE TABLE um_role_permission (
    role_name VARCHAR(60) NOT NULL, resource_id VARCHAR(100) NOT NULL, is_allowed INT NOT NULL,
    PRIMARY KEY (role_name, resource_id)
);
CREATE TABLE reg_property (id INT NOT NULL PRIMARY KEY, name VARCHAR(60), content TEXT);
