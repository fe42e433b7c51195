//! A held snapshot: every read agrees with every other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use highwater::engine::Source;
use highwater::error::Kind;
use highwater::model::{Bounds, Layout};

use super::{Case, LIMITS, copied, rows};
use crate::support::{eventually, watch};

const FAMILY: &str = "CREATE TABLE p (a bigserial PRIMARY KEY, v text);
    CREATE TABLE c (b bigserial PRIMARY KEY, a bigint NOT NULL REFERENCES p);
    INSERT INTO p (v) VALUES ('first'); INSERT INTO c (a) VALUES (1)";

/// Sessions that hold a snapshot open.
const HOLDERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name = 'highwater' AND query LIKE '%pg_export_snapshot%' AND state = 'idle in transaction'";

async fn streamed(case: &Case, source: &dyn Source, label: &str) -> usize {
    let (reader, table) = (case.reader(label).await, case.table(label));
    let mut stream =
        source.stream(watch(table, &reader.origin), &Bounds::all(), Layout::Plain).await.unwrap();
    let mut lines = 0;
    loop {
        let block = stream.next().await.unwrap();
        lines += copied(&block).iter().filter(|byte| **byte == b'\n').count();
        if matches!(block, highwater::model::Block::End { .. }) {
            return lines;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parent_and_child_agree_at_every_point() {
    let case = Case::new(FAMILY).await;
    let (parents, children) = (case.reader("p").await, case.reader("c").await);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let (database, stop) = (case.database.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    database
                        .execute("WITH n AS (INSERT INTO p (v) VALUES ('x') RETURNING a) INSERT INTO c (a) SELECT a FROM n")
                        .await;
                    tokio::time::sleep(Duration::from_millis(4)).await;
                }
            })
        })
        .collect();
    for _ in 0..8 {
        let pinned = case.source.pinned().await.unwrap();
        let (p, c) = (case.table("p"), case.table("c"));
        let extents = (pinned.extent(p).await.unwrap(), pinned.extent(c).await.unwrap());
        assert_eq!(extents.0, extents.1);
        let count = pinned.count(p).await.unwrap();
        assert_eq!(count, pinned.count(c).await.unwrap());
        // All since the copy, read one table after the other while writers go on.
        let changed = async |reader: &super::Reader<'_>| {
            let batch = pinned.batch(reader.watch(), LIMITS).await.unwrap();
            assert_eq!(batch.states.read_at, extents.0);
            rows(&batch.states).len() as u64
        };
        let (first, second) = (changed(&parents).await, changed(&children).await);
        assert_eq!((first, second), (count - 1, count - 1));
        let keys = pinned.keys_with(p, "v", &["x".into()]).await.unwrap();
        assert_eq!(keys.len() as u64, count - 1);
        assert_eq!(streamed(&case, pinned.as_ref(), "p").await as u64, count);
        assert_eq!(streamed(&case, pinned.as_ref(), "c").await as u64, count);
        let arrived = pinned.arrived(parents.watch(), parents.watermark.base()).await.unwrap();
        assert_eq!(arrived.len() as u64, count - 1);
        assert_eq!(pinned.renewed(parents.watch(), &keys).await.unwrap().len() as u64, count - 1);
        let states =
            pinned.states(children.watch(), &[vec!["1".into()], vec!["999999".into()]]).await.unwrap();
        assert_eq!(states.read_at, extents.0);
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let pinned = case.source.pinned().await.unwrap();
    let mut reader = case.reader("p").await;
    case.execute("INSERT INTO p (v) VALUES ('after the pin')").await;
    let seen = pinned.extent(case.table("p")).await.unwrap();
    reader.watermark = highwater::model::Watermark::at(seen);
    assert!(!pinned.poll(&[reader.watch()]).await.unwrap()[0]);
    assert!(reader.dirty().await, "the source itself sees it");
}

#[tokio::test]
async fn the_holder_ends_with_the_last_clone() {
    let case = Case::new(FAMILY).await;
    let pinned = case.source.pinned().await.unwrap();
    let clone = Arc::clone(&pinned);
    assert_eq!(case.number(HOLDERS).await, 1);
    drop(pinned);
    clone.count(case.table("p")).await.unwrap();
    drop(clone);
    eventually(Duration::from_secs(10), async || case.number(HOLDERS).await == 0).await;
}

#[tokio::test]
async fn a_lost_holder_is_an_error_and_no_other_snapshot() {
    let case = Case::new(FAMILY).await;
    let pinned = case.source.pinned().await.unwrap();
    let reader = case.reader("p").await;
    case.execute(&HOLDERS.replace("count(*)", "pg_terminate_backend(pid)")).await;
    eventually(Duration::from_secs(10), async || case.number(HOLDERS).await == 0).await;
    let table = case.table("p");
    let kinds = [
        pinned.extent(table).await.unwrap_err().kind(),
        pinned.count(table).await.unwrap_err().kind(),
        pinned.poll(&[reader.watch()]).await.unwrap_err().kind(),
        pinned.batch(reader.watch(), LIMITS).await.unwrap_err().kind(),
        pinned.keys_with(table, "v", &["x".into()]).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [Kind::Unavailable; 5]);
}

#[tokio::test]
async fn a_truncation_reaches_into_a_held_snapshot_and_is_seen_by_inspection() {
    let case = Case::new("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let storage = "SELECT relfilenode::bigint FROM pg_class WHERE oid = 't'::regclass";
    let before = case.number(storage).await;
    let pinned = case.source.pinned().await.unwrap();
    assert_eq!(pinned.count(case.table("t")).await.unwrap(), 1);
    case.execute("TRUNCATE t; INSERT INTO t VALUES (2)").await;
    assert_eq!(pinned.count(case.table("t")).await.unwrap(), 0, "the documented exception");
    assert_ne!(case.number(storage).await, before);
}
