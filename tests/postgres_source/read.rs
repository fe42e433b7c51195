//! What a batch gives, and in which order watermarks come past what.

use std::time::{Duration, Instant};

use highwater::engine::{Lag, Limits};
use highwater::model::{Block, Bounds, Form, Layout, RowStream, Watermark};

use super::{Case, LIMITS, copied, rows};
use crate::support::{Server, watch};

const TABLE: &str = "CREATE TABLE t (a int PRIMARY KEY, v text)";

#[tokio::test]
async fn states_are_the_present_ones_whatever_happened_between() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    assert!(!reader.dirty().await);
    assert_eq!(reader.next().await, Vec::<String>::new());
    case.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)").await;
    case.execute(
        "UPDATE t SET v = 'B' WHERE a = 2; UPDATE t SET v = 'BB' WHERE a = 2; DELETE FROM t WHERE a = 1",
    )
    .await;
    assert!(reader.dirty().await);
    let batch = reader.batch(LIMITS).await;
    assert_eq!(rows(&batch.states), ["f 1 \\N \\N", "t 2 2 BB", "t 3 3 \\N"]);
    assert_eq!((batch.keys, batch.entries, batch.more, batch.prune), (3, 6, false, false));
    assert!(!reader.dirty().await);
    assert_eq!(reader.next().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_late_committer_is_read_though_its_number_is_lower() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    let mut late = case.database.connect().await;
    run(&mut late, "BEGIN; INSERT INTO t VALUES (1, 'late')").await;
    case.execute("INSERT INTO t VALUES (2, 'early')").await;
    assert_eq!(reader.next().await, ["t 2 2 early"]);
    assert!(!reader.dirty().await, "an open transaction is no dirty entry");
    run(&mut late, "COMMIT").await;
    assert!(reader.dirty().await);
    assert_eq!(lag(&reader).await.rows, 1);
    assert_eq!(reader.next().await, ["t 1 1 late"]);
}

#[tokio::test]
async fn a_prepared_transaction_is_read_once_it_commits() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    let gid = case.database.name().to_owned();
    case.execute(&format!("BEGIN; INSERT INTO t VALUES (1, 'x'); PREPARE TRANSACTION '{gid}'")).await;
    case.execute("INSERT INTO t VALUES (2, 'y')").await;
    assert_eq!(reader.next().await, ["t 2 2 y"]);
    assert_eq!(case.source.writers(&case.plan).await.unwrap()[0].id, gid);
    case.execute(&format!("COMMIT PREPARED '{gid}'")).await;
    assert_eq!(reader.next().await, ["t 1 1 x"]);
}

#[tokio::test]
async fn a_delta_is_drained_window_by_window_with_its_extent_fixed() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    let mut late = case.database.connect().await;
    run(&mut late, "BEGIN; INSERT INTO t VALUES (100, 'late')").await;
    case.execute("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 10) g").await;
    let limits = Limits { rows: 4, bytes: 1 << 20 };
    let first = reader.batch(limits).await;
    assert!(first.more && first.keys == 4);
    let fixed = reader.watermark.inside().unwrap().0.clone();
    case.execute("INSERT INTO t VALUES (11, 'y'); UPDATE t SET v = 'z' WHERE a = 10").await;
    run(&mut late, "COMMIT").await;
    assert!(reader.dirty().await);
    assert_eq!(lag(&reader).await.rows, 6 + 3);
    let second = reader.batch(limits).await;
    assert_eq!(reader.watermark.inside().unwrap().0, &fixed);
    assert_eq!(second.keys, 4);
    let third = reader.batch(limits).await;
    assert_eq!(rows(&third.states), ["t 9 9 x", "t 10 10 z"], "the state is newer than the delta");
    assert_eq!(reader.watermark.base(), &fixed);
    let mut rest = reader.next().await;
    rest.sort();
    assert_eq!(rest, ["t 10 10 z", "t 100 100 late", "t 11 11 y"]);
    assert!(!reader.dirty().await);
}

#[tokio::test]
async fn a_batch_ends_at_the_limit_of_bytes_and_loses_nothing() {
    for form in [Form::CopyText, Form::CopyBinary] {
        let mut case = Case::new(TABLE).await;
        case.plan.tables[0].form = form;
        let mut reader = case.reader("t").await;
        case.execute("INSERT INTO t SELECT g, repeat('x', 100000) FROM generate_series(1, 20) g").await;
        case.execute("UPDATE t SET v = v || 'y' WHERE a IN (3, 4)").await;
        let limits = Limits { rows: 100, bytes: 250_000 };
        let first = reader.batch(limits).await;
        assert_eq!(
            (first.keys, first.entries, first.more),
            (2, 2, true),
            "the plan knew nothing of the width"
        );
        let end = first.states.blocks.last().unwrap();
        assert!(matches!(end, Block::End { rows: 2, bytes } if *bytes > 200_000), "{end:?}");
        let mut keys = 2;
        while reader.dirty().await {
            let batch = reader.batch(limits).await;
            assert!(batch.keys <= 2);
            keys += batch.keys;
        }
        assert_eq!(keys, 22);
        case.execute("UPDATE t SET v = repeat('x', 1000000) WHERE a = 1").await;
        assert_eq!(reader.batch(limits).await.keys, 1, "one row always fits");
    }
}

