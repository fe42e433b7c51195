SELECT um_user_name = 'wso2.system.user' FROM um_user WHERE um_id = 1000
SELECT count(*) = 6 FROM um_user
