//! The fence: whom it stops, who may still write, who may raise and lift it.

use std::time::Duration;

use highwater::engine::{Fence, Lowered, Stamp};
use highwater::error::Kind;
use sqlx::PgConnection;

use super::Case;
use crate::support::soon;

const TABLES: &str = "CREATE TABLE t (a int PRIMARY KEY, v text); CREATE UNLOGGED TABLE u (a int); CREATE TABLE k (v text);
    CREATE TABLE p (a int PRIMARY KEY) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)";

const FIRST: Stamp = Stamp { epoch: 1, attempt: 1 };

async fn code(case: &Case, sql: &str) -> Option<String> {
    let mut connection = case.database.connect().await;
    run(&mut connection, sql)
        .await
        .err()
        .and_then(|e| e.as_database_error()?.code().map(std::borrow::Cow::into_owned))
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(connection).await.map(|_| ())
}

#[tokio::test]
async fn it_stops_writes_of_every_kind_into_every_table() {
    let case = Case::new(TABLES).await;
    assert_eq!(case.plan.excluded.len(), 1, "an excluded table is fenced too");
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    for write in [
        "INSERT INTO t VALUES (1, 'x')",
        "UPDATE t SET v = 'x'",
        "DELETE FROM t",
        "TRUNCATE t",
        "COPY t FROM '/dev/null'",
        "INSERT INTO t VALUES (1, 'x') ON CONFLICT DO NOTHING",
        "MERGE INTO t USING (VALUES (1)) AS s(a) ON t.a = s.a WHEN NOT MATCHED THEN INSERT VALUES (s.a, '')",
        "WITH w AS (DELETE FROM k RETURNING v) SELECT * FROM w",
        "INSERT INTO u VALUES (1)",
        "INSERT INTO k VALUES ('')",
        "INSERT INTO p VALUES (1)",
        "INSERT INTO p1 VALUES (1)",
        "TRUNCATE p1",
        "SET session_replication_role = replica; INSERT INTO t VALUES (1, 'x')",
    ] {
        assert_eq!(code(&case, write).await.as_deref(), Some("HW001"), "{write}");
    }
    case.source.prove_fence(&case.plan, FIRST).await.unwrap();
    assert_eq!(case.source.lower_fence(FIRST).await.unwrap(), Lowered::Down);
    assert!(case.source.prove_fence(&case.plan, FIRST).await.is_err());
    assert_eq!(code(&case, "INSERT INTO t VALUES (1, 'x')").await, None);
}

#[tokio::test]
async fn attempts_are_compared_and_never_repeat() {
    let case = Case::new(TABLES).await;
    let stamp = |attempt| Stamp { epoch: 1, attempt };
    let raise = async |attempt| {
        case.source.raise_fence(&case.plan, stamp(attempt), soon()).await.map_err(|e| e.kind())
    };
    let lift = async |attempt| case.source.lower_fence(stamp(attempt)).await.map_err(|e| e.kind());
    assert_eq!(
        case.source.fence().await.unwrap(),
        Fence { raised: false, stamp: Stamp { epoch: 0, attempt: 0 } }
    );
    raise(2).await.unwrap();
    assert_eq!(raise(2).await, Err(Kind::Superseded));
    assert_eq!(raise(1).await, Err(Kind::Superseded));
    assert_eq!(lift(1).await, Err(Kind::Superseded), "a late lift of another attempt");
    raise(3).await.unwrap();
    assert_eq!(lift(2).await, Err(Kind::Superseded));
    assert_eq!(case.source.prepared().await.unwrap_err().kind(), Kind::Superseded);
    assert_eq!(lift(3).await, Ok(Lowered::Down));
    assert_eq!(lift(3).await, Ok(Lowered::WasDown));
    assert_eq!(raise(3).await, Err(Kind::Superseded), "a late raise after the lift");
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(3) });
}

#[tokio::test]
async fn older_snapshots_and_transactions_are_waited_out() {
    let case = Case::new(TABLES).await;
    let mut repeatable = case.database.connect().await;
    run(&mut repeatable, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").await.unwrap();
    let mut writer = case.database.connect().await;
    run(&mut writer, "BEGIN; INSERT INTO t VALUES (1, 'open')").await.unwrap();
    let gid = case.database.name().to_owned();
    case.execute(&format!("BEGIN; INSERT INTO t VALUES (3, 'p'); PREPARE TRANSACTION '{gid}'")).await;
    let mut idle = case.database.connect().await;
    run(&mut idle, "BEGIN; SELECT 1").await.unwrap();
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    let open = case.source.prepared().await.unwrap();
    assert_eq!(open.len(), 3, "{open:?}");
    assert_eq!(case.source.prepared().await.unwrap(), open, "they keep their names");
    run(&mut repeatable, "INSERT INTO t VALUES (2, 'does not see the fence')").await.unwrap();
    assert_eq!(case.source.writers(&case.plan).await.unwrap().len(), 3);
    run(&mut repeatable, "COMMIT").await.unwrap();
    run(&mut writer, "COMMIT").await.unwrap();
    let left = case.source.prepared().await.unwrap();
    assert!(left.len() == 1 && left[0].who.contains(&gid), "{left:?}");
    case.execute(&format!("ROLLBACK PREPARED '{gid}'")).await;
    assert_eq!(case.source.prepared().await.unwrap(), []);
    let mut late = case.database.connect().await;
    run(&mut late, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").await.unwrap();
    assert_eq!(case.source.prepared().await.unwrap(), [], "a newer snapshot sees the fence");
    run(&mut idle, "INSERT INTO t VALUES (9, 'x')").await.unwrap_err();
}

#[tokio::test]
async fn it_is_not_proved_while_a_table_stands_open() {
    let case = Case::new(TABLES).await;
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    case.execute("CREATE TABLE later (a int)").await;
    let error = case.source.prove_fence(&case.plan, FIRST).await.unwrap_err();
    assert!(error.to_string().contains("public.later"), "{error}");
    case.execute("DROP TABLE later; ALTER TABLE p1 DISABLE TRIGGER \"!highwater_capture_fence\"").await;
    let error = case.source.prove_fence(&case.plan, FIRST).await.unwrap_err();
    assert!(error.to_string().contains("public.p1"), "{error}");
}

#[tokio::test]
async fn writers_are_seen_until_they_end() {
    let case = Case::new(TABLES).await;
    let mut reader = case.database.connect().await;
    run(&mut reader, "BEGIN; SELECT * FROM t FOR UPDATE").await.unwrap();
    assert_eq!(case.source.writers(&case.plan).await.unwrap(), []);
    let mut writer = case.database.connect().await;
    run(&mut writer, "BEGIN; UPDATE p1 SET a = 1").await.unwrap();
    let open = case.source.writers(&case.plan).await.unwrap();
    assert!(open.len() == 1 && open[0].who.contains("postgres"), "{open:?}");
    run(&mut writer, "SELECT pg_sleep(0.01)").await.unwrap();
    assert_eq!(case.source.writers(&case.plan).await.unwrap()[0].id, open[0].id);
    let measures = case.source.measure(&[]).await.unwrap();
    assert!(measures.oldest_transaction.unwrap() > 0.01, "{measures:?}");
    tokio::time::sleep(Duration::from_millis(10)).await;
    run(&mut writer, "ROLLBACK").await.unwrap();
    assert_eq!(case.source.writers(&case.plan).await.unwrap(), []);
}
