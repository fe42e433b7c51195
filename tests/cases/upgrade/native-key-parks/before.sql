INSERT INTO um_user VALUES (4, 'dan');
