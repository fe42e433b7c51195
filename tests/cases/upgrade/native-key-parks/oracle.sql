UPDATE um_user SET um_user_name = 'wso2.system.user' WHERE um_id = 1000;
