CREATE TABLE um_user (um_id INT NOT NULL PRIMARY KEY, um_name VARCHAR(60) NOT NULL);
CREATE TABLE um_group (um_id INT NOT NULL PRIMARY KEY, um_name VARCHAR(60) NOT NULL);
CREATE TABLE um_user_role (user_name VARCHAR(60) NOT NULL, role_name VARCHAR(60) NOT NULL, note VARCHAR(60), PRIMARY KEY (user_name, role_name));
CREATE TABLE um_group_role (group_name VARCHAR(60) NOT NULL, role_name VARCHAR(60) NOT NULL, PRIMARY KEY (group_name, role_name));
