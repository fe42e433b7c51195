INSERT INTO um_user VALUES (1, 'ann'), (2, 'bob'), (3, 'cid'), (4, 'dan');
INSERT INTO idn_oauth2_scope VALUES ('openid', 'Open id'), ('mine', 'Mine'), ('yours', NULL);
