INSERT INTO idn_associated_id VALUES (8, 'saml', 2, 'fay');
UPDATE idn_associated_id SET idp_id = 'facebook' WHERE id = 5;
DELETE FROM idn_associated_id WHERE id = 3;
