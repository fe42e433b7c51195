//! Reading the log: extents, limits, purging, what is lost.

use std::time::Duration;

use highwater::engine::{Feed, Lag, Limits};
use highwater::error::Kind;
use highwater::model::{Bounds, Extent, Layout, Mark, Watermark};

use super::rig::{LIMITS, Rig, series};
use crate::support::watch;

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";

fn id(watermark: &Watermark) -> i64 {
    match watermark.base() {
        Extent::Sqlite(mark) => mark.id,
        _ => panic!("not SQLite's"),
    }
}

#[tokio::test]
async fn a_batch_is_bounded_by_entries_and_by_bytes() {
    let mut rig = Rig::new(TABLE).await;
    rig.files
        .source
        .execute(&format!("INSERT INTO t SELECT value, zeroblob(1000) FROM {}", series(1, 100)))
        .await;
    rig.files.source.execute("UPDATE t SET v = zeroblob(1000) WHERE id IN (1, 5)").await;
    let batch = rig.batch("t", Limits { rows: 10, bytes: 1 << 20 }).await.unwrap();
    assert_eq!((batch.keys, batch.entries, id(&batch.to), batch.more), (10, 10, 10, true));
    let batch = rig.batch("t", Limits { rows: 1000, bytes: 5_000 }).await.unwrap();
    assert_eq!((batch.keys, batch.entries, id(&batch.to), batch.more), (5, 5, 5, true));
    let batch = rig.batch("t", Limits { rows: 1000, bytes: 1 }).await.unwrap();
    assert_eq!((batch.keys, id(&batch.to)), (1, 1), "the first row always fits");
    let batch = rig.batch("t", LIMITS).await.unwrap();
    assert_eq!((batch.keys, batch.entries, batch.more), (100, 102, false));
    rig.drain_by("t", Limits { rows: 7, bytes: 3_000 }).await;
    rig.assert_same("t").await;
    let batch = rig.batch("t", LIMITS).await.unwrap();
    assert_eq!((batch.entries, batch.from == batch.to, batch.more), (0, true, false));
}

#[tokio::test]
async fn a_key_changed_between_batches_moves_with_its_first_entry() {
    let mut rig = Rig::new(TABLE).await;
    rig.files
        .source
        .execute(
            "INSERT INTO t VALUES (1, 'a'), (2, 'b'); UPDATE t SET v = 'c' WHERE id = \
        1; DELETE FROM t WHERE id = 2",
        )
        .await;
    rig.drain_by("t", Limits { rows: 1, bytes: 1 << 20 }).await;
    rig.assert_same("t").await;
}

#[tokio::test]
async fn poll_tells_which_tables_are_dirty() {
    let mut rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE TABLE s (a)").await;
    let (t, s) = (rig.table("t"), rig.table("s"));
    assert_eq!(rig.source.poll(&[rig.watch(&t), rig.watch(&s)]).await.unwrap(), [false, false]);
    rig.files.source.execute("INSERT INTO s VALUES (1)").await;
    assert_eq!(rig.source.poll(&[rig.watch(&t), rig.watch(&s)]).await.unwrap(), [false, true]);
    rig.files.source.execute("INSERT INTO t VALUES (1, 1)").await;
    assert_eq!(rig.source.poll(&[rig.watch(&t), rig.watch(&s)]).await.unwrap(), [true, true]);
    rig.drain_all().await;
    assert_eq!(rig.source.poll(&[rig.watch(&t), rig.watch(&s)]).await.unwrap(), [false, false]);
}

