//! A source that is itself fed by a subscription: its apply workers fire row triggers only.

use std::time::Duration;

use highwater::engine::Stamp;

use super::Case;
use crate::support::{Database, Server, eventually, soon};

const TABLES: &str = "CREATE TABLE t (a int PRIMARY KEY, v text); CREATE TABLE k (v text);
    ALTER TABLE k REPLICA IDENTITY FULL;
    CREATE TABLE p (a int PRIMARY KEY, v text) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)";

#[tokio::test]
async fn what_apply_workers_write_is_captured_and_fenced() {
    // One of its own: origins of replication are those of the whole server, and other tests look for them.
    let server = Server::start_own(&[]);
    let origin = server.database().await;
    origin.execute(TABLES).await;
    origin.execute("CREATE PUBLICATION p FOR ALL TABLES").await;
    let slot = format!("s_{}", origin.name());
    origin.rows_as_text(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    let database = server.database().await;
    database.execute(TABLES).await;
    let url = format!("host=127.0.0.1 port={} user=postgres dbname={}", server.port(), origin.name());
    let subscribe = format!(
        "CREATE SUBSCRIPTION s CONNECTION '{url}' PUBLICATION p WITH (create_slot = false, slot_name = '{slot}', copy_data = false)"
    );
    database.execute(&subscribe).await;
    let case = Case::on(database, "postgres").await;
    case.install().await;
    case.sound("t").await;
    let mut reader = case.reader("t").await;
    origin.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO k VALUES ('x'); INSERT INTO p VALUES (1, 'p')").await;
    origin.execute("UPDATE t SET v = 'c' WHERE a = 1; UPDATE t SET a = 3 WHERE a = 2; DELETE FROM p").await;
    eventually(Duration::from_secs(10), async || case.log("p").await.len() == 2).await;
    assert_eq!(case.log("t").await, ["I 1", "I 2", "U 1", "D 2", "I 3"]);
    assert_eq!(case.log("k").await, ["W"]);
    assert_eq!(case.log("p").await, ["I 1", "D 1"]);
    assert_eq!(reader.next().await, ["t 1 1 c", "f 2 \\N \\N", "t 3 3 b"]);
    case.execute("INSERT INTO t VALUES (9, 'own')").await;
    assert_eq!(reader.next().await, ["t 9 9 own"]);
    origin.execute("TRUNCATE t").await;
    eventually(Duration::from_secs(10), async || case.log("t").await.contains(&"T".to_owned())).await;
    case.sound("t").await;

    let stamp = Stamp { epoch: 1, attempt: 2 };
    case.source.raise_fence(&case.plan, stamp, soon()).await.unwrap();
    case.source.prove_fence(&case.plan, stamp).await.unwrap();
    origin.execute("INSERT INTO t VALUES (5, 'behind the fence')").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let count = "SELECT count(*) FROM t";
    assert_eq!(case.database.rows_as_text(count).await[0][0].as_deref(), Some("0"));
    case.execute(
        "ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s",
    )
    .await;
    case.mendable("t").await;
    case.source.lower_fence(stamp).await.unwrap();
    case.install().await;
    case.sound("t").await;
    let drop = format!("SELECT pg_drop_replication_slot('{slot}')");
    eventually(Duration::from_secs(10), async || {
        let mut connection = origin.connect().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop.clone())).execute(&mut connection).await.is_ok()
    })
    .await;
}

/// A subscription to `origin` in another database of its server.
async fn subscribe(server: &Server, origin: &Database, tables: &str) -> Database {
    let subscriber = server.database().await;
    let slot = format!("s_{}", subscriber.name());
    origin.rows_as_text(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    subscriber.execute(tables).await;
    let url = format!("host=127.0.0.1 port={} user=postgres dbname={}", server.port(), origin.name());
    let subscribe = format!(
        "CREATE SUBSCRIPTION {slot} CONNECTION '{url}' PUBLICATION everything \
         WITH (create_slot = false, slot_name = '{slot}', copy_data = false)"
    );
    subscriber.execute(&subscribe).await;
    subscriber
}

/// What `plan` warns of, and what it says to do about it.
#[tokio::test]
async fn subscribers_of_all_tables_stop_unless_they_take_another_publication() {
    let server = Server::start_own(&[]);
    let tables = "CREATE TABLE t (a int PRIMARY KEY, v text)";
    let origin = server.database().await;
    origin.execute(&format!("{tables}; CREATE PUBLICATION everything FOR ALL TABLES")).await;
    let unaware = subscribe(&server, &origin, tables).await;
    let spared = subscribe(&server, &origin, tables).await;
    let case = Case::on(origin, "postgres").await;
    case.execute("INSERT INTO t VALUES (1, 'before')").await;
    let rows = async |of: &Database| of.rows_as_text("SELECT count(*) FROM t").await[0][0].clone();
    for subscriber in [&unaware, &spared] {
        eventually(Duration::from_secs(20), async || rows(subscriber).await.as_deref() == Some("1")).await;
    }
    case.execute("CREATE PUBLICATION ours FOR TABLE t").await;
    spared.execute(&format!("ALTER SUBSCRIPTION s_{} SET PUBLICATION ours", spared.name())).await;
    case.install().await;
    case.execute("INSERT INTO t VALUES (2, 'after')").await;
    eventually(Duration::from_secs(20), async || rows(&spared).await.as_deref() == Some("2")).await;
    let errors = format!(
        "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats WHERE subname = 's_{}'",
        unaware.name()
    );
    eventually(Duration::from_secs(20), async || {
        unaware.rows_as_text(&errors).await[0][0].as_deref() == Some("t")
    })
    .await;
    assert_eq!(rows(&unaware).await.as_deref(), Some("1"), "it stopped");
}
