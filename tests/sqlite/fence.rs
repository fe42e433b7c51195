//! The fence on the change logs: who is refused, and what may arrive late.

use std::time::{Duration, Instant};

use highwater::engine::{self, Fence, Lowered, Stamp};
use highwater::error::Kind;
use highwater::settings::Endpoint;
use sqlx::SqliteConnection;

use super::rig::{Rig, execute, options, plain};
use crate::support::{Pair, soon};

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v)";

fn stamp(attempt: i64) -> Stamp {
    Stamp { epoch: 0, attempt }
}

impl Rig {
    async fn raise(&self, attempt: i64) {
        self.source.raise_fence(&self.plan, stamp(attempt), soon()).await.unwrap();
    }

    async fn raise_fails(&self, attempt: i64) -> highwater::error::Error {
        self.source.raise_fence(&self.plan, stamp(attempt), soon()).await.unwrap_err()
    }

    /// What the proof misses.
    async fn unproven(&self, attempt: i64) -> String {
        let error = self.source.prove_fence(&self.plan, stamp(attempt)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotConverged, "{error}");
        error.summary()
    }

    async fn fence(&self) -> Fence {
        self.source.fence().await.unwrap()
    }

    /// Panics unless the fence refuses the statements, tried by a session that knew the schema before.
    async fn refuses(&self, session: &mut SqliteConnection, sql: &str) {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *session).await;
        let error = done.map(|_| ()).expect_err(sql).to_string();
        assert!(error.contains("highwater fence"), "{sql}: {error}");
        let _ = sqlx::raw_sql("ROLLBACK").execute(session).await;
    }
}

