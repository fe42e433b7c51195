//! What is read of a log whose numbers don't come in the order of commits, and what is never passed.
//! docs/how-it-works.md, "position order is not commit order", "a commit can vanish", "positions are never
//! reused", "purging is checked in the read".

use std::time::{Duration, Instant};

use highwater::engine::{Limits, Origin, Watch};
use highwater::error::Kind as ErrorKind;
use highwater::model::{Batch, Block, Bounds, Extent, Layout, Seen, Value, Watermark};

use super::{Case, Kind};
use crate::support::{MysqlServer, eventually, mysql_execute, patience};

on_both!(
    a_long_transaction_delays_only_itself,
    what_was_rolled_back_is_retired,
    what_is_still_open_is_not_retired,
    a_detached_xa_transaction_is_still_open,
    an_xa_transaction_that_a_restart_recovered_is_still_open,
    a_huge_gap_is_one_range,
    with_very_many_gaps_a_batch_still_moves_on,
    batches_are_bounded_by_entries_and_by_bytes,
    keys_that_the_table_holds_for_the_same_are_one,
    a_log_that_lost_entries_is_doubted,
    what_the_source_could_lose_is_not_handed_on,
    purging_keeps_the_end_and_what_is_open,
    a_keyless_table_is_passed_at_once,
    states_and_streams_give_what_is_there_now,
);

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))";
pub const LIMITS: Limits = Limits { rows: 1_000, bytes: 1 << 20 };

/// Reads one table's log as replay does.
pub struct Reader<'a> {
    pub case: &'a Case,
    pub origin: Origin,
    pub watermark: Watermark,
}

impl Reader<'_> {
    pub async fn of(case: &Case) -> Reader<'_> {
        let table = &case.plan.tables[0];
        let generation = case.install().await[&table.label()].clone();
        let identity = case.source.identity().await.unwrap();
        let watermark = Watermark::at(case.source.extent(table).await.unwrap());
        Reader { case, origin: Origin { identity, generation, shape: String::new() }, watermark }
    }

    pub fn watch(&self) -> Watch<'_> {
        Watch { table: &self.case.plan.tables[0], watermark: &self.watermark, origin: &self.origin }
    }

    pub async fn batch(&self, limits: Limits) -> Batch {
        self.case.source.batch(self.watch(), limits).await.unwrap()
    }

    /// The keys of the next batch, which is passed.
    async fn next(&mut self, limits: Limits) -> Vec<String> {
        let batch = self.batch(limits).await;
        assert!(batch.states.read_at.covers(&self.watermark), "it sees what was passed");
        self.watermark = batch.to.clone();
        keys(&batch)
    }

    async fn is_dirty(&self) -> bool {
        self.case.source.poll(&[self.watch()]).await.unwrap()[0]
    }

    fn seen(&self) -> &Seen {
        match self.watermark.base() {
            Extent::Mysql(seen) => seen,
            other => panic!("{other:?}"),
        }
    }

    /// Reads on until no gap is left. On MariaDB one waits for everybody who was open at its first sight, and
    /// other tests hold transactions open on this server.
    async fn until_no_gap(&mut self) {
        let end = Instant::now() + patience(Duration::from_secs(30));
        while !self.seen().gaps.is_empty() {
            assert!(Instant::now() < end, "{:?}", self.seen());
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.next(LIMITS).await;
        }
    }

    /// Reads on for as long as two looks at who is open take; the gaps that are left.
    async fn gaps_after_a_while(&mut self) -> Vec<(u64, u64)> {
        for _ in 0..25 {
            self.next(LIMITS).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.seen().gaps.clone()
    }
}

/// Key, and the first column after it or `-`.
fn keys(batch: &Batch) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Text(bytes) | Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Integer(number) => number.to_string(),
        _ => "-".to_owned(),
    };
    let mut all = Vec::new();
    for block in &batch.states.blocks {
        if let Block::Values(rows) = block {
            all.extend(rows.iter().map(|row| format!("{} {}", text(&row[2]), text(row.last().unwrap()))));
        }
    }
    all
}