#[tokio::test]
async fn a_truncate_prunes_in_its_batch() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    case.execute("INSERT INTO t VALUES (1, 'a')").await;
    case.execute("TRUNCATE t; INSERT INTO t VALUES (2, 'b')").await;
    let batch = reader.batch(Limits { rows: 1, bytes: 1 << 20 }).await;
    assert!(!batch.prune);
    let batch = reader.batch(LIMITS).await;
    assert!(batch.prune);
    assert_eq!(rows(&batch.states), ["t 2 2 b"]);
    case.sound("t").await;
}

#[tokio::test]
async fn a_keyless_table_gives_entries_and_no_rows() {
    let case = Case::new("CREATE TABLE t (v text)").await;
    let mut reader = case.reader("t").await;
    case.execute("INSERT INTO t VALUES ('a')").await;
    let batch = reader.batch(LIMITS).await;
    assert_eq!((batch.keys, batch.entries, rows(&batch.states).len()), (0, 1, 0));
    assert_eq!(case.source.chunks(case.table("t"), 10).await.unwrap(), [Bounds::all()]);
}

#[tokio::test]
async fn a_long_transaction_delays_only_its_own_rows_and_costs_nothing() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    let mut long = case.database.connect().await;
    run(&mut long, "BEGIN; INSERT INTO t SELECT g, 'long' FROM generate_series(1, 300000) g").await;
    case.execute("INSERT INTO t VALUES (-1, 'short')").await;
    assert_eq!(reader.next().await, ["t -1 -1 short"]);
    // Counted, not timed: how many entries of the log the indexes were asked for. A session tells its
    // counts at a transaction's end, once a second at the most.
    let read = "SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes WHERE schemaname = 'highwater_capture'";
    let before: i64 = case.number(read).await;
    for _ in 0..2 {
        assert!(!reader.dirty().await);
        assert_eq!(lag(&reader).await, Lag::default());
        assert_eq!(reader.next().await, Vec::<String>::new());
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    assert_eq!(reader.next().await, Vec::<String>::new());
    let walked = case.number(read).await - before;
    assert!(walked < 10_000, "{walked} entries were walked over that nobody can see");
    run(&mut long, "COMMIT").await;
    assert_eq!(lag(&reader).await.rows, Lag::MOST);
    assert_eq!(reader.batch(LIMITS).await.keys, 10_000);
}

#[tokio::test]
async fn chunks_stream_every_row_once_in_every_layout() {
    let case = Case::new(
        "CREATE TABLE t (a int, b text COLLATE \"C\", v text, PRIMARY KEY (a, b));
         INSERT INTO t SELECT g / 3, 'k' || g, CASE WHEN g % 5 > 0 THEN repeat('v', g) END FROM generate_series(1, 1000) g",
    )
    .await;
    let origin = case.origin("t").await;
    for form in [Form::CopyText, Form::CopyBinary] {
        let mut table = case.table("t").clone();
        table.form = form;
        let chunks = case.source.chunks(&table, 300).await.unwrap();
        assert_eq!(chunks.len(), 4);
        for layout in [Layout::Plain, Layout::Staged, Layout::Keys] {
            let mut total = 0;
            for bounds in &chunks {
                let stream = case.source.stream(watch(&table, &origin), bounds, layout).await.unwrap();
                let (text, rows) = drain(stream).await;
                assert!(rows <= 300);
                total += rows;
                if form == Form::CopyText {
                    assert_eq!(text.iter().filter(|b| **b == b'\n').count() as u64, rows);
                } else {
                    assert!(text.starts_with(b"PGCOPY\n") && text.ends_with(&[0xff, 0xff]));
                }
            }
            assert_eq!(total, 1000);
        }
    }
    assert_eq!(case.source.count(case.table("t")).await.unwrap(), 1000);
}

#[tokio::test]
async fn a_stream_whose_reader_goes_away_frees_its_connection() {
    let case = Case::new("CREATE TABLE t (a int PRIMARY KEY, v text); INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 50000) g").await;
    let origin = case.origin("t").await;
    for _ in 0..12 {
        let stream =
            case.source.stream(watch(case.table("t"), &origin), &Bounds::all(), Layout::Plain).await.unwrap();
        drop(stream);
    }
    assert_eq!(case.source.count(case.table("t")).await.unwrap(), 50000);
}

