SELECT idp_id = 102 FROM idn_associated_id WHERE id = 1
SELECT idp_id = 101 FROM idn_associated_id WHERE id = 2
SELECT idp_id = 107 FROM idn_associated_id WHERE id = 10
