//! A source that is itself fed by a subscription: its apply workers fire row triggers only.

use std::time::Duration;

use highwater::engine::Stamp;

use super::Case;
use crate::support::{Server, eventually, soon};

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