#[tokio::test]
async fn states_of_keys_come_in_their_order() {
    let case = Case::new("CREATE TABLE t (a text, b bigint, v text, PRIMARY KEY (a, b)); INSERT INTO t VALUES ('o''x', 1, 'one'), ('\\', 2, 'two')").await;
    let origin = case.origin("t").await;
    let key = |a: &str, b: i64| vec![a.to_owned(), b.to_string()];
    let mut keys = vec![key("\\", 2), key("none", 9), key("o'x", 1)];
    let states = case.source.states(watch(case.table("t"), &origin), &keys).await.unwrap();
    assert_eq!(rows(&states), ["t \\\\ 2 \\\\ 2 two", "f none 9 \\N \\N \\N", "t o'x 1 o'x 1 one"]);
    keys.extend((0..30_000).map(|n| key(&"k".repeat(50), n)));
    let mut table = case.table("t").clone();
    table.form = Form::CopyBinary;
    let states = case.source.states(watch(&table, &origin), &keys).await.unwrap();
    let text: Vec<u8> = states.blocks.iter().flat_map(copied).collect();
    assert_eq!(text.windows(7).filter(|w| w == b"PGCOPY\n").count(), 1, "several statements, one stream");
    assert!(matches!(states.blocks.last(), Some(Block::End { rows: 30_003, .. })));
}

#[tokio::test]
async fn purging_goes_in_steps_and_never_beyond_the_watermark() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    let mut late = case.database.connect().await;
    run(&mut late, "BEGIN; INSERT INTO t VALUES (-1, 'late')").await;
    case.execute("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 45000) g").await;
    let early = reader.watermark.clone();
    reader.batch(Limits { rows: 30_000, bytes: 64 << 20 }).await;
    let table = case.table("t");
    assert_eq!(
        case.source.purge(table, &reader.watermark).await.unwrap(),
        0,
        "inside a delta its base counts"
    );
    reader.batch(Limits { rows: 30_000, bytes: 64 << 20 }).await;
    let mut steps = Vec::new();
    loop {
        steps.push(case.source.purge(table, &reader.watermark).await.unwrap());
        if steps.last().unwrap() < &20_000 {
            break;
        }
    }
    assert_eq!(steps, [20_000, 20_000, 5_000]);
    run(&mut late, "COMMIT").await;
    assert_eq!(case.log("t").await, ["I -1"]);
    assert_eq!(case.source.purge(table, &reader.watermark).await.unwrap(), 0);
    assert_eq!(reader.next().await, ["t -1 -1 late"]);
    assert_eq!(case.source.purge(table, &reader.watermark).await.unwrap(), 1);
    reader.watermark = early;
    let error = case.source.batch(reader.watch(), LIMITS).await.unwrap_err();
    assert_eq!(error.kind(), highwater::error::Kind::Doubtful, "{error}");
}

#[tokio::test]
async fn what_was_read_is_flushed_even_beside_asynchronous_commits() {
    let server =
        Server::start_own(&[("synchronous_commit", "off"), ("wal_writer_delay", "10s"), ("fsync", "on")]);
    let case = Case::on(
        {
            let database = server.database().await;
            database.execute(TABLE).await;
            database
        },
        "postgres",
    )
    .await;
    case.install().await;
    let mut reader = case.reader("t").await;
    case.execute("INSERT INTO t VALUES (1, 'x')").await;
    let begun = Instant::now();
    assert_eq!(reader.next().await, ["t 1 1 x"]);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "the server by itself takes 10 s; highwater makes the server flush: {:?}",
        begun.elapsed()
    );
    server.crash();
    server.start();
    let rows = case.database.rows_as_text("SELECT a FROM t").await;
    assert_eq!(rows.len(), 1, "what was passed on is not lost");
}

#[tokio::test]
async fn a_window_of_ten_thousand_in_a_million_takes_milliseconds() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    let mut old = case.database.connect().await;
    run(&mut old, "BEGIN; INSERT INTO t VALUES (-1, 'old')").await;
    case.execute("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 1000000) g").await;
    reader.batch(LIMITS).await;
    let begun = Instant::now();
    for _ in 0..5 {
        reader.batch(LIMITS).await;
    }
    println!("batches of 10k in a log of 1M: {:?} each", begun.elapsed() / 5);
    let begun = Instant::now();
    lag(&reader).await;
    println!("measure: {:?}", begun.elapsed());
    reader.watermark = Watermark::at(case.source.extent(case.table("t")).await.unwrap());
    case.execute("INSERT INTO t SELECT -g, 'x' FROM generate_series(2, 10) g").await;
    let begun = Instant::now();
    assert!(reader.dirty().await);
    println!("poll: {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(reader.next().await.len(), 9);
    println!("batch of 9: {:?}", begun.elapsed());
}

async fn lag(reader: &super::Reader<'_>) -> Lag {
    reader.case.source.measure(&[reader.watch()]).await.unwrap().lags[0].unwrap()
}

async fn run(connection: &mut sqlx::PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

pub async fn drain(mut stream: RowStream) -> (Vec<u8>, u64) {
    let mut all = Vec::new();
    loop {
        match stream.next().await.unwrap() {
            Block::End { rows, .. } => return (all, rows),
            block => all.extend(copied(&block)),
        }
    }
}
