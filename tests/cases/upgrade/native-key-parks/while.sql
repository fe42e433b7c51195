UPDATE um_user SET um_user_name = 'anna' WHERE um_id = 1;