/// Tables with every kind of capture body: by rowid, by index, without rowid, keyless; with one that is excluded.
const KINDS: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v);
    CREATE TABLE pair (a TEXT, b INT, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
    CREATE TABLE child (id INTEGER PRIMARY KEY, t_id REFERENCES t (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE strict (id INT PRIMARY KEY NOT NULL, v TEXT NOT NULL) STRICT;
    CREATE TABLE heap (a, b);
    CREATE TABLE kept (a);
    CREATE VIEW seen AS SELECT id, v FROM t;
    CREATE TRIGGER through INSTEAD OF INSERT ON seen BEGIN INSERT INTO t VALUES (NEW.id, NEW.id, NEW.v); END;
    CREATE TRIGGER chained AFTER DELETE ON kept BEGIN DELETE FROM heap; END;";

const ROWS: &str = "
    INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2); INSERT INTO pair VALUES ('p', 1, 1), ('q', 2, 2);
    INSERT INTO child VALUES (1, 1), (2, 1); INSERT INTO strict VALUES (1, 'x'); INSERT INTO heap VALUES (1, 1);
    INSERT INTO kept VALUES (1)";

/// Each ends a capture body in another way: keys that exist or not, that change or not, rows in the way or not.
const WRITES: &[&str] = &[
    "INSERT INTO t VALUES (3, 'c', 3)",
    "INSERT INTO t (u) VALUES (NULL)",
    "INSERT OR IGNORE INTO t VALUES (3, 'c', 3)",
    "INSERT OR FAIL INTO t VALUES (3, 'c', 3), (4, 'd', 4)",
    "INSERT OR ABORT INTO t VALUES (3, 'c', 3)",
    "INSERT OR ROLLBACK INTO t VALUES (3, 'c', 3)",
    "REPLACE INTO t VALUES (3, 'c', 3)",
    "REPLACE INTO t VALUES (1, 'c', 3)",
    "REPLACE INTO t VALUES (3, 'a', 3)",
    "INSERT INTO t VALUES (3, 'a', 3) ON CONFLICT DO UPDATE SET v = 9",
    "INSERT INTO t VALUES (3, 'c', 3) ON CONFLICT DO NOTHING",
    "INSERT INTO t SELECT id + 10, NULL, v FROM t",
    "UPDATE t SET v = v",
    "UPDATE t SET id = id + 10",
    "UPDATE t SET rowid = 7 WHERE id = 1",
    "UPDATE OR IGNORE t SET u = 'b' WHERE id = 1",
    "UPDATE OR FAIL t SET v = 7",
    "UPDATE OR REPLACE t SET u = 'b' WHERE id = 1",
    "UPDATE OR REPLACE t SET id = 2 WHERE id = 1",
    "UPDATE OR ROLLBACK t SET v = 7",
    "UPDATE t SET v = x.v FROM (SELECT 5 AS v) AS x",
    "DELETE FROM t WHERE id = 1",
    "DELETE FROM t",
    "PRAGMA foreign_keys = ON; DELETE FROM t WHERE id = 1",
    "PRAGMA recursive_triggers = ON; REPLACE INTO t VALUES (1, 'a', 3)",
    "INSERT INTO seen VALUES (9, 9)",
    "BEGIN; SAVEPOINT s; INSERT OR IGNORE INTO t VALUES (3, 'c', 3); RELEASE s; COMMIT",
    "INSERT INTO pair VALUES ('r', 3, 3)",
    "REPLACE INTO pair VALUES ('p', 1, 3)",
    "UPDATE pair SET v = 3",
    "UPDATE pair SET b = 3 WHERE a = 'p'",
    "UPDATE OR REPLACE pair SET a = 'q', b = 2 WHERE a = 'p'",
    "DELETE FROM pair",
    "UPDATE child SET t_id = 2",
    "INSERT INTO strict VALUES (2, 'y')",
    "INSERT OR IGNORE INTO strict VALUES (2, 'y')",
    "INSERT INTO heap VALUES (2, 2)",
    "INSERT OR IGNORE INTO heap VALUES (2, 2)",
    "UPDATE OR IGNORE heap SET a = 2",
    "DELETE FROM heap",
    "INSERT INTO kept VALUES (2)",
    "INSERT OR IGNORE INTO kept VALUES (2)",
    "UPDATE OR REPLACE kept SET a = 2",
    "DELETE FROM kept",
];

#[tokio::test]
async fn every_way_to_write_is_refused_and_passes_again() {
    for wal in [true, false] {
        let files = Pair::sqlite().await;
        files.execute_on_both(KINDS).await;
        if !wal {
            files.source.sqlite().pool().close().await;
            execute(&mut plain(files.source.sqlite()).await, "PRAGMA journal_mode = DELETE").await;
        }
        let mut rig = Rig::over(files, &["kept"]).await;
        rig.install().await;
        rig.write(ROWS).await;
        let all = "SELECT (SELECT group_concat(id || quote(u) || quote(v)) FROM t), (SELECT group_concat(a || b || v) \
             FROM pair), (SELECT group_concat(id || quote(t_id)) FROM child), (SELECT count(*) FROM strict), \
             (SELECT group_concat(a) FROM heap), (SELECT group_concat(a) FROM kept)";
        let before = rig.read(all).await;
        let mut session = plain(rig.files.source.sqlite()).await;
        execute(&mut session, "SELECT * FROM t").await;
        assert_eq!(rig.fence().await, Fence { raised: false, stamp: stamp(0) });
        rig.raise(2).await;
        assert_eq!(rig.fence().await, Fence { raised: true, stamp: stamp(2) });
        rig.source.prove_fence(&rig.plan, stamp(2)).await.unwrap();
        for write in WRITES {
            rig.refuses(&mut session, write).await;
        }
        assert_eq!(rig.read(all).await, before);
        assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::Down);
        assert_eq!(rig.fence().await, Fence { raised: false, stamp: stamp(3) });
        for write in WRITES {
            let tried = format!("SAVEPOINT tried; {}; ROLLBACK TO tried; RELEASE tried", body(write));
            execute(&mut session, &tried).await;
        }
    }
}

/// A statement of [`WRITES`] as a part of a transaction.
fn body(write: &str) -> &str {
    let write = write.trim_start_matches("BEGIN; ").trim_end_matches("; COMMIT");
    write.rsplit_once("= ON; ").map_or(write, |(_, write)| write)
}

#[tokio::test]
async fn an_older_snapshot_does_not_pass_the_fence() {
    for wal in [true, false] {
        let rig = Rig::by_journal(wal, TABLE).await;
        let mut old = plain(rig.files.source.sqlite()).await;
        execute(&mut old, "PRAGMA busy_timeout = 0; BEGIN; SELECT * FROM t").await;
        let (source, plan) = (rig.source.clone(), rig.plan.clone());
        let raising = tokio::spawn(async move { source.raise_fence(&plan, stamp(1), soon()).await });
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(raising.is_finished(), wal, "a reader without WAL is waited for");
        if wal {
            let written = sqlx::raw_sql("INSERT INTO t VALUES (1, 'a', 1)").execute(&mut old).await;
            assert!(written.is_err(), "its snapshot is too old to write");
            assert_eq!(rig.source.prepared().await.unwrap(), []);
        } else {
            execute(&mut old, "ROLLBACK").await;
        }
        raising.await.unwrap().unwrap();
        let mut new = plain(rig.files.source.sqlite()).await;
        rig.refuses(&mut new, "INSERT INTO t VALUES (1, 'a', 1)").await;
        assert_eq!(rig.read("SELECT count(*) FROM t").await[0][0].as_deref(), Some("0"));
    }
}

#[tokio::test]
async fn an_open_writer_is_waited_out_and_its_rows_lie_before_the_barrier() {
    for wal in [true, false] {
        let rig = Rig::by_journal(wal, TABLE).await;
        let mut writer = plain(rig.files.source.sqlite()).await;
        execute(&mut writer, "BEGIN; INSERT INTO t VALUES (1, 'a', 1)").await;
        let (source, plan) = (rig.source.clone(), rig.plan.clone());
        let raising = tokio::spawn(async move { source.raise_fence(&plan, stamp(2), soon()).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!raising.is_finished());
        execute(&mut writer, "INSERT INTO t VALUES (2, 'b', 1); COMMIT").await;
        raising.await.unwrap().unwrap();
        rig.refuses(&mut writer, "INSERT INTO t VALUES (3, 'c', 1)").await;
        assert_eq!(rig.batch("t", super::rig::LIMITS).await.unwrap().entries, 2);
    }
}

#[tokio::test]
async fn raising_gives_up_in_time_and_leaves_no_trace() {
    let rig = Rig::new(TABLE).await;
    let mut writer = plain(rig.files.source.sqlite()).await;
    execute(&mut writer, "BEGIN IMMEDIATE").await;
    for until in [Instant::now(), Instant::now() + Duration::from_millis(300)] {
        let error = rig.source.raise_fence(&rig.plan, stamp(2), until).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    }
    execute(&mut writer, "COMMIT; INSERT INTO t VALUES (1, 'a', 1)").await;
    assert_eq!(rig.fence().await, Fence { raised: false, stamp: stamp(0) });
}

#[tokio::test]
async fn lower_sent_raise_lands_late() {
    let rig = Rig::new(TABLE).await;
    let trigger = "SELECT sql FROM sqlite_master WHERE name = 'highwater_capture_fence_2_t'";
    rig.raise(2).await;
    let trigger = rig.files.source.value(trigger).await;
    assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::Down);
    assert!(rig.source.drop_lowered().await.unwrap());
    // The request itself finds that it is superseded; its trigger alone stops no writer.
    assert_eq!(rig.raise_fails(2).await.kind(), Kind::Superseded);
    // On a connection that has not compiled by the schema in which the trigger was there.
    execute(&mut plain(rig.files.source.sqlite()).await, &trigger).await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 1)").await;
    assert_eq!(rig.fence().await, Fence { raised: false, stamp: stamp(3) });
    assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::WasDown);
    assert!(rig.source.drop_lowered().await.unwrap());
    assert_eq!(
        rig.files.source.value("SELECT count(*) FROM sqlite_master WHERE name LIKE '%fence_2%'").await,
        "0"
    );
}

