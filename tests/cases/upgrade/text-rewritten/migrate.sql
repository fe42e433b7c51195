UPDATE reg_path SET path_value = replace(path_value, '-at-', '-AT-');
UPDATE um_role_permission SET role_name = replace(role_name, '-at-', '-AT-'), resource_id = replace(resource_id, '-at-', '-AT-');
UPDATE reg_property SET content = replace(content, '-at-', '-AT-');
