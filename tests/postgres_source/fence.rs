//! The fence: which writes it refuses, who is waited for, which attempt may raise and lower it.

use std::time::{Duration, Instant};

use highwater::engine::{Fence, Lowered, Stamp};
use highwater::error::Kind;
use sqlx::PgConnection;

use super::Case;
use crate::support::{eventually, soon};

pub const TABLES: &str = "CREATE TABLE t (a int PRIMARY KEY, v text); CREATE UNLOGGED TABLE u (a int); CREATE TABLE k (v text);
    CREATE TABLE p (a int PRIMARY KEY) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)";

pub const FIRST: Stamp = Stamp { epoch: 1, attempt: 2 };

pub async fn code(case: &Case, sql: &str) -> Option<String> {
    let mut connection = case.database.connect().await;
    run(&mut connection, sql)
        .await
        .err()
        .and_then(|e| e.as_database_error()?.code().map(std::borrow::Cow::into_owned))
}

pub async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
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
    let lower = async |attempt| case.source.lower_fence(stamp(attempt)).await.unwrap();
    let none = Fence { raised: false, stamp: Stamp { epoch: 0, attempt: 0 } };
    assert_eq!(case.source.fence().await.unwrap(), none);
    raise(4).await.unwrap();
    assert_eq!(raise(4).await, Err(Kind::Superseded));
    assert_eq!(raise(2).await, Err(Kind::Superseded));
    assert_eq!(lower(2).await, Lowered::Another(stamp(4)), "a late lowering of another attempt");
    assert!(case.source.fence().await.unwrap().raised);
    assert_eq!(code(&case, "DELETE FROM t").await.as_deref(), Some("HW001"));
    raise(6).await.unwrap();
    assert_eq!(lower(4).await, Lowered::Another(stamp(6)));
    assert_eq!(lower(6).await, Lowered::Down);
    assert_eq!(lower(6).await, Lowered::WasDown);
    assert_eq!(raise(6).await, Err(Kind::Superseded), "a late raise after the lowering");
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(7) });
    assert_eq!(code(&case, "DELETE FROM t").await, None);
}

#[tokio::test]
async fn an_older_repeatable_read_transaction_is_refused_at_its_first_write() {
    let case = Case::new(TABLES).await;
    let mut old = case.database.connect().await;
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").await.unwrap();
    let mut older = case.database.connect().await;
    run(&mut older, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM t").await.unwrap();
    // It is not waited for: it has written nothing.
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    for connection in [&mut old, &mut older] {
        let error = run(connection, "INSERT INTO t VALUES (2, 'does not see the row')").await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("HW001"));
    }
}

#[tokio::test]
async fn a_snapshot_from_under_the_fence_stays_refused_after_the_lowering() {
    let case = Case::new(TABLES).await;
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    let mut old = case.database.connect().await;
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").await.unwrap();
    case.source.lower_fence(FIRST).await.unwrap();
    run(&mut old, "INSERT INTO t VALUES (2, 'x')").await.unwrap_err();
    run(&mut old, "ROLLBACK; INSERT INTO t VALUES (2, 'x')").await.unwrap();
}

#[tokio::test]
async fn who_has_written_a_log_is_waited_for_and_named() {
    let case = Case::new(TABLES).await;
    let mut writer = case.database.connect().await;
    run(&mut writer, "BEGIN; INSERT INTO t VALUES (1, 'open')").await.unwrap();
    let until = Instant::now() + Duration::from_secs(1);
    let error = case.source.raise_fence(&case.plan, FIRST, until).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotConverged);
    assert!(error.to_string().contains("public.t") && error.to_string().contains("pid"), "{error}");
    assert_eq!(case.source.lower_fence(FIRST).await.unwrap(), Lowered::Down);
    let second = Stamp { epoch: 1, attempt: 4 };
    let raising = async { case.source.raise_fence(&case.plan, second, soon()).await.unwrap() };
    // Either the DDL waits for it, or, where this took long, a look waits that takes no lock.
    let waiting = "SELECT count(*) > 0 FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
        LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid AND l.granted
        WHERE c.relname = 'public.t' AND (NOT l.granted AND l.mode = 'ShareRowExclusiveLock'
            OR a.xact_start < clock_timestamp() - interval '4 s')";
    let ending = async {
        eventually(Duration::from_secs(20), async || {
            case.database.rows_as_text(waiting).await[0][0].as_deref() == Some("t")
        })
        .await;
        run(&mut writer, "COMMIT").await.unwrap();
    };
    tokio::join!(raising, ending);
    assert_eq!(case.log("t").await, ["I 1"], "its entry is there when the fence is up");
    case.source.prove_fence(&case.plan, second).await.unwrap();
}

#[tokio::test]
async fn a_long_open_writer_is_waited_for_before_any_log_is_locked() {
    let case = Case::new(TABLES).await;
    let mut writer = case.database.connect().await;
    run(&mut writer, "BEGIN; INSERT INTO t VALUES (1, 'open'); SELECT pg_sleep(3.1)").await.unwrap();
    let until = Instant::now() + Duration::from_secs(1);
    let error = case.source.raise_fence(&case.plan, FIRST, until).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotConverged);
    assert_eq!(case.source.fence().await.unwrap().stamp.attempt, 0, "nothing was begun");
    assert_eq!(code(&case, "INSERT INTO k VALUES ('x')").await, None);
}

#[tokio::test]
async fn a_prepared_transaction_holds_its_log_and_is_listed() {
    let case = Case::new(TABLES).await;
    let gid = case.database.name().to_owned();
    case.execute(&format!("BEGIN; INSERT INTO t VALUES (3, 'p'); PREPARE TRANSACTION '{gid}'")).await;
    let listed = case.source.prepared().await.unwrap();
    assert!(listed.len() == 1 && listed[0].who.contains(&gid), "{listed:?}");
    let until = Instant::now() + Duration::from_secs(1);
    let error = case.source.raise_fence(&case.plan, FIRST, until).await.unwrap_err();
    assert!(error.to_string().contains("prepared"), "{error}");
    case.execute(&format!("COMMIT PREPARED '{gid}'")).await;
    assert_eq!(case.source.prepared().await.unwrap(), []);
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
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
