//! What is particular to MySQL and MariaDB, with the real program.

mod connecting;
mod definitions;
mod lists;
mod mixed;
mod outages;
mod privileges;
mod survey;

use std::time::Duration;

use crate::support::compare::differences;
use crate::support::{Db, MysqlDatabase, Pair, eventually};

/// Tables with a cascade, a table without a key, and rows.
const SHOP: &str = "
    CREATE TABLE parents (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL UNIQUE, note TEXT);
    CREATE TABLE children (parent_id INT NOT NULL, n INT NOT NULL, note TEXT, PRIMARY KEY (parent_id, n),
        CONSTRAINT child FOREIGN KEY (parent_id) REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE audit (happened INT, what TEXT);";

const ROWS: &str = "
    INSERT INTO parents VALUES (1, 'a', 'x'), (2, 'b', NULL), (3, 'c', 'z'), (4, 'd', '');
    INSERT INTO children VALUES (1, 1, 'one'), (1, 2, 'two'), (2, 1, 'three'), (3, 1, NULL);
    INSERT INTO audit VALUES (1, 'a'), (1, 'a'), (NULL, NULL);";

const CHANGES: &str = "
    INSERT INTO parents (name) VALUES ('new');
    UPDATE parents SET note = 'changed' WHERE id = 1;
    UPDATE parents SET id = 20 WHERE id = 2;
    DELETE FROM parents WHERE id = 3;
    INSERT INTO audit VALUES (2, 'b');
    DELETE FROM audit WHERE happened IS NULL;";

/// Waits until both sides are the same.
async fn eventually_same(pair: &Pair) {
    eventually(Duration::from_secs(30), || async {
        let differences = differences(&pair.source, &pair.target, &[]).await;
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    })
    .await;
}

fn mysql(db: &Db) -> &MysqlDatabase {
    db.mysql()
}
