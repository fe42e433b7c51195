UPDATE shared SET note = 'new' WHERE a = 1;
UPDATE shared SET b = 5 WHERE a = 2;
INSERT INTO shared VALUES (3, 3, NULL);