/// A source seen by a user without PROCESS, so that gaps are retired by locking the log.
async fn poor(case: &Case) -> Case {
    let server = MysqlServer::shared(case.database.kind());
    let user = server.user("").await;
    let name = case.database.name();
    server
        .execute(&format!(
            "GRANT SELECT, TRIGGER, LOCK TABLES ON {name}.* TO {user}@'%'; \
             GRANT ALL ON highwater_capture.* TO {user}@'%'"
        ))
        .await;
    Case::on(case.database.clone(), &user, &[]).await
}

async fn a_long_transaction_delays_only_itself(kind: Kind) {
    let case = Case::bare(kind, TABLE).await;
    let mut reader = Reader::of(&case).await;
    let mut long = case.database.connect().await;
    mysql_execute(&mut long, "BEGIN; INSERT INTO t VALUES (1, 'late')").await;
    case.execute("INSERT INTO t VALUES (2, 'b')").await;
    case.execute("INSERT INTO t VALUES (3, 'c')").await;
    assert_eq!(reader.next(LIMITS).await, ["2 b", "3 c"]);
    assert!(!reader.is_dirty().await);
    assert_eq!(reader.next(LIMITS).await, Vec::<String>::new());
    mysql_execute(&mut long, "COMMIT").await;
    assert!(reader.is_dirty().await);
    assert_eq!(reader.next(LIMITS).await, ["1 late"], "below what was read already");
    assert!(!reader.is_dirty().await && reader.seen().gaps.is_empty());
}

async fn what_was_rolled_back_is_retired(kind: Kind) {
    let rich = Case::bare(kind, TABLE).await;
    rich.install().await;
    for case in [&rich, &poor(&rich).await] {
        let mut reader = Reader::of(case).await;
        case.execute("BEGIN; INSERT INTO t VALUES (1, 'no'), (2, 'no'); ROLLBACK").await;
        case.execute("REPLACE INTO t VALUES (3, 'yes')").await;
        assert_eq!(reader.next(LIMITS).await, ["3 yes"]);
        assert!(!reader.seen().gaps.is_empty(), "{:?}", reader.seen());
        reader.until_no_gap().await;
    }
}

async fn what_is_still_open_is_not_retired(kind: Kind) {
    let rich = Case::bare(kind, TABLE).await;
    rich.install().await;
    for (case, n) in [(&rich, 1), (&poor(&rich).await, 4)] {
        let mut reader = Reader::of(case).await;
        let mut open = case.database.connect().await;
        mysql_execute(&mut open, &format!("BEGIN; INSERT INTO t VALUES ({n}, 'open')")).await;
        case.execute(&format!("INSERT INTO t VALUES ({}, 'x')", n + 1)).await;
        assert_eq!(reader.next(LIMITS).await, [format!("{} x", n + 1)]);
        let gaps = reader.seen().gaps.clone();
        assert_eq!(gaps.len(), 1);
        assert_eq!(reader.gaps_after_a_while().await, gaps, "somebody may fill it yet");
        // Nobody was kept waiting by the looks.
        let mut other = case.database.connect().await;
        let insert = format!("SET innodb_lock_wait_timeout = 1; INSERT INTO t VALUES ({}, 'y')", n + 2);
        mysql_execute(&mut other, &insert).await;
        mysql_execute(&mut open, "COMMIT").await;
        let mut read = reader.next(LIMITS).await;
        read.extend(reader.next(LIMITS).await);
        assert!(read.contains(&format!("{n} open")), "{read:?}");
        reader.until_no_gap().await;
    }
}

async fn a_detached_xa_transaction_is_still_open(kind: Kind) {
    // By itself: prepared transactions hold up every install on a server.
    let server = MysqlServer::start_own(kind, &[]);
    let database = server.database().await;
    database.execute(TABLE).await;
    let case = Case::on(database, "root", &[]).await;
    let mut reader = Reader::of(&case).await;
    let mut branch = case.database.connect().await;
    mysql_execute(
        &mut branch,
        "XA START 'one'; INSERT INTO t VALUES (1, 'xa'); XA END 'one'; XA PREPARE 'one'",
    )
    .await;
    drop(branch);
    case.execute("INSERT INTO t VALUES (2, 'b')").await;
    assert_eq!(reader.next(LIMITS).await, ["2 b"]);
    let gaps = reader.gaps_after_a_while().await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    // Its session is gone, and another may end it.
    eventually(Duration::from_secs(10), || async {
        let mut other = case.database.connect().await;
        sqlx::raw_sql("XA COMMIT 'one'").execute(&mut other).await.map(|_| ())
    })
    .await;
    assert_eq!(reader.next(LIMITS).await, ["1 xa"]);
}

