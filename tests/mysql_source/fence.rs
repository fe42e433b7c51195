//! How the fence holds: nobody who passed it is overlooked, and nobody passes it afterwards.

use std::time::Duration;

use highwater::engine::{Fence, Lowered, Stamp};
use highwater::error::Kind as ErrorKind;

use super::{Case, Kind, connect, refused};
use crate::support::{MysqlServer, mysql_execute as execute, soon};

on_both!(
    a_raised_fence_refuses_every_write,
    raising_waits_for_who_passed_it,
    an_old_snapshot_meets_the_fence,
    stamps_only_grow_and_are_lifted_exactly,
    it_is_proved_by_the_catalogue_and_by_a_write,
    a_writer_is_seen_while_it_is_open,
    a_writer_is_seen_without_privileges,
    a_prepared_transaction_is_seen,
);

const TABLES: &str =
    "CREATE TABLE t (a int PRIMARY KEY, v int); CREATE TABLE w (v int); CREATE TABLE e (a int PRIMARY KEY);
    INSERT INTO t VALUES (1, 1); INSERT INTO w VALUES (1); INSERT INTO e VALUES (1)";

pub fn stamp(attempt: i64) -> Stamp {
    Stamp { epoch: 0, attempt }
}

async fn a_raised_fence_refuses_every_write(kind: Kind) {
    let case = Case::bare(kind, TABLES).await.again(&["e"]).await;
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(0) });
    case.install().await;
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(0) });
    case.source.raise_fence(&case.plan, stamp(1), soon()).await.unwrap();
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: true, stamp: stamp(1) });
    for table in ["t", "w", "e"] {
        for sql in [
            format!("INSERT INTO {table} SELECT * FROM {table}_more"),
            format!("UPDATE {table} SET {} = 7", if table == "e" { "a" } else { "v" }),
            format!("DELETE FROM {table}"),
        ] {
            let mut connection = case.database.connect().await;
            execute(
                &mut connection,
                &format!("CREATE TEMPORARY TABLE {table}_more AS SELECT * FROM {table}"),
            )
            .await;
            execute(
                &mut connection,
                &format!("UPDATE {table}_more SET {} = 8", if table == "e" { "a" } else { "v" }),
            )
            .await;
            let column = if table == "t" { "UPDATE t_more SET a = 8" } else { "DO 0" };
            execute(&mut connection, column).await;
            let error = refused(&mut connection, &sql).await;
            assert!(error.contains("HW001") && error.contains("highwater fence"), "{sql}: {error}");
        }
    }
    assert_eq!(case.source.lower_fence(stamp(1)).await.unwrap(), Lowered::Down);
    case.execute("INSERT INTO t VALUES (2, 2); INSERT INTO w VALUES (2); INSERT INTO e VALUES (2)").await;
}

async fn raising_waits_for_who_passed_it(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let mut writer = case.database.connect().await;
    // MariaDB locks what triggers read by itself while it logs statements.
    execute(&mut writer, "SET binlog_format = ROW; START TRANSACTION; UPDATE t SET v = 2").await;
    let source = case.source.clone();
    let raising = tokio::spawn(async move { source.raise_fence(&case.plan, stamp(1), soon()).await });
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!raising.is_finished(), "somebody has passed the fence and is still open");
    assert!(!case.source.fence().await.unwrap().raised);
    execute(&mut writer, "COMMIT").await;
    raising.await.unwrap().unwrap();
    assert!(case.source.fence().await.unwrap().raised);
}

async fn an_old_snapshot_meets_the_fence(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let mut old = case.database.connect().await;
    execute(&mut old, "SET binlog_format = ROW; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await;
    execute(&mut old, "START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT * FROM highwater_capture.fence")
        .await;
    case.source.raise_fence(&case.plan, stamp(1), soon()).await.unwrap();
    let error = refused(&mut old, "INSERT INTO t VALUES (9, 9)").await;
    assert!(error.contains("highwater fence") || error.contains("1020"), "{error}");
    assert!(case.source.prepared().await.unwrap().is_empty());
}

async fn stamps_only_grow_and_are_lifted_exactly(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    case.source.raise_fence(&case.plan, stamp(2), soon()).await.unwrap();
    assert_eq!(
        case.source.raise_fence(&case.plan, stamp(2), soon()).await.unwrap_err().kind(),
        ErrorKind::Superseded
    );
    assert_eq!(case.source.lower_fence(stamp(1)).await.unwrap_err().kind(), ErrorKind::Superseded);
    assert_eq!(case.source.prepared().await.unwrap_err().kind(), ErrorKind::Superseded);
    case.source.raise_fence(&case.plan, stamp(3), soon()).await.unwrap();
    assert_eq!(case.source.lower_fence(stamp(3)).await.unwrap(), Lowered::Down);
    assert_eq!(case.source.lower_fence(stamp(3)).await.unwrap(), Lowered::WasDown);
    assert_eq!(
        case.source.raise_fence(&case.plan, stamp(3), soon()).await.unwrap_err().kind(),
        ErrorKind::Superseded
    );
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(3) });
}

