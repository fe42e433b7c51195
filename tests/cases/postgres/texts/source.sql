CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TABLE t (k char(5) PRIMARY KEY, v varchar(10), t text, b bytea, c citext UNIQUE, h hstore, j json, jb jsonb, x xml, u uuid, ip inet, net cidr, mac macaddr, bits bit(5), vb bit varying, n name, q "char", sv tsvector, sq tsquery, jp jsonpath, p point);
INSERT INTO t (k, v, t, b, c, h, j, jb, u, ip, net, bits, vb, sv, sq, p) VALUES
    ('a', 'x  ', E'tab\tnew\nline\\back\r', '\x00ff5c', 'MiXed', 'a=>1, b=>NULL, "q\"x"=>"y z"', '{"b":1, "a": [1,2 ]}', '{"b":1,"a":null}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1/8', '10.0.0.0/8', B'10101', B'', 'a:1A fat:2B,4C', 'fat & !rat', '(1,-0)'),
    ('ab', '', '', '', NULL, '', 'null', 'null', NULL, '::1', '::/0', NULL, B'1', '', NULL, NULL),
    ('é', '\N', '\.', '\x5c4e', 'other', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