async fn an_xa_transaction_that_a_restart_recovered_is_still_open(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let database = server.database().await;
    database.execute(TABLE).await;
    let case = Case::on(database.clone(), "root", &[]).await;
    let mut reader = Reader::of(&case).await;
    database.execute("XA START 'one'; INSERT INTO t VALUES (1, 'xa'); XA END 'one'; XA PREPARE 'one'").await;
    // Another connection: the pool's own is bound to the branch.
    let mut other = case.database.connect().await;
    mysql_execute(&mut other, "INSERT INTO t VALUES (2, 'b')").await;
    assert_eq!(reader.next(LIMITS).await, ["2 b"]);
    let (watermark, origin) = (reader.watermark.clone(), reader.origin.clone());
    server.crash();
    server.start();
    let after = Case::on(case.database.clone(), "root", &[]).await;
    let mut reader = Reader { case: &after, origin, watermark };
    let gaps = reader.gaps_after_a_while().await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let mut other = after.database.connect().await;
    mysql_execute(&mut other, "XA COMMIT 'one'").await;
    assert_eq!(reader.next(LIMITS).await, ["1 xa"]);
}

async fn a_huge_gap_is_one_range(kind: Kind) {
    let case = Case::bare(kind, TABLE).await;
    let mut reader = Reader::of(&case).await;
    let numbers = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000)";
    let mut open = case.database.connect().await;
    mysql_execute(&mut open, &format!("BEGIN; INSERT INTO t {numbers} SELECT n, 'bulk' FROM s")).await;
    case.execute("INSERT INTO t VALUES (0, 'x')").await;
    assert_eq!(reader.next(LIMITS).await, ["0 x"]);
    assert_eq!(reader.seen().gaps.len(), 1, "{:?}", reader.seen());
    mysql_execute(&mut open, "COMMIT").await;
    let mut read = 0;
    while reader.is_dirty().await {
        read += reader.next(LIMITS).await.len();
        assert!(reader.seen().gaps.len() <= 2, "{:?}", reader.seen());
    }
    assert_eq!(read, 20_000);
}

async fn batches_are_bounded_by_entries_and_by_bytes(kind: Kind) {
    let case = Case::bare(kind, "CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)").await;
    let mut reader = Reader::of(&case).await;
    for n in 1..=9 {
        case.execute(&format!("INSERT INTO t VALUES ({n}, REPEAT('x', 100000))")).await;
    }
    let few = reader.next(Limits { rows: 2, bytes: 1 << 30 }).await;
    assert_eq!(few.len(), 2);
    let batch = reader.batch(Limits { rows: 1_000, bytes: 250_000 }).await;
    assert!(batch.more && batch.keys == 3, "{} keys", batch.keys);
    let mut read = 2;
    while reader.is_dirty().await {
        let some = reader.next(Limits { rows: 1_000, bytes: 1 }).await;
        assert_eq!(some.len(), 1, "one row always fits");
        read += 1;
    }
    assert_eq!(read, 9);
    // A key that changed many times moves once.
    for _ in 0..5 {
        case.execute("UPDATE t SET v = 'y'").await;
    }
    let batch = reader.batch(LIMITS).await;
    assert_eq!((batch.entries, batch.keys), (45, 9));
}

