CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE place AS (street text, no integer, m mood);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE t (k mood, k2 positive, a integer[], aa text[][], c place, cs place[], r int4range, nr numrange, tr tstzrange, mr int4multirange, e mood[], PRIMARY KEY (k, k2));
INSERT INTO t VALUES
    ('sad', 1, '[-2:0]={1,2,3}', '{{a,NULL},{"b,c","\"q\""}}', ROW('x y', NULL, 'ok'), ARRAY[ROW('a', 1, 'sad')::place, NULL], '[1,5)', '(,10]', '[2024-01-01,)', '{[1,3),[5,8)}', '{sad,happy}'),
    ('happy', 2, '{}', '{}', NULL, '{}', 'empty', '(1.5,1.6)', '(,)', '{}', NULL),
    ('ok', 3, NULL, NULL, ROW(NULL, NULL, NULL), NULL, NULL, NULL, NULL, NULL, '{}');
