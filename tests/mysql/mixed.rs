//! One kind of server on one side, the other kind on the other.

use super::{eventually_same, mysql};
use crate::support::compare::assert_same;
use crate::support::{Highwater, Kind, MysqlServer, Pair};

on_both!(
    the_whole_route,
    a_refused_row_is_parked_and_unique_values_swap,
    tables_are_not_made_for_the_other_kind,
    keys_need_one_collation,
    a_condition_that_the_source_cannot_read_is_not_counted,
);

/// Charset and collation are said: the servers' own ones differ, and so do keys then.
const TABLES: &str = "
    CREATE TABLE parents (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, note TEXT, at DATETIME(3), amount DECIMAL(12,3), raw VARBINARY(20))
        DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
    CREATE TABLE children (parent VARCHAR(40) COLLATE utf8mb4_bin NOT NULL, n INT NOT NULL, note TEXT, PRIMARY KEY (parent, n))
        DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
    CREATE TABLE audit (happened INT, what VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_swedish_ci);";

const ROWS: &str = "
    INSERT INTO parents VALUES (1, 'a', 'x', '2024-02-29 10:00:00.125', 1.5, X'00FF'), (2, 'b', NULL, NULL, NULL, NULL), (3, 'ü', '漢字', '1999-01-01', -0.001, X'');
    INSERT INTO children VALUES ('a', 1, 'one'), ('A', 1, 'two'), ('ü', 1, NULL);
    INSERT INTO audit VALUES (1, 'é'), (1, 'é'), (NULL, NULL);";

const CHANGES: &str = "
    INSERT INTO parents (name, raw) VALUES ('new', X'C3');
    UPDATE parents SET name = 'tmp' WHERE id = 1; UPDATE parents SET name = 'a' WHERE id = 2; UPDATE parents SET name = 'b' WHERE id = 1;
    UPDATE children SET parent = 'B' WHERE parent = 'A';
    DELETE FROM parents WHERE id = 3;
    INSERT INTO audit VALUES (2, 'b');
    DELETE FROM audit WHERE happened IS NULL;";

/// From a server of `kind` to one of the other kind.
async fn shop(kind: Kind) -> (Pair, Highwater) {
    let other = if kind == Kind::Mysql { Kind::Mariadb } else { Kind::Mysql };
    let pair = Pair::mysql_on(MysqlServer::shared(kind), MysqlServer::shared(other)).await;
    pair.execute_on_both(TABLES).await;
    pair.source.execute(ROWS).await;
    let highwater = Highwater::new(&pair).setting("replay.batch_rows", "2");
    (pair, highwater)
}

async fn the_whole_route(kind: Kind) {
    let (pair, highwater) = shop(kind).await;
    highwater.run(&["copy"]).await.ok();
    assert_same(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute(CHANGES).await;
    eventually_same(&pair).await;
    daemon.kill9().await;
    pair.source
        .execute("UPDATE parents SET note = 'again'; TRUNCATE audit; INSERT INTO audit VALUES (9, 'z')")
        .await;
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
    let insert = "INSERT INTO parents (name) VALUES ('later')";
    assert!(pair.source.try_execute(insert).await.is_err(), "the fence refuses it");
    pair.target.execute(insert).await;
    let id = "SELECT id FROM parents WHERE name = 'later'";
    assert_eq!(pair.target.value(id).await, "5", "the counter has come along");
    highwater.run(&["final-sync", "--lift"]).await.ok();
    pair.source.execute(insert).await;
    highwater.run(&["clean", "--yes"]).await.ok();
}

async fn a_refused_row_is_parked_and_unique_values_swap(kind: Kind) {
    let (pair, highwater) = shop(kind).await;
    pair.target.execute("ALTER TABLE parents ADD CONSTRAINT no_poison CHECK (note <> 'poison')").await;
    highwater.run(&["copy"]).await.ok();
    pair.source
        .execute(
            "UPDATE parents SET note = 'poison' WHERE id = 3; UPDATE parents SET note = 'fine' WHERE id < 3",
        )
        .await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("1 rows are parked");
    assert_eq!(pair.target.value("SELECT COUNT(*) FROM parents WHERE note = 'fine'").await, "2");
    pair.source.execute("UPDATE parents SET note = 'cured' WHERE note = 'poison'").await;
    pair.source.execute("UPDATE parents SET name = 'tmp' WHERE id = 1; UPDATE parents SET name = 'a' WHERE id = 2; UPDATE parents SET name = 'b' WHERE id = 1").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn tables_are_not_made_for_the_other_kind(kind: Kind) {
    let (pair, highwater) = shop(kind).await;
    let highwater = highwater.setting("copy.schema", "create");
    highwater.run(&["plan"]).await.ok();
    pair.target.execute("DROP TABLE audit").await;
    highwater.run(&["plan"]).await.expect_code(3).says("copy.schema = \"expect\"");
}

async fn keys_need_one_collation(kind: Kind) {
    let (pair, highwater) = shop(kind).await;
    pair.target
        .execute("ALTER TABLE children MODIFY parent VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL")
        .await;
    highwater.run(&["plan"]).await.expect_code(3).says("the same collation");
    assert_eq!(mysql(&pair.source).kind(), kind);
}

/// The server's words stand for a count, and `plan` goes on.
async fn a_condition_that_the_source_cannot_read_is_not_counted(kind: Kind) {
    let (pair, highwater) = shop(kind).await;
    let (only_there, function) = match kind {
        Kind::Mariadb => ("regexp_like(note, '^[a-z]*$')", "regexp_like"),
        Kind::Mysql => ("json_compact(note) <> 'x'", "json_compact"),
    };
    pair.target
        .execute(&format!(
            "ALTER TABLE parents ADD CONSTRAINT there CHECK ({only_there}), ADD CONSTRAINT both_sides CHECK (name <> 'ü')"
        ))
        .await;
    let output = highwater.run(&["plan"]).await.ok();
    let said =
        |text: &str| output.stdout.lines().find(|l| l.contains(text)).unwrap_or_default().to_lowercase();
    assert!(said("CHECK there").contains("not counted: "), "{}", output.stdout);
    assert!(
        said("CHECK there").split("not counted: ").nth(1).unwrap().contains(function),
        "{}",
        output.stdout
    );
    assert!(said("CHECK both_sides").contains("1 rows don't fit, such as id 3, name ü"), "{}", output.stdout);
}
