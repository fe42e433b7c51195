-- A comment; with an 'apostrophe and a "quote
/* one /* two ; */ 'still; */
CREATE TABLE "semi;colon" (id int PRIMARY KEY, "a""b;" text);
INSERT INTO "semi;colon" VALUES (1, 'it''s; here'), (2, E'a\'b;\\'), (3, 'back\'), (4, $$dollar; 'quoted' $x$ $$),
    (5, $tag$ $$;$$ $tagg$; $tag$), (6, U&'\0041;'), (7, E'one
    \'two;'), (8, 'b\');
INSERT INTO "semi;colon" VALUES (9, '--; /*'), (10, '*/');;
CREATE TABLE words (id int, w text);
COPY words (id, w) FROM stdin;
1	a;b
2	\\.
3	--no comment
4	\N
\.
copy words from STDIN WITH (FORMAT csv, DELIMITER ','); -- the data; follow
5,"x;
y"
\.
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql
BEGIN ATOMIC
    SELECT CASE WHEN count(*) > 0 THEN (CASE WHEN true THEN 1 END) ELSE 0 END FROM words;
    SELECT count(*) FROM words;
END;
CREATE OR REPLACE FUNCTION plain(begin int, "end" text DEFAULT ';') RETURNS int LANGUAGE sql
    AS 'SELECT $1; SELECT $1 + 1;';
INSERT INTO words SELECT 20, counted()::text || plain(begin => 4);
CREATE PROCEDURE fill(n int) LANGUAGE plpgsql AS $fill$
BEGIN
    FOR i IN 1 .. n LOOP
        INSERT INTO words VALUES (30 + i, 'filled;');
    END LOOP;
END $fill$;
CALL fill(3);
DO $do$ BEGIN IF true THEN INSERT INTO words VALUES (40, $a$;$a$); END IF; END $do$;
CREATE TABLE log (id int);
CREATE RULE doubles AS ON INSERT TO words WHERE NEW.id > 100
    DO ALSO (INSERT INTO log VALUES (NEW.id); INSERT INTO log VALUES (-NEW.id));
INSERT INTO words VALUES (101, 'ruled'), (3 - -1, 'minus') --no space; behind the dashes
;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    NEW.id := NEW.id + 1000; -- it''s; in quotes
    RETURN NEW;
END;';
CREATE TRIGGER noted BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION noted();
INSERT INTO log SELECT 1 AS a$b$c;
SELECT 5 /* between; */ AS five;
SET standard_conforming_strings = on;
CREATE VIEW seen AS SELECT id AS "begin", w FROM words WHERE w <> ';';
CREATE TABLE last_one AS SELECT count(*) AS n FROM seen
