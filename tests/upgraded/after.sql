DELETE FROM idp WHERE id = 2;
INSERT INTO idp VALUES (2, 'again');
