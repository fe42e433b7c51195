DELETE FROM token_scope WHERE code IN (SELECT code FROM token WHERE state <> 'ACTIVE');
DELETE FROM token WHERE state <> 'ACTIVE';
INSERT INTO idp VALUES (2, 'again');
