//! The fence, raised and lowered again and again while others read and write.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use highwater::engine::{Lowered, Stamp};
use sqlx::SqliteConnection;

use super::rig::{Rig, execute, plain};
use crate::support::{Pair, SqliteFile, eventually, soon};

const TABLES: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v); CREATE TABLE audit (at, what); \
     CREATE TABLE kept (a)";

/// Every connection prepares each of these once, and keeps it prepared over all fences.
const STATEMENTS: [&str; 6] = [
    "INSERT OR REPLACE INTO t VALUES (?1, 'u' || ?2, ?2)",
    "UPDATE OR IGNORE t SET u = 'u' || ?2, v = ?2 WHERE id = ?1",
    "DELETE FROM t WHERE id = ?1",
    "UPDATE OR REPLACE t SET id = ?2 WHERE id = ?1",
    "INSERT INTO audit VALUES (?1, ?2)",
    "UPDATE kept SET a = a + ?1 + ?2",
];

/// Everything that production's writers can change.
const STATE: &str = "SELECT (SELECT count(*) || ':' || total(id) || ':' || total(v) FROM t), (SELECT count(*) FROM audit), \
     (SELECT a FROM kept), (SELECT max(id) FROM highwater_capture_log_t), (SELECT max(id) FROM \
     highwater_capture_log_audit)";

#[derive(Default)]
struct Load {
    stop: AtomicBool,
    committed: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What a statement of production may meet: another writer, an older snapshot, the fence, a new schema.
    fn met(&self, error: &sqlx::Error) {
        let said = error.to_string();
        let expected = ["locked", "highwater fence", "schema has changed"];
        assert!(expected.iter().any(|e| said.contains(e)), "{said}");
        if said.contains("highwater fence") {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs `work` on a thread with a runtime of its own.
fn thread<F>(load: &Arc<Load>, file: &SqliteFile, work: fn(Arc<Load>, SqliteFile) -> F) -> JoinHandle<()>
where
    F: Future<Output = ()> + 'static,
{
    let (load, file) = (load.clone(), file.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(load, file));
    })
}

/// Writes transactions of one or two statements; every other one reads before it writes.
async fn write(load: Arc<Load>, file: SqliteFile) {
    let mut connection = plain(&file).await;
    for n in 0_i64.. {
        if load.is_over() {
            return;
        }
        match transaction(&mut connection, n).await {
            Ok(()) => _ = load.committed.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                load.met(&error);
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut connection).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn transaction(connection: &mut SqliteConnection, n: i64) -> Result<(), sqlx::Error> {
    let begin = if n % 2 == 0 { "BEGIN IMMEDIATE" } else { "BEGIN; SELECT count(*) FROM audit" };
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    for step in [n, n * 7 + 3] {
        let statement = STATEMENTS[usize::try_from(step).unwrap() % STATEMENTS.len()];
        let bound = sqlx::query(statement).bind(step * 31 % 500).bind(step * 17 % 500);
        bound.execute(&mut *connection).await?;
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(())
}

/// Reads the logs in transactions that stay open for a while.
async fn read(load: Arc<Load>, file: SqliteFile) {
    let mut connection = plain(&file).await;
    while !load.is_over() {
        let begin =
            "BEGIN; SELECT count(*) FROM highwater_capture_log_t; SELECT * FROM highwater_capture_fence";
        if sqlx::raw_sql(begin).execute(&mut connection).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut connection).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Another process writes: the sqlite3 shell, which goes on after an error.
async fn shell(load: Arc<Load>, file: SqliteFile) {
    while !load.is_over() {
        let mut shell = Command::new("sqlite3")
            .arg(file.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut script = String::from(".timeout 10000\n");
        for n in 0..20 {
            script.push_str(&format!(
                "BEGIN IMMEDIATE; REPLACE INTO t VALUES ({n}, 's{n}', {n}); INSERT INTO audit VALUES (1, 's'); COMMIT;\n"
            ));
        }
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        shell.wait().unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn raised_and_lowered(wal: bool, times: i64) {
    let files = Pair::sqlite().await;
    files.execute_on_both(TABLES).await;
    if !wal {
        files.source.sqlite().pool().close().await;
        execute(&mut plain(files.source.sqlite()).await, "PRAGMA journal_mode = DELETE").await;
    }
    let mut rig = Rig::over(files, &["kept"]).await;
    rig.install().await;
    rig.write("INSERT INTO kept VALUES (0)").await;
    let file = rig.files.source.sqlite().clone();
    let load = Arc::new(Load::default());
    let mut threads: Vec<JoinHandle<()>> = (0..3).map(|_| thread(&load, &file, write)).collect();
    threads.push(thread(&load, &file, read));
    threads.push(thread(&load, &file, shell));
    for n in 1..=times {
        let stamp = Stamp { epoch: 0, attempt: 2 * n };
        rig.source.raise_fence(&rig.plan, stamp, soon()).await.unwrap();
        let at_once = rig.read(STATE).await;
        if n % 10 == 1 {
            rig.source.prove_fence(&rig.plan, stamp).await.unwrap();
        }
        let refused = load.refused.load(Ordering::Relaxed);
        eventually(Duration::from_secs(30), || async { load.refused.load(Ordering::Relaxed) > refused })
            .await;
        assert_eq!(rig.read(STATE).await, at_once, "something passed fence {n}");
        assert_eq!(rig.source.lower_fence(stamp).await.unwrap(), Lowered::Down);
        let committed = load.committed.load(Ordering::Relaxed);
        eventually(Duration::from_secs(30), || async { load.committed.load(Ordering::Relaxed) > committed })
            .await;
        if n % 3 == 0 {
            // A writer may be in the way: then inert triggers gather.
            rig.source.drop_lowered().await.unwrap();
        }
    }
    load.stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    eventually(Duration::from_secs(30), || async { rig.source.drop_lowered().await.unwrap() }).await;
    let left = rig.read("SELECT count(*) FROM sqlite_master WHERE sql LIKE '%highwater fence%'").await;
    assert_eq!(left[0][0].as_deref(), Some("3"), "those of the excluded table");
    rig.drain_all().await;
    rig.retry("t").await;
    rig.assert_all_same().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_a_fence_that_is_raised_and_lowered_a_hundred_times_under_load() {
    raised_and_lowered(true, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_a_fence_under_load_without_wal() {
    raised_and_lowered(false, 10).await;
}
