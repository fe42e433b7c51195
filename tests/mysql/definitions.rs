//! Tables that highwater makes are those of the source, to the letter.

use crate::support::compare::assert_same;
use crate::support::{Db, Highwater, Kind, MysqlServer, Pair};

on_both!(tables_are_made_to_the_letter);

const TABLES: [&str; 8] = ["plain", "odd `name", "parts", "keyless", "parent", "child", "loop_a", "loop_b"];

const DDL: &str = "
    CREATE TABLE plain (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, code CHAR(3) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL DEFAULT 'a,b',
        e ENUM('x','it''s, (') NOT NULL DEFAULT 'x', s SET('a','b') DEFAULT NULL, j JSON, d DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        n DECIMAL(20,5) DEFAULT 0.5, twice BIGINT GENERATED ALWAYS AS (n * 2) STORED, less BIGINT GENERATED ALWAYS AS (n - 1) VIRTUAL,
        body MEDIUMTEXT COMMENT 'with KEY `x` (`y`), and ''quotes''', spot POINT NOT NULL,
        PRIMARY KEY (id), UNIQUE KEY by_code (code, e), KEY by_body (body(30)), KEY by_less (less), FULLTEXT KEY words (body), SPATIAL KEY spots (spot), CHECK (n < 1000000))
        DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci COMMENT='AUTO_INCREMENT=7';
    CREATE TABLE `odd ``name` (`a``b` INT NOT NULL, `select` INT, UNIQUE KEY `u ``,(` (`a``b`));
    CREATE TABLE parts (id INT NOT NULL, at INT NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)
        (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
    CREATE TABLE keyless (what VARBINARY(10));
    CREATE TABLE parent (id INT PRIMARY KEY, up INT, KEY up (up), CONSTRAINT itself FOREIGN KEY (up) REFERENCES parent (id) ON DELETE SET NULL);
    CREATE TABLE child (id INT PRIMARY KEY, p INT NOT NULL, CONSTRAINT of_parent FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE loop_a (id INT PRIMARY KEY, b INT);
    CREATE TABLE loop_b (id INT PRIMARY KEY, a INT, CONSTRAINT b_a FOREIGN KEY (a) REFERENCES loop_a (id));
    ALTER TABLE loop_a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES loop_b (id);
    CREATE VIEW of_views AS SELECT 1 AS one;
    CREATE VIEW named AS SELECT p.id, c.p FROM parent p JOIN child c ON c.p = p.id;
    CREATE OR REPLACE VIEW of_views AS SELECT * FROM named WHERE id > 0;";

const ROWS: &str = r#"
    INSERT INTO plain (code, s, j, body, spot) VALUES ('a', 'a,b', '{"k": [1, 2]}', 'some words', POINT(1, 2)), ('b', NULL, NULL, NULL, POINT(0, 0));
    INSERT INTO `odd ``name` VALUES (1, 2), (2, NULL);
    INSERT INTO parts VALUES (1, 1), (1, 11);
    INSERT INTO keyless VALUES (X'00'), (X'00'), (NULL);
    INSERT INTO parent VALUES (1, NULL), (2, 1);
    INSERT INTO child VALUES (1, 1), (2, 2);
    INSERT INTO loop_a VALUES (1, NULL); INSERT INTO loop_b VALUES (1, 1); UPDATE loop_a SET b = 1;"#;

/// What the server says of a table, line by line; indexes come in any order.
async fn shown(db: &Db, what: &str, name: &str) -> Vec<String> {
    let sql = format!("SHOW CREATE {what} \"{name}\"");
    let text = db.rows_as_text(&sql).await[0][1].clone().unwrap();
    // MySQL says the character set of a column again if its definition said it.
    let text = text.replace(db.mysql().name(), "DATABASE").replace(" CHARACTER SET utf8mb4", "");
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect();
    lines.sort();
    lines
}

async fn tables_are_made_to_the_letter(kind: Kind) {
    let server = MysqlServer::shared(kind);
    let pair = Pair::mysql_on(server, server).await;
    pair.source.execute(DDL).await;
    pair.source.execute(ROWS).await;
    let highwater = Highwater::new(&pair).setting("copy.schema", "create");
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
    for table in TABLES {
        assert_eq!(shown(&pair.source, "TABLE", table).await, shown(&pair.target, "TABLE", table).await);
    }
    for view in ["named", "of_views"] {
        assert_eq!(shown(&pair.source, "VIEW", view).await, shown(&pair.target, "VIEW", view).await);
    }
}