#[tokio::test]
async fn lowered_before_it_was_raised_it_can_not_be_raised_any_more() {
    let rig = Rig::new(TABLE).await;
    assert_eq!(rig.source.lower_fence(stamp(4)).await.unwrap(), Lowered::WasDown);
    for late in [2, 4] {
        assert_eq!(rig.raise_fails(late).await.kind(), Kind::Superseded);
    }
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 1)").await;
    rig.raise(6).await;
    assert_eq!(rig.raise_fails(6).await.kind(), Kind::Superseded, "the same attempt twice");
}

#[tokio::test]
async fn lower_of_an_earlier_attempt_lands_late() {
    let rig = Rig::new(TABLE).await;
    let mut session = plain(rig.files.source.sqlite()).await;
    rig.raise(2).await;
    rig.raise(4).await;
    assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::Another(stamp(4)));
    rig.refuses(&mut session, "INSERT INTO t VALUES (1, 'a', 1)").await;
    // What is left of attempt 2 goes; attempt 4 stays.
    assert!(rig.source.drop_lowered().await.unwrap());
    rig.source.prove_fence(&rig.plan, stamp(4)).await.unwrap();
    assert_eq!(rig.source.lower_fence(stamp(4)).await.unwrap(), Lowered::Down);
    assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::WasDown);
    execute(&mut session, "INSERT INTO t VALUES (1, 'a', 1)").await;
    assert_eq!(rig.fence().await, Fence { raised: false, stamp: stamp(5) }, "the number never goes back");
}

