INSERT INTO sp_app VALUES (1, 'a', 's1'), (2, 'b', 's2'), (3, 'c', NULL), (4, 'd', 's4'), (5, 'e', 's5');