async fn keys_that_the_table_holds_for_the_same_are_one(kind: Kind) {
    let table =
        "CREATE TABLE t (k VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, v INT)";
    let case = Case::bare(kind, table).await;
    let mut reader = Reader::of(&case).await;
    case.execute("INSERT INTO t VALUES ('Abc', 1); UPDATE t SET k = 'aBC ', v = 2").await;
    assert_eq!(reader.batch(LIMITS).await.keys, 1);
    let read = reader.next(LIMITS).await;
    assert!(read.len() == 1 && read[0].ends_with(" 2"), "{read:?}");
    case.execute("DELETE FROM t WHERE k = 'ABC'").await;
    let read = reader.next(LIMITS).await;
    assert!(read.len() == 1 && read[0].ends_with('-'), "{read:?}");
}

async fn a_log_that_lost_entries_is_doubted(kind: Kind) {
    let case = Case::bare(kind, TABLE).await;
    let mut reader = Reader::of(&case).await;
    case.execute("INSERT INTO t VALUES (1, 'a')").await;
    reader.next(LIMITS).await;
    let log = case.log_of("t");
    let doubt = async |reader: &Reader<'_>| {
        let error = reader.case.source.batch(reader.watch(), LIMITS).await.unwrap_err();
        let stream = reader.case.source.stream(reader.watch(), &Bounds::all(), Layout::Plain).await;
        let states = reader.case.source.states(reader.watch(), &[vec!["1".into()]]).await;
        let kinds = [error.kind(), stream.unwrap_err().kind(), states.unwrap_err().kind()];
        assert_eq!(kinds, [ErrorKind::Doubtful; 3], "{error}");
        error.summary()
    };
    // Put back to before the entry, and used again: another row has its number.
    case.execute(&format!("UPDATE {log} SET captured_at = captured_at + INTERVAL 1 MICROSECOND")).await;
    assert!(doubt(&reader).await.contains("lost commits"));
    case.execute(&format!("DELETE FROM {log}")).await;
    assert!(doubt(&reader).await.contains("lost commits"));
    reader.origin.generation = "another".to_owned();
    assert!(doubt(&reader).await.contains("made anew"));
    reader.origin.identity.database = "another".to_owned();
    let error = case.source.batch(reader.watch(), LIMITS).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Foreign);
}

/// Commits are seen before they are on disk where the server is told to flush once a second. A crash right
/// after a batch was handed on must not lose what it held.
async fn what_the_source_could_lose_is_not_handed_on(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[("skip-log-bin", "1"), ("innodb_flush_log_at_timeout", "2")]);
    let database = server.database().await;
    database.execute(TABLE).await;
    let case = Case::on(database, "root", &[]).await;
    let mut reader = Reader::of(&case).await;
    for n in 0..3 {
        server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0").await;
        case.execute(&format!("INSERT INTO t VALUES ({n}, 'x')")).await;
        assert_eq!(reader.next(LIMITS).await, [format!("{n} x")]);
        server.crash();
        server.start();
        let left = eventually(Duration::from_secs(20), || async {
            sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM t").fetch_one(case.database.pool()).await
        })
        .await;
        assert_eq!(left, n + 1, "a row that was read is gone");
    }
}

async fn purging_keeps_the_end_and_what_is_open(kind: Kind) {
    let case = Case::bare(kind, TABLE).await;
    let mut reader = Reader::of(&case).await;
    case.execute("INSERT INTO t VALUES (1, 'a')").await;
    let mut open = case.database.connect().await;
    mysql_execute(&mut open, "BEGIN; INSERT INTO t VALUES (2, 'open')").await;
    for n in 3..=9 {
        case.execute(&format!("INSERT INTO t VALUES ({n}, 'x')")).await;
    }
    let behind = reader.watermark.clone();
    reader.next(LIMITS).await;
    let table = &case.plan.tables[0];
    assert_eq!(case.source.purge(table, &reader.watermark).await.unwrap(), 1, "only what lies below the gap");
    mysql_execute(&mut open, "COMMIT").await;
    assert_eq!(reader.next(LIMITS).await, ["2 open"]);
    assert_eq!(case.source.purge(table, &reader.watermark).await.unwrap(), 7);
    assert_eq!(case.source.purge(table, &reader.watermark).await.unwrap(), 0);
    assert_eq!(case.log("t").await, ["I 9"], "the end stays, and with it the counter");
    assert_eq!(case.source.extent(table).await.unwrap(), *reader.watermark.base());
    // A target put back to before what was purged.
    let end = std::mem::replace(&mut reader.watermark, behind);
    let error = case.source.batch(reader.watch(), LIMITS).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Doubtful && error.summary().contains("purged"), "{error}");
    reader.watermark = end;
    case.execute("INSERT INTO t VALUES (10, 'z')").await;
    assert_eq!(reader.next(LIMITS).await, ["10 z"]);
}

