INSERT INTO idp VALUES (1, 'deleted');
