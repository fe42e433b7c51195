//! A snapshot that is held: all reads see one moment of production.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use highwater::engine::{Source, Watch};
use highwater::model::{Block, Bounds, Extent, Layout, Value, Watermark};
use sqlx::SqliteConnection;

use super::rig::{LIMITS, Rig, plain, series};
use crate::support::{SqliteFile, eventually, watch};

/// A parent says how many children it has and what they sum up to.
const TABLES: &str = "
    CREATE TABLE parent (id INTEGER PRIMARY KEY, children INT NOT NULL, total INT NOT NULL);
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INT NOT NULL REFERENCES parent (id), value INT NOT NULL);
    CREATE TABLE heap (parent_id, value)";

/// Orphans, and parents that don't agree with their children.
const TORN: &str = "SELECT (SELECT count(*) FROM child WHERE parent_id NOT IN (SELECT id FROM parent)),
     (SELECT count(*) FROM parent AS p WHERE children <> (SELECT count(*) FROM child WHERE parent_id = p.id)
         OR total <> (SELECT total(value) FROM child WHERE parent_id = p.id)),
     (SELECT count(*) FROM (SELECT parent_id, value FROM child EXCEPT SELECT parent_id, value FROM heap)),
     (SELECT count(*) FROM child) - (SELECT count(*) FROM heap)";

