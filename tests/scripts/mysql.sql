/*M!999999\- enable the sandbox mode */
-- A comment; with an 'apostrophe
--
# A hash; "too
/* a block; it's */
CREATE TABLE `semi;colon` (id INT PRIMARY KEY, `a``b;` TEXT);
INSERT INTO `semi;colon` VALUES (1, 'it''s; here'), (2, 'a\'b;\\'), (3, "dq;'x\""), (4, 'x' /* ; */), (5, 'a -- b'),
    (6, '# c'), (7, "a""b;"), (8, 'two
lines;');
INSERT INTO `semi;colon` VALUES (9, 5--1), (10, NULL); -- five and one; no comment
--without a space; as no statement was begun
/*!40101 SET @before = @@sql_mode */;
/*!40000 INSERT INTO `semi;colon` VALUES (11, 'versioned;') */;
/*!999998 INSERT INTO `semi;colon` VALUES (12, 'never') */;
SELECT /*+ NO_MERGE() */ 1;
CREATE TABLE words (id INT AUTO_INCREMENT PRIMARY KEY, w VARCHAR(40));
DELIMITER //
CREATE TRIGGER capitals BEFORE INSERT ON words FOR EACH ROW
BEGIN
    -- a comment; in a body
    IF NEW.w LIKE 'x%' THEN SET NEW.w = CASE NEW.w WHEN 'x1' THEN 'one;' ELSE 'other//' END; END IF;
    CASE WHEN NEW.w IS NULL THEN SET NEW.w = 'null'; ELSE BEGIN END; END CASE;
END//
CREATE PROCEDURE fill(n INT)
BEGIN
    DECLARE i INT DEFAULT 0;
    WHILE i < n DO
        INSERT INTO words (w) VALUES ('filled;');
        SET i = i + 1;
    END WHILE;
END //
DELIMITER ;
CALL fill(3);
INSERT INTO words (w) VALUES ('x1'), ('x2'), (NULL);
delimiter $$
INSERT INTO words (w) VALUES ('$;')$$ INSERT INTO words (w) VALUES ('two on a line')$$
DELIMITER ';;'
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC BEGIN RETURN n * 2; END;;
Delimiter ;
INSERT INTO words (w) VALUES (twice(21));
SET sql_mode = 'ANSI_QUOTES';
INSERT INTO "semi;colon" VALUES (20, 'quoted; "so"');
SET sql_mode = @before;
START TRANSACTION;
INSERT INTO words (w) VALUES ('undone;');
ROLLBACK;
BEGIN;
INSERT INTO words (w) VALUES ('kept;');
COMMIT;
LOCK TABLES words WRITE, `semi;colon` READ;
INSERT INTO words (w) SELECT `a``b;` FROM `semi;colon` WHERE id = 3;
UNLOCK TABLES;
CREATE TABLE last_one AS SELECT count(*) AS n FROM words