#[tokio::test]
async fn lowering_waits_for_no_reader_of_the_logs_and_dropping_for_no_writer() {
    let rig = Rig::new(TABLE).await;
    rig.raise(2).await;
    let mut reader = plain(rig.files.source.sqlite()).await;
    execute(&mut reader, "BEGIN; SELECT * FROM highwater_capture_log_t").await;
    assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::Down);
    let mut writer = plain(rig.files.source.sqlite()).await;
    execute(&mut writer, "BEGIN; INSERT INTO t VALUES (1, 'a', 1)").await;
    assert!(!rig.source.drop_lowered().await.unwrap(), "a writer is at work");
    execute(&mut writer, "COMMIT").await;
    assert!(rig.source.drop_lowered().await.unwrap());
    execute(&mut writer, "INSERT INTO t VALUES (2, 'b', 1)").await;
}

#[tokio::test]
async fn a_fence_without_its_row_refuses_until_it_is_lowered() {
    for loss in ["DELETE FROM highwater_capture_fence", "DROP TABLE highwater_capture_fence"] {
        let rig = Rig::new(TABLE).await;
        let mut session = plain(rig.files.source.sqlite()).await;
        rig.raise(2).await;
        execute(&mut session, loss).await;
        let written = sqlx::raw_sql("INSERT INTO t VALUES (1, 'a', 1)").execute(&mut session).await;
        assert!(written.is_err(), "{loss}");
        assert_eq!(rig.fence().await, Fence { raised: true, stamp: stamp(2) });
        assert_eq!(rig.raise_fails(4).await.kind(), Kind::Failed);
        assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::Down);
        execute(&mut plain(rig.files.source.sqlite()).await, "INSERT INTO t VALUES (1, 'a', 1)").await;
        assert_eq!(rig.raise_fails(2).await.kind(), Kind::Superseded);
    }
}

/// What silences capture or fence on one table, and what is said of it.
const SILENCED: &[(&str, &str)] = &[
    ("DROP TRIGGER highwater_capture_delete_t", "trigger highwater_capture_delete_t is missing"),
    ("DROP TABLE highwater_capture_log_t", "its change log is gone"),
    ("DELETE FROM highwater_capture_tables WHERE name = 't'", "its changes are not captured"),
    ("DROP TABLE t", "the table is gone"),
    ("CREATE TABLE late (a)", "late: trigger highwater_capture_fence_insert_late is missing"),
    ("DROP TRIGGER highwater_capture_fence_update_kept", "kept: trigger highwater_capture_fence_update_kept"),
];

#[tokio::test]
async fn a_log_that_is_not_intact_blocks_raising() {
    for (change, said) in SILENCED {
        let mut rig = Rig::bare(KINDS, KINDS, &["kept"]).await;
        rig.install().await;
        rig.files.source.execute(change).await;
        let error = rig.raise_fails(2).await;
        assert!(error.kind() == Kind::NotConverged && error.to_string().contains(said), "{change}: {error}");
        assert_eq!(rig.fence().await, Fence { raised: false, stamp: stamp(0) });
    }
}

#[tokio::test]
async fn what_silences_a_fence_that_is_up_is_found_by_the_proof() {
    let more = [
        ("DROP TRIGGER highwater_capture_fence_2_t", "trigger highwater_capture_fence_2_t is missing"),
        (
            "DROP TRIGGER highwater_capture_fence_2_t; CREATE TRIGGER highwater_capture_fence_2_t BEFORE INSERT ON \
             highwater_capture_log_t BEGIN SELECT 1; END",
            "trigger highwater_capture_fence_2_t was altered",
        ),
        (
            "CREATE TRIGGER swallows BEFORE INSERT ON highwater_capture_log_t BEGIN SELECT RAISE(IGNORE); END",
            "a write was not refused",
        ),
        ("UPDATE highwater_capture_fence SET stamp = 3", "the fence is not up"),
    ];
    for (change, said) in SILENCED.iter().chain(&more) {
        let mut rig = Rig::bare(KINDS, KINDS, &["kept"]).await;
        rig.install().await;
        rig.raise(2).await;
        rig.source.prove_fence(&rig.plan, stamp(2)).await.unwrap();
        rig.files.source.execute(change).await;
        let found = rig.unproven(2).await;
        assert!(found.contains(said), "{change}: {found}");
    }
}

