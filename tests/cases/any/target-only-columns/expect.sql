SELECT count(*) = 3 FROM users WHERE tenant = 7 AND extra IS NULL