/// Changes parents with their children, in one transaction each, until told to stop.
async fn write_families(file: SqliteFile, stop: Arc<AtomicBool>) -> u64 {
    let mut connection = plain(&file).await;
    let mut committed = 0;
    for n in 1_i64.. {
        if stop.load(Ordering::Relaxed) {
            return committed;
        }
        let family = family(n);
        if sqlx::raw_sql(sqlx::AssertSqlSafe(family)).execute(&mut connection).await.is_ok() {
            committed += 1;
        } else {
            let _ = sqlx::raw_sql("ROLLBACK").execute(&mut connection).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    committed
}

fn family(n: i64) -> String {
    let (old, moved) = (n - 5, n - 2);
    format!(
        "BEGIN IMMEDIATE; INSERT INTO child VALUES ({n} * 10, {n}, 1), ({n} * 10 + 1, {n}, 2);
         INSERT INTO heap VALUES ({n}, 1), ({n}, 2); INSERT INTO parent VALUES ({n}, 2, 3);
         UPDATE child SET value = value + 10 WHERE parent_id = {moved};
         UPDATE heap SET value = value + 10 WHERE parent_id = {moved};
         UPDATE parent SET total = total + 20 WHERE id = {moved};
         DELETE FROM parent WHERE id = {old} AND {old} % 3 = 0; DELETE FROM child WHERE parent_id = {old} AND {old} % 3 = 0;
         DELETE FROM heap WHERE parent_id = {old} AND {old} % 3 = 0; COMMIT"
    )
}

/// Counts the rows that the streams of all tables show.
async fn streamed(rig: &Rig, source: &Arc<dyn Source>, label: &str) -> Vec<Vec<Value>> {
    let table = rig.table(label);
    let mut stream =
        source.stream(watch(&table, &rig.at[label].0), &Bounds::all(), Layout::Plain).await.unwrap();
    let mut rows = Vec::new();
    loop {
        match stream.next().await.unwrap() {
            Block::Values(some) => rows.extend(some),
            Block::End { .. } => return rows,
            other => panic!("{other:?}"),
        }
    }
}

fn integer(value: &Value) -> i64 {
    match value {
        Value::Integer(number) => *number,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_agree_in_a_snapshot_while_parents_and_children_change_together() {
    let mut rig = Rig::new(TABLES).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_families(rig.files.source.sqlite().clone(), stop.clone()));
    rig.copy_all().await;
    for _ in 0..40 {
        rig.drain_all().await;
        let live = rig.source.clone();
        let pinned = live.pinned().await.unwrap();
        rig.source = pinned.clone();
        rig.drain_all().await;
        rig.source = live;
        let torn = rig.files.target.rows_as_text(TORN).await;
        assert!(torn[0].iter().all(|n| n.as_deref() == Some("0")), "{torn:?}");
        // The streams see the same moment, whenever they are read.
        let children = streamed(&rig, &pinned, "child").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let parents = streamed(&rig, &pinned, "parent").await;
        assert_eq!(children.len() as u64, pinned.count(&rig.table("child")).await.unwrap());
        assert_eq!(children.len(), streamed(&rig, &pinned, "heap").await.len());
        let sum = |rows: &[Vec<Value>], column: usize| rows.iter().map(|r| integer(&r[column])).sum::<i64>();
        assert_eq!(sum(&parents, 1), children.len() as i64);
        assert_eq!(sum(&parents, 2), sum(&children, 2));
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 40);
}

#[tokio::test]
async fn what_is_written_after_a_snapshot_is_not_in_it() {
    let mut rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").await;
    rig.files.source.execute(&format!("INSERT INTO t SELECT value, 'old' FROM {}", series(1, 5_000))).await;
    let start = rig.at["t"].1.clone();
    rig.drain("t").await;
    let t = rig.table("t");
    let pinned = rig.source.pinned().await.unwrap();
    let mut stream = pinned.stream(watch(&t, &rig.at["t"].0), &Bounds::all(), Layout::Staged).await.unwrap();
    rig.files
        .source
        .execute("UPDATE t SET v = 'new'; INSERT INTO t VALUES (9000, 'new'); DELETE FROM t WHERE id = 1")
        .await;
    let Extent::Sqlite(end) = pinned.extent(&t).await.unwrap() else { panic!("not SQLite's") };
    assert_eq!(end.id, 5_000);
    assert_eq!(pinned.poll(&[rig.watch(&t)]).await.unwrap(), [false]);
    assert_eq!(rig.source.poll(&[rig.watch(&t)]).await.unwrap(), [true]);
    assert_eq!(pinned.count(&t).await.unwrap(), 5_000);
    assert_eq!(pinned.batch(rig.watch(&t), LIMITS).await.unwrap().entries, 0);
    assert_eq!(rig.source.batch(rig.watch(&t), LIMITS).await.unwrap().entries, 5_002);
    let states = pinned.states(rig.watch(&t), &[vec!["1".into()], vec!["9000".into()]]).await.unwrap();
    let Block::Values(rows) = &states.blocks[0] else { panic!("{states:?}") };
    let present: Vec<i64> = rows.iter().map(|row| integer(&row[1])).collect();
    assert_eq!(present, [1, 0]);
    assert_eq!(pinned.keys_with(&t, "v", &["'new'".into()]).await.unwrap(), Vec::<Vec<String>>::new());
    let from_start = Watch { table: &t, watermark: &start, origin: &rig.at["t"].0 };
    assert_eq!(pinned.arrived(from_start, &Extent::Sqlite(end)).await.unwrap(), Vec::<Vec<String>>::new());
    assert_eq!(pinned.renewed(from_start, &[vec!["9000".into()]]).await.unwrap(), Vec::<Vec<String>>::new());
    // The stream that was begun before goes on in the same moment, although others read between.
    let mut old = 0;
    loop {
        match stream.next().await.unwrap() {
            Block::Values(rows) => {
                old += rows.iter().filter(|row| row[4] == Value::Text(b"old".to_vec())).count();
            }
            Block::End { rows, .. } => break assert_eq!((rows, old), (5_000, 5_000)),
            other => panic!("{other:?}"),
        }
    }
    // What is asked about production itself is answered by production as it is.
    assert_eq!(
        rig.source.ask("SELECT count(*) FROM t", 1).await.unwrap(),
        pinned.ask("SELECT count(*) FROM t", 1).await.unwrap()
    );
    rig.files.source.execute("DROP TRIGGER highwater_capture_delete_t").await;
    assert!(pinned.inspect(&rig.plan).await.unwrap()[0].fault.is_some());
}

async fn is_written(connection: &mut SqliteConnection) -> bool {
    sqlx::raw_sql("INSERT INTO t (v) VALUES (1)").execute(connection).await.is_ok()
}

#[tokio::test]
async fn a_snapshot_ends_with_its_last_clone() {
    // Without WAL no session can commit as long as it is held, which shows when it is not any more.
    let rig = Rig::without_wal("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").await;
    rig.write(&format!("INSERT INTO t SELECT value, zeroblob(1000) FROM {}", series(1, 20_000))).await;
    let t = rig.table("t");
    let mut production = plain(rig.files.source.sqlite()).await;
    super::rig::execute(&mut production, "PRAGMA busy_timeout = 100").await;
    let pinned = rig.source.pinned().await.unwrap();
    let another = pinned.clone();
    assert!(!is_written(&mut production).await);
    drop(pinned);
    let mut stream = another.stream(watch(&t, &rig.at["t"].0), &Bounds::all(), Layout::Plain).await.unwrap();
    stream.next().await.unwrap();
    drop(another);
    assert!(!is_written(&mut production).await, "the stream holds it");
    drop(stream);
    for _ in 0..200 {
        if is_written(&mut production).await {
            return;
        }
    }
    panic!("it is still held");
}

#[tokio::test]
async fn two_snapshots_are_two_moments() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").await;
    let t = rig.table("t");
    let first = rig.source.pinned().await.unwrap();
    rig.files.source.execute("INSERT INTO t VALUES (1, 1)").await;
    let second = first.pinned().await.unwrap();
    assert_eq!((first.count(&t).await.unwrap(), second.count(&t).await.unwrap()), (0, 1));
    let at = |extent| Watermark::at(extent);
    let (then, now) = (at(first.extent(&t).await.unwrap()), at(second.extent(&t).await.unwrap()));
    assert_ne!(then, now);
    eventually(Duration::from_secs(10), || async { rig.source.count(&t).await.unwrap() == 1 }).await;
}
