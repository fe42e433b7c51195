//! What is particular to MySQL and MariaDB, with the real program.

mod connecting;
mod definitions;
mod keys;
mod lists;
mod mixed;
mod outages;
mod privileges;
mod survey;

use crate::support::compare::eventually_same;
use crate::support::{Db, Kind, MysqlDatabase, MysqlServer, Pair};

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

/// Both sides on that server, with [`SHOP`] on both and [`ROWS`] on the source.
async fn shop_on(server: &MysqlServer) -> Pair {
    let pair = Pair::mysql_on(server, server).await;
    pair.execute_on_both(SHOP).await;
    pair.source.execute(ROWS).await;
    pair
}

/// A user with all rights on both sides' databases, and the others that docs/mysql.md names.
async fn user_of(server: &MysqlServer, pair: &Pair) -> String {
    let user = server.user("").await;
    let both = [&pair.source, &pair.target].map(|side| format!("{}.*", mysql(side).name()));
    for on in both.iter().map(String::as_str).chain(["highwater_capture.*"]) {
        server.execute(&format!("GRANT ALL ON {on} TO {user}@'%'")).await;
    }
    server.execute(&format!("GRANT PROCESS ON *.* TO {user}@'%'")).await;
    if server.kind() == Kind::Mysql {
        server.execute(&format!("GRANT XA_RECOVER_ADMIN ON *.* TO {user}@'%'")).await;
    }
    user
}

fn mysql(db: &Db) -> &MysqlDatabase {
    db.mysql()
}