async fn it_is_proved_by_the_catalogue_and_by_a_write(kind: Kind) {
    let case = Case::bare(kind, TABLES).await.again(&["e"]).await;
    case.install().await;
    let error = case.source.prove_fence(&case.plan, stamp(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConverged);
    assert!(error.summary().contains("a write was not refused"), "{error}");
    case.source.raise_fence(&case.plan, stamp(1), soon()).await.unwrap();
    case.source.prove_fence(&case.plan, stamp(1)).await.unwrap();
    case.execute("CREATE TABLE another (a int)").await;
    let error = case.source.prove_fence(&case.plan, stamp(1)).await.unwrap_err().summary();
    assert!(error.contains("another: the table is new"), "{error}");
    case.execute("DROP TABLE another; DROP TRIGGER highwater_capture_fence_delete_e").await;
    let error = case.source.prove_fence(&case.plan, stamp(1)).await.unwrap_err().summary();
    assert!(error.contains("fence_delete_e is missing"), "{error}");
}

async fn a_writer_is_seen_while_it_is_open(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "START TRANSACTION; UPDATE t SET v = 2").await;
    let before = case.source.writers(&case.plan).await.unwrap();
    assert!(!before.is_empty());
    let id = case.database.rows_as_text("SELECT CONNECTION_ID()").await;
    assert!(before.iter().all(|w| !w.who.contains(&format!("session {} ", id[0][0].as_ref().unwrap()))));
    execute(&mut writer, "COMMIT; START TRANSACTION").await;
    let after = case.source.writers(&case.plan).await.unwrap();
    assert!(!after.iter().any(|w| before.contains(w)), "{after:?}");
}

async fn a_writer_is_seen_without_privileges(kind: Kind) {
    let server = MysqlServer::shared(kind);
    let case = Case::new(kind, TABLES).await;
    let user = server.user("").await;
    case.execute(&format!(
        "GRANT SELECT, TRIGGER, LOCK TABLES ON \"{}\".* TO {user}@'%';
         GRANT ALL ON highwater_capture.* TO {user}@'%'",
        case.database.name()
    ))
    .await;
    let source = connect(&case.database.url_as(&user)).await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "START TRANSACTION; UPDATE t SET v = 2").await;
    assert_eq!(source.writers(&case.plan).await.unwrap().len(), 1);
    execute(&mut writer, "COMMIT").await;
    assert!(source.writers(&case.plan).await.unwrap().is_empty());
    // The locks are gone again.
    case.execute("UPDATE t SET v = 3").await;
}

async fn a_prepared_transaction_is_seen(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let database = server.database().await;
    database.execute(TABLES).await;
    let case = Case::on(database, "root", &[]).await;
    case.install().await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "XA START 'one'; UPDATE t SET v = 2; XA END 'one'; XA PREPARE 'one'").await;
    drop(writer);
    let writers = case.source.writers(&case.plan).await.unwrap();
    assert!(writers.iter().any(|w| w.id.starts_with("xa:")), "{writers:?}");
    // It may hold no lock any more when the server was started anew.
    server.crash();
    server.start();
    let case = Case::on(case.database.clone(), "root", &[]).await;
    let raised = case.source.raise_fence(&case.plan, stamp(1), soon()).await;
    if raised.is_ok() {
        let left = case.source.prepared().await.unwrap();
        assert!(left.iter().any(|w| w.id.starts_with("xa:")), "{left:?}");
    }
    execute(&mut case.database.connect().await, "XA COMMIT 'one'").await;
}
