//! Values keep their storage class and their bytes, in rows and in keys.

use highwater::engine::Feed;
use highwater::model::{Block, Layout, Value};

use super::rig::{LIMITS, Rig};
use crate::support::watch;

/// Every storage class with its extremes, as SQL.
const VALUES: [&str; 24] = [
    "NULL",
    "0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "0.1",
    "1.0",
    "-0.0",
    "1e308 * 10",
    "-1e308 * 10",
    "5e-324",
    "1.7976931348623157e308",
    "''",
    "'text'",
    "'it''s'",
    "'12'",
    "'1.0'",
    "'a' || char(0) || 'b'",
    "'grün 🎄'",
    "CAST(x'ff00fe' AS TEXT)",
    "x''",
    "x'00ff'",
    "zeroblob(70000)",
    "printf('%.70000c', 'x')",
];

/// A row per value, the value in columns of every affinity.
fn rows() -> String {
    let row = |(i, v): (usize, &&str)| format!("({i}, {v}, {v}, {v}, {v}, {v}, {v})");
    let rows: Vec<String> = VALUES.iter().enumerate().map(row).collect();
    format!("INSERT INTO t VALUES {}", rows.join(", "))
}

const TABLE: &str =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, none, i INTEGER, r REAL, s TEXT, n NUMERIC, b BLOB)";

#[tokio::test]
async fn every_class_is_replayed_in_every_column() {
    let mut rig = Rig::new(TABLE).await;
    rig.files.source.execute(&rows()).await;
    rig.drain("t").await;
    rig.assert_same("t").await;
    rig.files.source.execute("UPDATE t SET none = b, b = none, s = r, id = id + 100").await;
    rig.drain("t").await;
    rig.assert_same("t").await;
}

#[tokio::test]
async fn every_class_is_copied_in_every_column() {
    let rig = Rig::new(TABLE).await;
    rig.files.source.execute(&rows()).await;
    assert_eq!(rig.copy("t", 7).await, VALUES.len() as u64);
    rig.assert_same("t").await;
}

#[tokio::test]
async fn every_class_is_replayed_in_a_table_without_a_key() {
    let mut rig = Rig::new("CREATE TABLE t (id, none, i INTEGER, r REAL, s TEXT, n NUMERIC, b BLOB)").await;
    rig.files.source.execute(&rows()).await;
    rig.files.source.execute(&rows()).await;
    let applied = rig.drain("t").await;
    assert_eq!((applied.inserted, applied.deleted), (2 * VALUES.len() as u64, 0));
    rig.assert_same("t").await;
    rig.files.source.execute("DELETE FROM t WHERE rowid = 14; UPDATE t SET s = 'one' WHERE rowid = 20").await;
    let applied = rig.drain("t").await;
    assert_eq!((applied.inserted, applied.deleted), (1, 2), "equal rows stay as they are");
    rig.assert_same("t").await;
}

#[tokio::test]
async fn every_class_is_a_key() {
    let mut rig = Rig::new("CREATE TABLE t (a NOT NULL, b, v, PRIMARY KEY (a, v)) WITHOUT ROWID").await;
    let values = VALUES.iter().filter(|v| **v != "NULL" && **v != "-0.0").collect::<Vec<_>>();
    let rows: Vec<String> = values.iter().enumerate().map(|(i, v)| format!("({v}, {i}, {v})")).collect();
    rig.files.source.execute(&format!("INSERT INTO t VALUES {}", rows.join(", "))).await;
    rig.drain("t").await;
    rig.assert_same("t").await;
    rig.files.source.execute("UPDATE t SET b = 'changed'; DELETE FROM t WHERE typeof(a) = 'blob'").await;
    rig.drain("t").await;
    rig.assert_same("t").await;
}

#[tokio::test]
async fn keys_go_through_the_ledger_and_back() {
    let mut rig = Rig::new("CREATE TABLE t (a NOT NULL PRIMARY KEY, v)").await;
    let values = VALUES.iter().filter(|v| **v != "NULL" && **v != "-0.0").collect::<Vec<_>>();
    for value in &values {
        rig.files.source.execute(&format!("INSERT INTO t VALUES ({value}, 1)")).await;
    }
    let table = rig.table("t");
    let batch = rig.batch("t", LIMITS).await.unwrap();
    let mut tx = rig.target.begin().await.unwrap();
    tx.stage(&table, Feed::Read(&batch.states.blocks)).await.unwrap();
    let numbers = tx.staged(&table).await.unwrap();
    let mut keys = tx.staged_keys(&table, &numbers).await.unwrap();
    drop(tx);
    assert_eq!(keys.len(), values.len());
    keys.push(vec!["'nobody'".into()]);
    let (origin, _) = &rig.at["t"];
    let states = rig.source.states(watch(&table, origin), &keys).await.unwrap();
    let rows: Vec<&Vec<Value>> = states
        .blocks
        .iter()
        .filter_map(|b| if let Block::Values(r) = b { Some(r) } else { None })
        .flatten()
        .collect();
    assert_eq!(rows.len(), keys.len());
    let present = rows.iter().filter(|r| r[1] == Value::Integer(1)).count();
    assert_eq!(present, values.len(), "every key found its row");
    let mut numbers: Vec<i64> =
        rows.iter().map(|r| if let Value::Integer(n) = r[0] { n } else { 0 }).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), rows.len());
    rig.drain("t").await;
    rig.assert_same("t").await;
}

#[tokio::test]
async fn chunks_cover_every_key_of_every_class_once() {
    for wal in [true, false] {
        let rig = Rig::by_journal(
            wal,
            "CREATE TABLE t (a NOT NULL, b TEXT COLLATE NOCASE NOT NULL, v, PRIMARY KEY (a, b))",
        )
        .await;
        for value in VALUES.iter().filter(|v| **v != "NULL" && **v != "-0.0") {
            rig.write(&format!(
                "INSERT INTO t VALUES ({value}, 'a', 1), ({value}, 'B', 2), ({value}, 'c', 3)"
            ))
            .await;
        }
        let total = (VALUES.len() as u64 - 2) * 3;
        for rows in [1, 2, 5, 1000] {
            rig.files.target.execute("DELETE FROM t").await;
            assert_eq!(rig.copy("t", rows).await, total, "WAL {wal}, chunks of {rows}");
            rig.assert_same("t").await;
        }
    }
}

#[tokio::test]
async fn staged_streams_hold_number_presence_key_and_columns() {
    let rig = Rig::new("CREATE TABLE t (v, k TEXT NOT NULL PRIMARY KEY)").await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    let (origin, _) = &rig.at["t"];
    let bounds = highwater::model::Bounds::all();
    for (layout, width) in [(Layout::Staged, 5), (Layout::Keys, 1), (Layout::Plain, 2)] {
        let mut stream = rig.source.stream(watch(&rig.table("t"), origin), &bounds, layout).await.unwrap();
        let Block::Values(rows) = stream.next().await.unwrap() else { panic!("no rows") };
        assert_eq!((rows.len(), rows[0].len()), (2, width));
        if layout == Layout::Staged {
            let text = |t: &str| Value::Text(t.into());
            assert_eq!(
                rows[1],
                [Value::Integer(2), Value::Integer(1), text("b"), Value::Integer(2), text("b")]
            );
        }
        assert!(matches!(stream.next().await.unwrap(), Block::End { rows: 2, .. }));
    }
}