async fn a_keyless_table_is_passed_at_once(kind: Kind) {
    let case = Case::bare(kind, "CREATE TABLE t (a INT, b INT)").await;
    let mut reader = Reader::of(&case).await;
    let mut open = case.database.connect().await;
    mysql_execute(&mut open, "BEGIN; INSERT INTO t VALUES (1, 1), (1, 1)").await;
    case.execute("INSERT INTO t VALUES (2, 2), (3, 3), (3, 3)").await;
    let batch = reader.batch(Limits { rows: 1, bytes: 1 }).await;
    assert_eq!((batch.entries, batch.more), (3, false));
    reader.watermark = batch.to;
    assert!(!reader.is_dirty().await);
    mysql_execute(&mut open, "COMMIT").await;
    assert!(reader.is_dirty().await);
    let batch = reader.batch(LIMITS).await;
    assert_eq!(batch.entries, 2);
}

async fn states_and_streams_give_what_is_there_now(kind: Kind) {
    let case = Case::bare(kind, "CREATE TABLE t (a VARCHAR(9), b INT, v INT, PRIMARY KEY (a, b))").await;
    let reader = Reader::of(&case).await;
    case.execute("INSERT INTO t VALUES ('it''s', 1, 10), ('', 2, 20), ('\u{e4}', 3, 30)").await;
    let table = &case.plan.tables[0];
    let bounds = case.source.chunks(table, 1).await.unwrap();
    assert_eq!(bounds.len(), 3);
    let mut rows = 0;
    for bounds in &bounds {
        let mut stream = case.source.stream(reader.watch(), bounds, Layout::Staged).await.unwrap();
        assert!(stream.extent.covers(&reader.watermark));
        loop {
            match stream.next().await.unwrap() {
                Block::Values(some) => rows += some.len(),
                Block::End { rows: told, .. } => break assert_eq!(told, 1),
                Block::Copy(_) => panic!("not PostgreSQL"),
            }
        }
    }
    assert_eq!(rows, 3);
    let key = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
    let wanted = [key("''", "2"), key("'none'", "9"), key("_utf8mb4 x'69742773'", "1")];
    let states = case.source.states(reader.watch(), &wanted).await.unwrap();
    let batch = Batch {
        from: reader.watermark.clone(),
        to: reader.watermark.clone(),
        states,
        keys: 3,
        entries: 0,
        prune: false,
        more: false,
    };
    assert_eq!(keys(&batch), [" 20", "none -", "it's 10"]);
}

async fn with_very_many_gaps_a_batch_still_moves_on(kind: Kind) {
    let case = Case::bare(kind, TABLE).await;
    let mut reader = Reader::of(&case).await;
    // A writer of the log stays open, so no gap is retired.
    let mut open = case.database.connect().await;
    mysql_execute(&mut open, "BEGIN; INSERT INTO t VALUES (9999, 'open')").await;
    case.execute(&format!(
        "INSERT INTO {} (seq, kind, captured_at, k1) WITH RECURSIVE n AS \
         (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 2600) \
         SELECT 10 + 2 * i, 'I', UTC_TIMESTAMP(6), i FROM n",
        case.log_of("t")
    ))
    .await;
    while !reader.next(LIMITS).await.is_empty() {}
    assert!(reader.seen().gaps.len() > 2_500, "{}", reader.seen().gaps.len());
    // What was applied is not asked for again: it would fill the batch for ever.
    case.execute("INSERT INTO t VALUES (5000, 'new')").await;
    assert_eq!(reader.next(Limits { rows: 100, bytes: 1 }).await, ["5000 new"]);
    assert!(!reader.is_dirty().await);
    mysql_execute(&mut open, "COMMIT").await;
    assert_eq!(reader.next(LIMITS).await, ["9999 open"]);
}
