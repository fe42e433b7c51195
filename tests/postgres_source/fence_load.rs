//! The fence raised and lowered again and again under writers of every kind, with readers of the logs about.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use highwater::engine::{Lowered, Stamp};
use sqlx::{Executor, PgConnection};

use super::Case;
use super::fence::run;
use crate::support::{Database, eventually, soon};

const TABLES: &str = "CREATE TABLE t (a bigserial PRIMARY KEY, v text);
    CREATE TABLE c (b bigserial PRIMARY KEY, a bigint REFERENCES t ON DELETE CASCADE);
    CREATE TABLE k (v text);
    CREATE TABLE p (a bigserial, v text, PRIMARY KEY (a)) PARTITION BY HASH (a);
    CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1)";

/// What the writers do, each in a loop of its own.
const WRITES: [&str; 6] = [
    "INSERT INTO t (v) VALUES ('plain')",
    "BEGIN; INSERT INTO t (v) VALUES ('a'); SAVEPOINT s; INSERT INTO t (v) VALUES ('b'); ROLLBACK TO s; \
     INSERT INTO k VALUES ('c'); COMMIT",
    "WITH n AS (INSERT INTO t (v) VALUES ('parent') RETURNING a) INSERT INTO c (a) SELECT a FROM n",
    "DELETE FROM t WHERE a = (SELECT max(a) FROM c)",
    "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM k; INSERT INTO p (v) VALUES ('x'), ('y'); COMMIT",
    "DO $$ BEGIN INSERT INTO k VALUES ('do'); EXCEPTION WHEN division_by_zero THEN NULL; END $$",
];

/// How many rounds: a few in the suite; `HIGHWATER_FENCE_ROUNDS=100` for more.
fn rounds() -> i64 {
    let asked = std::env::var("HIGHWATER_FENCE_ROUNDS").ok();
    asked.map_or(6, |rounds| rounds.parse().expect("HIGHWATER_FENCE_ROUNDS is a number"))
}

/// The writers, how often each succeeded, and whether they shall stop.
struct Load {
    done: Arc<Vec<AtomicU64>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(database: &Database) -> Load {
        let done: Arc<Vec<AtomicU64>> = Arc::new((0..=WRITES.len() + 1).map(|_| AtomicU64::new(0)).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..=WRITES.len() + 1)
            .map(|number| {
                let (database, done, stop) = (database.clone(), done.clone(), stop.clone());
                tokio::spawn(async move {
                    let mut connection = database.connect().await;
                    while !stop.load(Ordering::Relaxed) {
                        match write(&mut connection, number).await {
                            Ok(()) => drop(done[number].fetch_add(1, Ordering::Relaxed)),
                            Err(error) => {
                                let code = error
                                    .as_database_error()
                                    .and_then(sqlx::error::DatabaseError::code)
                                    .unwrap_or_default();
                                assert!(matches!(&*code, "HW001" | "40001" | "25P02"), "{error}");
                                run(&mut connection, "ROLLBACK").await.unwrap();
                            }
                        }
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                })
            })
            .collect();
        Load { done, stop, tasks }
    }

    /// Waits until every writer has written again.
    async fn all_write(&self) {
        let before: Vec<u64> = self.done.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        eventually(Duration::from_secs(30), async || {
            let stuck = (0..before.len()).find(|n| self.done[*n].load(Ordering::Relaxed) <= before[*n]);
            stuck.map_or(Ok(()), |writer| Err(format!("writer {writer} does not get through")))
        })
        .await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn write(connection: &mut PgConnection, number: usize) -> Result<(), sqlx::Error> {
    if let Some(sql) = WRITES.get(number) {
        return run(connection, sql).await;
    }
    if number == WRITES.len() {
        // Prepared once, run under plans made before the fence.
        let prepared = sqlx::query("INSERT INTO t (v) VALUES ($1)").bind("prepared");
        return connection.execute(prepared).await.map(drop);
    }
    let mut copy = PgConnection::copy_in_raw(connection, "COPY p (v) FROM STDIN").await?;
    copy.send("copied\nand copied\n".as_bytes()).await?;
    copy.finish().await.map(drop)
}

/// All that production has and all that its logs have.
async fn everything(case: &Case) -> String {
    let tables = ["t", "c", "k", "p"];
    let counts: Vec<String> = tables
        .iter()
        .map(|t| {
            format!(
                "SELECT concat_ws(' ', (SELECT count(*) FROM {t}), (SELECT md5(string_agg(x::text, ',' ORDER BY x::text)) FROM {t} AS x), \
                 (SELECT count(*) FROM highwater_capture.\"public.{t}\"))"
            )
        })
        .collect();
    format!("{:?}", case.database.rows_as_text(&counts.join(" UNION ALL ")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_between_up_and_lowered_under_load() {
    let case = Case::new(TABLES).await;
    let load = Load::start(&case.database);
    load.all_write().await;
    // A dump that reads the logs for as long as this takes, and a session whose refused transaction is left open.
    let mut dump = case.database.connect().await;
    let logs = ["t", "c", "k", "p"].map(|t| format!("SELECT count(*) FROM highwater_capture.\"public.{t}\""));
    run(&mut dump, &format!("BEGIN ISOLATION LEVEL REPEATABLE READ; {}", logs.join("; "))).await.unwrap();
    let mut pooled = case.database.connect().await;
    let stop = Arc::new(AtomicBool::new(false));
    let vacuuming = tokio::spawn({
        let (database, stop) = (case.database.clone(), stop.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                database.execute("VACUUM highwater_capture.\"public.t\"").await;
            }
        }
    });
    for round in 1..=rounds() {
        let stamp = Stamp { epoch: 1, attempt: 2 * round };
        case.source.raise_fence(&case.plan, stamp, soon()).await.unwrap();
        let before = everything(&case).await;
        case.source.prove_fence(&case.plan, stamp).await.unwrap();
        run(&mut pooled, "ROLLBACK; BEGIN").await.unwrap();
        run(&mut pooled, "INSERT INTO k VALUES ('refused')").await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(everything(&case).await, before, "round {round}: written behind the fence");
        assert_eq!(case.source.lower_fence(stamp).await.unwrap(), Lowered::Down);
        load.all_write().await;
        case.source.drop_lowered().await.unwrap();
    }
    load.end().await;
    stop.store(true, Ordering::Relaxed);
    vacuuming.await.unwrap();
    run(&mut dump, "COMMIT").await.unwrap();
    run(&mut pooled, "ROLLBACK").await.unwrap();
    eventually(Duration::from_secs(20), async || case.source.drop_lowered().await.unwrap()).await;
    assert_eq!(case.number("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'fence %'").await, 0);
    for label in ["t", "c", "k", "p"] {
        case.sound(label).await;
    }
}