#[tokio::test]
async fn the_lag_is_that_of_the_oldest_dirty_entry() {
    let mut rig = Rig::new(TABLE).await;
    let t = rig.table("t");
    assert_eq!(rig.source.measure(&[rig.watch(&t)]).await.unwrap().lags, [Some(Lag::default())]);
    rig.files.source.execute("INSERT INTO t VALUES (1, 1), (2, 2)").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let measures = rig.source.measure(&[rig.watch(&t)]).await.unwrap();
    let lag = measures.lags[0].unwrap();
    assert!(lag.rows == 2 && lag.seconds > 0.25 && lag.seconds < 60.0, "{lag:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((measures.now - now).abs() < 2.0 && measures.oldest_transaction.is_none());
    rig.drain("t").await;
    assert_eq!(rig.source.measure(&[rig.watch(&t)]).await.unwrap().lags, [Some(Lag::default())]);
}

#[tokio::test]
async fn the_lag_of_another_log_is_not_known() {
    // A lost log, lost commits, a log that was made again, another database; the log of the other table counts.
    for change in [
        "DROP TABLE highwater_capture_log_t",
        "UPDATE highwater_capture_log_t SET tag = 1",
        "DELETE FROM highwater_capture_log_t",
        "UPDATE highwater_capture_tables SET generation = 'x' WHERE name = 't'",
        "DELETE FROM highwater_capture_tables WHERE name = 't'",
    ] {
        let mut rig = Rig::new(&format!("{TABLE}; CREATE TABLE s (a)")).await;
        rig.files.source.execute("INSERT INTO t VALUES (1, 1)").await;
        rig.drain("t").await;
        rig.files.source.execute("DROP TRIGGER highwater_capture_guard_t").await;
        rig.files.source.execute(change).await;
        let (t, s) = (rig.table("t"), rig.table("s"));
        let measures = rig.source.measure(&[rig.watch(&t), rig.watch(&s)]).await.unwrap();
        assert_eq!(measures.lags, [None, Some(Lag::default())], "{change}");
    }
    let rig = Rig::new(TABLE).await;
    let t = rig.table("t");
    rig.files.source.execute("UPDATE highwater_capture_meta SET database = 'another'").await;
    assert_eq!(rig.source.measure(&[rig.watch(&t)]).await.unwrap().lags, [None]);
    rig.source.remove().await.unwrap();
    assert_eq!(rig.source.measure(&[rig.watch(&t)]).await.unwrap().lags, [None]);
}

#[tokio::test]
async fn purging_keeps_what_is_not_applied_and_ids_are_never_used_again() {
    let mut rig = Rig::new(TABLE).await;
    let t = rig.table("t");
    let start = rig.at["t"].1.clone();
    rig.files.source.execute(&format!("INSERT INTO t SELECT value, 1 FROM {}", series(1, 12000))).await;
    assert_eq!(rig.source.purge(&t, &start).await.unwrap(), 0, "nothing is applied");
    rig.drain("t").await;
    rig.files.source.execute("INSERT INTO t VALUES (20000, 1)").await;
    let mut removed = 0;
    loop {
        match rig.source.purge(&t, &rig.at["t"].1).await.unwrap() {
            0 => break,
            some => removed += some,
        }
        assert_eq!(rig.batch("t", LIMITS).await.unwrap().entries, 1);
    }
    assert_eq!(removed, 11_999, "the entry at the watermark stays");
    rig.drain("t").await;
    rig.source.purge(&t, &rig.at["t"].1).await.unwrap();
    assert_eq!(rig.files.source.value("SELECT group_concat(id) FROM highwater_capture_log_t").await, "12001");
    rig.files.source.execute("INSERT INTO t VALUES (20001, 1)").await;
    assert_eq!(rig.files.source.value("SELECT max(id) FROM highwater_capture_log_t").await, "12002");
    // A target that was restored from a backup stands before what was purged.
    rig.at.get_mut("t").unwrap().1 = start;
    let error = rig.batch("t", LIMITS).await.unwrap_err();
    assert!(error.kind() == Kind::Doubtful && error.summary().contains("purged"), "{error}");
}

#[tokio::test]
async fn a_log_made_anew_is_not_purged_by_an_old_watermark() {
    let mut rig = Rig::new(TABLE).await;
    let t = rig.table("t");
    rig.files.source.execute(&format!("INSERT INTO t SELECT value, 1 FROM {}", series(1, 50))).await;
    rig.drain("t").await;
    let old = rig.at["t"].1.clone();
    rig.files.source.execute("DROP TABLE highwater_capture_log_t").await;
    rig.install().await;
    rig.files.source.execute("SELECT * FROM t; UPDATE t SET v = 2; UPDATE t SET v = 3").await;
    assert_eq!(rig.source.purge(&t, &old).await.unwrap(), 0);
    assert_eq!(rig.files.source.value("SELECT count(*) FROM highwater_capture_log_t").await, "100");
}

/// Puts the source back to an earlier state, then lets production write on.
async fn restored(after: &str) -> (Rig, Watermark) {
    let mut rig = Rig::new(TABLE).await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    rig.drain("t").await;
    let path = rig.files.source.sqlite().path().to_path_buf();
    let backup = path.with_extension("backup");
    rig.files.source.execute(&format!("VACUUM INTO '{}'", backup.display())).await;
    rig.files.source.execute("INSERT INTO t VALUES (3, 'lost'), (4, 'lost')").await;
    rig.drain("t").await;
    let status = std::process::Command::new("sqlite3")
        .arg(&path)
        .arg(format!(".restore {}", backup.display()))
        .status();
    assert!(status.unwrap().success());
    rig.files.source.execute(after).await;
    let watermark = rig.at["t"].1.clone();
    (rig, watermark)
}

#[tokio::test]
async fn lost_commits_are_noticed_by_the_tag() {
    // Fewer, as many, and more entries than were lost: the ids are used again.
    for after in [
        "SELECT 1",
        "INSERT INTO t VALUES (5, 'e'), (6, 'f')",
        &format!("INSERT INTO t SELECT value, 1 FROM {}", series(10, 20)),
    ] {
        let (rig, watermark) = restored(after).await;
        let table = rig.table("t");
        assert_eq!(rig.source.poll(&[rig.watch(&table)]).await.unwrap(), [true], "{after}");
        let error = rig.batch("t", LIMITS).await.unwrap_err();
        assert!(
            error.kind() == Kind::Doubtful && error.summary().contains("lost commits"),
            "{after}: {error}"
        );
        assert_eq!(rig.source.purge(&table, &watermark).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_file_that_replaced_the_open_one_is_noticed() {
    let rig = Rig::new(TABLE).await;
    let path = rig.files.source.sqlite().path().to_path_buf();
    let other = path.with_extension("other");
    rig.files.source.execute(&format!("VACUUM INTO '{}'", other.display())).await;
    std::fs::rename(&other, &path).unwrap();
    let table = rig.table("t");
    for error in [
        rig.source.poll(&[rig.watch(&table)]).await.unwrap_err(),
        rig.source.inspect(&rig.plan).await.unwrap_err(),
        rig.batch("t", LIMITS).await.unwrap_err(),
        rig.source.measure(&[rig.watch(&table)]).await.unwrap_err(),
        rig.source.pinned().await.map(|_| ()).unwrap_err(),
    ] {
        assert!(error.kind() == Kind::Unavailable && error.summary().contains("replaced"), "{error}");
    }
}

#[tokio::test]
async fn another_database_is_refused() {
    let mut rig = Rig::new(TABLE).await;
    rig.at.get_mut("t").unwrap().0.identity.database = "another".into();
    assert_eq!(rig.batch("t", LIMITS).await.unwrap_err().kind(), Kind::Foreign);
    rig.source.remove().await.unwrap();
    assert_eq!(rig.batch("t", LIMITS).await.unwrap_err().kind(), Kind::Doubtful);
}

#[tokio::test]
async fn a_stream_that_is_dropped_lets_go_of_the_file() {
    for wal in [true, false] {
        let rig = Rig::by_journal(wal, TABLE).await;
        rig.write(&format!("INSERT INTO t SELECT value, zeroblob(1000) FROM {}", series(1, 20000))).await;
        let table = rig.table("t");
        for _ in 0..20 {
            let stream = rig
                .source
                .stream(watch(&table, &rig.at["t"].0), &Bounds::all(), Layout::Plain)
                .await
                .unwrap();
            drop(stream);
        }
        rig.write("INSERT INTO t VALUES (0, 0)").await;
        assert_eq!(rig.copy("t", 5_000).await, 20_001);
    }
}

#[tokio::test]
async fn without_wal_writers_commit_while_a_chunk_is_read() {
    let rig = Rig::without_wal(TABLE).await;
    rig.write(&format!("INSERT INTO t SELECT value, zeroblob(1000) FROM {}", series(1, 20000))).await;
    let table = rig.table("t");
    let mut stream =
        rig.source.stream(watch(&table, &rig.at["t"].0), &Bounds::all(), Layout::Plain).await.unwrap();
    stream.next().await.unwrap();
    // The reader waits for us now, and holds no lock.
    tokio::time::sleep(Duration::from_millis(200)).await;
    rig.write("UPDATE t SET v = 'changed' WHERE id IN (1, 20000)").await;
    let mut tx = rig.target.begin().await.unwrap();
    let extent = stream.extent.clone();
    tx.load(&table, Feed::Stream(&mut stream)).await.unwrap();
    tx.commit().await.unwrap();
    let Extent::Sqlite(Mark { id, .. }) = extent else { panic!("not SQLite's") };
    assert_eq!(id, 20_000, "the extent is older than what the last pieces show");
}
