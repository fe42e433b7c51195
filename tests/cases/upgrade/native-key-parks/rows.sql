INSERT INTO um_user VALUES (1, 'ann'), (2, 'bob'), (3, 'cid');
