INSERT INTO idp VALUES (101, 1, 'google'), (102, 1, 'facebook'), (103, 2, 'google'), (104, 2, 'saml'), (105, 1, 'github');
INSERT INTO idn_associated_id VALUES (1, 'google', 1, 'ann'), (2, 'facebook', 1, 'ann'), (3, 'google', 2, 'ann'),
    (4, 'saml', 2, 'bob'), (5, 'google', 1, 'cid'), (6, 'github', 1, 'dan'), (7, 'facebook', 1, 'eve');
