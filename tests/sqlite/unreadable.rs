//! Tables that only the application can read concern themselves only.

use std::cmp::Ordering;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::rig::execute;
use crate::support::compare::assert_same;
use crate::support::{Highwater, Pair};

/// Tables of an application that has a collation of its own.
const TABLES: &str = "
    CREATE TABLE good (id INTEGER PRIMARY KEY, v); INSERT INTO good VALUES (1, 'a');
    CREATE TABLE named (id INTEGER PRIMARY KEY, v TEXT COLLATE app); CREATE INDEX named_v ON named (v);
    CREATE TABLE keyed (k TEXT COLLATE app PRIMARY KEY NOT NULL);
    CREATE TABLE checked (id INTEGER PRIMARY KEY, v TEXT COLLATE app CHECK (v < 'a'));
    INSERT INTO named VALUES (1, 'a'); INSERT INTO keyed VALUES ('a'); INSERT INTO checked VALUES (1, 'b');";

async fn of_application(pair: &Pair) -> sqlx::SqliteConnection {
    let options = SqliteConnectOptions::new().filename(pair.source.sqlite().path());
    options.collation("app", |a: &str, b: &str| -> Ordering { b.cmp(a) }).connect().await.unwrap()
}

#[tokio::test]
async fn a_table_with_an_applications_collation_is_named_and_can_be_excluded() {
    let pair = Pair::sqlite().await;
    execute(&mut of_application(&pair).await, TABLES).await;
    let highwater = Highwater::new(&pair).setting("copy.schema", "create");
    let plan = highwater.run(&["plan"]).await.expect_code(3);
    plan.says("named: ").says("keyed: ").says("checked: ").says("no such collation sequence: app");
    let highwater = highwater.setting("database.main.exclude", "[\"named\", \"keyed\", \"checked\"]");
    highwater.run(&["copy"]).await.ok();
    execute(&mut of_application(&pair).await, "UPDATE good SET v = 'b'; INSERT INTO good VALUES (2, 'c')")
        .await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value("SELECT count(*) FROM good WHERE v IN ('b', 'c')").await, "2");
}

#[tokio::test]
async fn a_table_of_many_columns_is_carried_with_and_without_a_key() {
    let pair = Pair::sqlite().await;
    let columns: Vec<String> = (1..1100).map(|n| format!("c{n}")).collect();
    let columns = columns.join(", ");
    pair.execute_on_both(&format!(
        "CREATE TABLE wide (id INTEGER PRIMARY KEY, {columns}); CREATE TABLE keyless (id, {columns})"
    ))
    .await;
    let rows = "INSERT INTO wide (id, c1099) VALUES (1, 'a'), (2, 'b'); INSERT INTO keyless (id, c1) VALUES (1, 1), (1, 1)";
    pair.source.execute(rows).await;
    let highwater = Highwater::new(&pair);
    highwater.run(&["copy"]).await.ok();
    pair.source
        .execute(
            "UPDATE wide SET c500 = 5; DELETE FROM wide WHERE id = 2; INSERT INTO keyless (id) VALUES (3)",
        )
        .await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}
