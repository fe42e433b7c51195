UPDATE t SET c = 'mixed', t = '日本語 🎈', j = '{"b":1}' WHERE k = 'a';
UPDATE t SET v = 'x', b = decode(repeat('00ff', 100000), 'hex') WHERE k = 'ab';
INSERT INTO t (k, q, n) VALUES ('', 'é', 'name');
DELETE FROM t WHERE k = 'é';
