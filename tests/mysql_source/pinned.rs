//! A source of which all reads see one snapshot. docs/how-it-works.md, "a point reads every table in one
//! snapshot".

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use highwater::engine::{Limits, Origin, Source, Watch};
use highwater::model::{Block, Bounds, Extent, Layout, TablePlan, Value, Watermark};

use super::positions::{LIMITS, Reader};
use super::{Case, Kind};
use crate::support::{mysql_execute as execute, within};

on_both!(
    all_tables_are_of_one_moment,
    a_gap_that_fills_after_the_snapshot_is_not_retired_in_it,
    a_table_emptied_after_the_snapshot_is_not_read_as_empty,
);

/// What reading a table needs.
struct Origins {
    origins: BTreeMap<String, Origin>,
    watermarks: BTreeMap<String, Watermark>,
}

impl Origins {
    async fn of(case: &Case) -> Origins {
        let (mut origins, mut watermarks) = (BTreeMap::new(), BTreeMap::new());
        let generations = case.install().await;
        let identity = case.source.identity().await.unwrap();
        for (label, generation) in generations {
            let origin = Origin { identity: identity.clone(), generation, shape: String::new() };
            origins.insert(label, origin);
        }
        for table in &case.plan.tables {
            let extent = case.source.extent(table).await.unwrap();
            watermarks.insert(table.label(), Watermark::at(extent));
        }
        Origins { origins, watermarks }
    }

    fn watch<'a>(&'a self, table: &'a TablePlan) -> Watch<'a> {
        let label = table.label();
        Watch { table, watermark: &self.watermarks[&label], origin: &self.origins[&label] }
    }
}

/// The sum of a table's second column, streamed.
async fn sum(source: &Arc<dyn Source>, watch: Watch<'_>) -> i64 {
    let mut stream = source.stream(watch, &Bounds::all(), Layout::Plain).await.unwrap();
    let mut sum = 0;
    loop {
        match stream.next().await.unwrap() {
            Block::Values(rows) => {
                for row in rows {
                    sum += match &row[1] {
                        Value::Integer(number) => *number,
                        Value::Text(digits) => std::str::from_utf8(digits).unwrap().parse().unwrap(),
                        other => panic!("{other:?}"),
                    };
                }
            }
            Block::End { .. } => return sum,
            other => panic!("{other:?}"),
        }
    }
}

async fn all_tables_are_of_one_moment(kind: Kind) {
    let case = Case::bare(
        kind,
        "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int);
         CREATE TABLE c (id int PRIMARY KEY AUTO_INCREMENT, v int);
         INSERT INTO a VALUES (1, 1000), (2, 1000); INSERT INTO b VALUES (1, 1000), (2, 1000)",
    )
    .await;
    let origins = Origins::of(&case).await;
    let mut writers = Vec::new();
    for n in 1..=2 {
        let mut connection = case.database.connect().await;
        writers.push(tokio::spawn(async move {
            loop {
                let sql = format!(
                    "START TRANSACTION; UPDATE a SET v = v - 1 WHERE id = {n}; UPDATE b SET v = v + 1 WHERE id = {n}; \
                     INSERT INTO c (v) VALUES (1); COMMIT"
                );
                execute(&mut connection, &sql).await;
            }
        }));
    }
    for _ in 0..8 {
        let pinned = case.source.pinned().await.unwrap();
        let mut read = Vec::new();
        for table in &case.plan.tables {
            let watch = origins.watch(table);
            let sum = sum(&pinned, watch).await;
            let batch = pinned.batch(watch, Limits { rows: 1_000_000, bytes: 1 << 30 }).await.unwrap();
            let extent = pinned.extent(table).await.unwrap();
            assert!(extent.covers(&Watermark::at(batch.to.base().clone())), "the log is of the same moment");
            read.push((sum, batch.entries, pinned.count(table).await.unwrap()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let [a, b, c] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(a.0 + b.0, 4000, "{read:?}");
        assert_eq!(c.0, b.0 - 2000, "{read:?}");
        assert_eq!((c.2 as i64, a.1, b.1), (c.0, c.1, c.1), "{read:?}");
        assert_eq!(pinned.poll(&[origins.watch(&case.plan.tables[0])]).await.unwrap(), [a.1 > 0]);
    }
    writers.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn a_gap_that_fills_after_the_snapshot_is_not_retired_in_it(kind: Kind) {
    let case = Case::bare(kind, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))").await;
    let mut reader = Reader::of(&case).await;
    let mut late = case.database.connect().await;
    execute(&mut late, "BEGIN; INSERT INTO t VALUES (1, 'late')").await;
    case.execute("INSERT INTO t VALUES (2, 'b')").await;
    let first = reader.batch(LIMITS).await;
    let Extent::Mysql(seen) = first.to.base() else { panic!("{first:?}") };
    assert_eq!(seen.gaps.len(), 1);
    // As another process would: the gap's owner was never seen open by this one.
    let other = super::connect(&case.database.url_as("root")).await;
    let pinned = other.pinned().await.unwrap();
    execute(&mut late, "COMMIT").await;
    reader.watermark = first.to;
    for _ in 0..2 {
        let batch = pinned.batch(reader.watch(), LIMITS).await.unwrap();
        assert_eq!(batch.keys, 0, "it is not in the snapshot");
        reader.watermark = batch.to;
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    drop(pinned);
    assert_eq!(reader.batch(LIMITS).await.keys, 1, "it is still to be read");
}

async fn a_table_emptied_after_the_snapshot_is_not_read_as_empty(kind: Kind) {
    let case =
        Case::bare(kind, "CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1)").await;
    let reader = Reader::of(&case).await;
    let pinned = case.source.pinned().await.unwrap();
    let table = &case.plan.tables[0];
    assert_eq!(pinned.count(table).await.unwrap(), 1);
    assert_eq!(pinned.states(reader.watch(), &[vec!["1".to_string()]]).await.unwrap().blocks.len(), 2);
    match kind {
        Kind::Mysql => {
            within(Duration::from_secs(8), "TRUNCATE", case.execute("TRUNCATE t")).await;
            assert!(pinned.count(table).await.is_err());
            drop(pinned);
        }
        Kind::Mariadb => {
            let mut other = case.database.connect().await;
            let emptying = tokio::spawn(async move { execute(&mut other, "TRUNCATE t").await });
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(!emptying.is_finished(), "it waits for the snapshot");
            assert_eq!(pinned.count(table).await.unwrap(), 1);
            drop(pinned);
            within(Duration::from_secs(8), "TRUNCATE", emptying).await.unwrap();
        }
    }
    assert_eq!(case.source.count(table).await.unwrap(), 0);
}