#[tokio::test]
async fn a_lost_fence_of_a_log_is_seen_by_inspection_and_put_back() {
    let mut rig = Rig::new(TABLE).await;
    rig.raise(2).await;
    assert_eq!(rig.fault("t").await, None);
    let before = rig.at.clone();
    rig.files
        .source
        .execute("DROP TRIGGER highwater_capture_fence_2_t; INSERT INTO t VALUES (1, 'a', 1)")
        .await;
    let fault = format!("{:?}", rig.fault("t").await);
    assert!(fault.contains("fence_2_t is missing"), "{fault}");
    rig.install().await;
    assert_eq!(rig.at, before, "its log missed nothing");
    rig.source.prove_fence(&rig.plan, stamp(2)).await.unwrap();
}

#[tokio::test]
async fn a_log_that_is_made_while_the_fence_is_up_is_made_with_it() {
    let mut rig =
        Rig::bare(&format!("{TABLE}; CREATE TABLE s (a)"), &format!("{TABLE}; CREATE TABLE s (a)"), &["s"])
            .await;
    rig.install().await;
    rig.raise(2).await;
    rig.files.source.execute("DROP TABLE highwater_capture_log_t").await;
    let mut included = Rig::over(rig.files.clone(), &[]).await;
    included.install().await;
    let mut session = plain(rig.files.source.sqlite()).await;
    for write in ["INSERT INTO t VALUES (1, 'a', 1)", "INSERT INTO s VALUES (1)"] {
        included.refuses(&mut session, write).await;
    }
    included.source.prove_fence(&included.plan, stamp(2)).await.unwrap();
    assert_eq!(included.source.lower_fence(stamp(2)).await.unwrap(), Lowered::Down);
    execute(&mut session, "INSERT INTO t VALUES (1, 'a', 1); INSERT INTO s VALUES (1)").await;
}

#[tokio::test]
async fn trying_the_fence_leaves_no_trace() {
    let rig = Rig::bare(TABLE, TABLE, &[]).await;
    let schema = "SELECT group_concat(name || coalesce(sql, '')) FROM sqlite_master";
    let before = rig.files.source.value(schema).await;
    rig.source.try_fence().await.unwrap();
    assert_eq!(rig.files.source.value(schema).await, before);
    let url = format!("{}?mode=ro", rig.files.source.url());
    let read_only = engine::source(&Endpoint::from_url(&url).unwrap(), &options()).await.unwrap();
    assert_eq!(read_only.try_fence().await.unwrap_err().kind(), Kind::Refused);
}

#[tokio::test]
async fn nothing_is_left_of_a_fence_after_removal() {
    let rig = Rig::new(TABLE).await;
    rig.raise(2).await;
    assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::Down);
    rig.source.remove().await.unwrap();
    let left = "SELECT count(*) FROM sqlite_master WHERE name LIKE '%highwater%' OR sql LIKE '%highwater%'";
    assert_eq!(rig.files.source.value(left).await, "0");
    assert_eq!(rig.source.lower_fence(stamp(4)).await.unwrap(), Lowered::WasDown);
    assert_eq!(rig.files.source.value(left).await, "0", "a late request makes nothing");
}

#[tokio::test]
async fn plan_warns_of_writes_that_leave_no_trace() {
    let rig = Rig::bare(TABLE, TABLE, &[]).await;
    let schema = rig.source.schema().await.unwrap();
    let survey = rig.source.survey(&schema, &rig.plan).await.unwrap();
    let named = |name: &str| survey.warnings.iter().any(|w| w.what.contains(name));
    assert!(named("sqlite3_blob_write") && named("ENABLE_TRIGGER"), "{:?}", survey.warnings);
}
