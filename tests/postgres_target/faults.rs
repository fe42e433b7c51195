//! Lost connections, tables changed underneath, and the lease.

use std::time::Duration;

use highwater::engine::Feed;
use highwater::error::{Error, Kind};
use highwater::model::{Block, Extent, Form, RowStream};
use tokio::sync::mpsc;

use super::side::{Side, connect, did};
use crate::support::{compare, eventually};

/// A stream that gives `blocks` and then ends with an error, or in the middle.
fn broken(blocks: &[Block], error: Option<Error>) -> RowStream {
    let (sender, blocks_out) = mpsc::channel(100);
    for block in blocks.iter().filter(|b| !matches!(b, Block::End { .. })) {
        sender.try_send(Ok(block.clone())).unwrap();
    }
    if let Some(error) = error {
        sender.try_send(Err(error)).unwrap();
    }
    RowStream { extent: Extent::Postgres("1:1:".parse().unwrap()), blocks: blocks_out }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_breaks_in_the_middle_leaves_nothing() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY)").await;
    side.pair.source.execute("INSERT INTO t SELECT generate_series(1, 50)").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    let rows = side.rows(&plan).await;
    for error in [None, Some(Error::failed("read error"))] {
        let mut tx = side.target.begin().await.unwrap();
        let mut stream = broken(&rows, error);
        assert!(tx.load(&plan, Feed::Stream(&mut stream)).await.is_err());
        drop(tx);
        let mut tx = side.target.begin().await.unwrap();
        let mut stream = broken(&rows, None);
        let cancelled =
            tokio::time::timeout(Duration::from_millis(1), tx.load(&plan, Feed::Stream(&mut stream)));
        let _ = cancelled.await;
        drop(tx);
    }
    // A row too few or too many is not taken for the whole.
    let mut short = rows.clone();
    *short.last_mut().unwrap() = Block::End { rows: 51, bytes: 0 };
    let mut tx = side.target.begin().await.unwrap();
    assert!(tx.load(&plan, Feed::Read(&short)).await.is_err());
    drop(tx);
    assert_eq!(side.target.count(&plan).await.unwrap(), 0);
    assert_eq!(side.load(&plan).await, 50, "connections in doubt were not used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_session_is_unavailable_and_leaves_nothing() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY)").await;
    side.pair.source.execute("INSERT INTO t SELECT generate_series(1, 50)").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    let mut tx = side.staged(&plan, "SELECT id FROM t").await;
    tx.equalise(&plan, None).await.unwrap();
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'highwater' AND datname = current_database()";
    side.pair.target.value(kill).await;
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(side.target.count(&plan).await.unwrap(), 0);
    side.equalise(&plan, "SELECT id FROM t").await;
    compare::assert_same(&side.pair).await;
}

/// A transaction that a statement has broken must not say that it was committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_after_an_error_fails() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY)").await;
    let mut tx = side.target.begin().await.unwrap();
    assert!(tx.execute("SELECT 1 / 0", &[]).await.is_err());
    assert!(tx.commit().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transaction_is_rolled_back_and_its_locks_go() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY)").await;
    side.pair.source.execute("INSERT INTO t VALUES (1)").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    for _ in 0..10 {
        let mut tx = side.staged(&plan, "SELECT id FROM t").await;
        assert_eq!(tx.equalise(&plan, None).await.unwrap(), did(1, 0, 0));
    }
    eventually(Duration::from_secs(5), || async {
        side.pair
            .target
            .value(
                "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 't'::regclass",
            )
            .await
            == "0"
    })
    .await;
    assert_eq!(side.target.count(&plan).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_altered_dropped_or_replaced_is_noticed() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    side.pair.source.execute("INSERT INTO t VALUES (1, '1'), (2, 'two')").await;
    let plan = side.plan("t", Form::CopyText).await;
    side.equalise(&plan, "SELECT id FROM t").await;
    // Altered in a way that still takes the rows: statements are written anew.
    side.pair.target.execute("DELETE FROM t; ALTER TABLE t ALTER v TYPE int USING 0, ADD mine int").await;
    let mut tx = side.staged(&plan, "SELECT 1 AS id").await;
    assert_eq!(tx.equalise(&plan, None).await.unwrap(), did(1, 0, 0));
    tx.commit().await.unwrap();
    let mut tx = side.staged(&plan, "SELECT 2 AS id").await;
    assert_eq!(tx.equalise(&plan, None).await.unwrap_err().kind(), Kind::Data, "`two` is not a number");
    drop(tx);
    let states = side.states(&plan, "SELECT id FROM t").await;
    let attempt = async |ddl: &str| {
        side.pair.target.execute(ddl).await;
        let mut tx = side.target.begin().await.unwrap();
        let error = tx.stage(&plan, Feed::Read(&states)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Table, "{error}");
        assert!(error.remedy_text().is_some());
        error.summary()
    };
    assert!(attempt("ALTER TABLE t RENAME v TO w").await.contains("no column `v`"));
    assert!(
        attempt("ALTER TABLE t RENAME w TO v; ALTER TABLE t RENAME TO old").await.contains("does not exist")
    );
    let replaced = attempt("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    assert!(replaced.contains("not the table that was planned for"), "{replaced}");
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_rows_do_not_go_into_another_type() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY, v varchar(5))").await;
    side.pair.source.execute("INSERT INTO t VALUES (1, '1')").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    side.pair.target.execute("ALTER TABLE t ALTER v TYPE varchar(9)").await;
    assert_eq!(side.equalise(&plan, "SELECT id FROM t").await, did(1, 0, 0), "a length is no other type");
    side.pair.target.execute("ALTER TABLE t ALTER v TYPE int USING 1").await;
    let states = side.states(&plan, "SELECT id FROM t").await;
    let mut tx = side.target.begin().await.unwrap();
    let error = tx.stage(&plan, Feed::Read(&states)).await.unwrap_err();
    assert!(error.kind() == Kind::Table && error.summary().contains("is now integer"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_held_by_one_and_falls_with_its_connection() {
    let side = Side::both("").await;
    let other = connect(&side.pair.target.url()).await;
    let mut lease = side.target.try_lease("db").await.unwrap().unwrap();
    lease.check().await.unwrap();
    assert!(other.try_lease("db").await.unwrap().is_none());
    assert!(other.lease_held("db").await.unwrap());
    assert!(!other.lease_held("another").await.unwrap());
    let mut another = other.try_lease("another").await.unwrap().unwrap();
    lease.release().await.unwrap();
    let mut lease = other.try_lease("db").await.unwrap().unwrap();
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(side.pair.target.value(kill).await, "2");
    assert_eq!(lease.check().await.unwrap_err().kind(), Kind::Superseded);
    assert_eq!(another.check().await.unwrap_err().kind(), Kind::Superseded);
    assert!(side.target.try_lease("db").await.unwrap().is_some());
}
