-- A comment; with an 'apostrophe
/* a block; /* that does not nest, it's */
CREATE TABLE "semi;colon" (id INTEGER PRIMARY KEY, [a;b] TEXT, `c;d` TEXT DEFAULT 'x;');
INSERT INTO "semi;colon" VALUES (1, 'it''s;', 'back\'), (2, 'two
lines;', "a string;"), (3, ';--', '/*;');
INSERT INTO "semi;colon" ([a;b]) VALUES (x'3b');;
CREATE TABLE words (id INTEGER PRIMARY KEY, w TEXT);
CREATE TRIGGER capitals AFTER INSERT ON words BEGIN
    UPDATE words SET w = CASE WHEN NEW.w = 'x' THEN 'one;' ELSE NEW.w END WHERE id = NEW.id; -- ; END;
    INSERT INTO "semi;colon" ([a;b]) SELECT 'END;';
    /* ; END; */
END;
INSERT INTO words (w) VALUES ('x'), ('y');
CREATE TRIGGER IF NOT EXISTS "end;" AFTER UPDATE ON words WHEN CASE NEW.w WHEN 'z' THEN 1 END
BEGIN
    SELECT CASE WHEN 1 THEN 2 END;
    DELETE FROM words WHERE w = 'y' ;
END
-- between; END and its semicolon
;
UPDATE words SET w = 'z' WHERE id = 1;
CREATE TEMPORARY TRIGGER passing AFTER DELETE ON words BEGIN INSERT INTO words (w) VALUES ('again;'); END;
DELETE FROM words WHERE id = 1;
INSERT INTO words (w) VALUES (5 - -1), (3--2; behind the dashes
);
CREATE VIEW seen AS SELECT id AS "begin", w FROM words WHERE w <> ';';
CREATE TABLE last_one AS SELECT count(*) AS n FROM seen
