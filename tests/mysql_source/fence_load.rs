//! The fence under load: raised and lowered again and again while production writes in many ways, the logs are
//! read, and refused sessions stay open. `HIGHWATER_SEED=0..100` runs a hundred rounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use highwater::engine::Lowered;
use sqlx::{AssertSqlSafe, MySqlConnection};
use tokio::time::sleep;

use super::fence::stamp;
use super::{Case, Kind};
use crate::support::{eventually, mysql_execute as execute, seeds, soon};

on_both!(nothing_is_written_between_up_and_down);

const TABLES: &str = "CREATE TABLE p (id int PRIMARY KEY, v int);
    CREATE TABLE c (id int PRIMARY KEY AUTO_INCREMENT, p_id int,
        FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE k (v int);
    CREATE PROCEDURE stubborn(x int) BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
        INSERT INTO k VALUES (x); UPDATE p SET v = v + 1 WHERE id = x; COMMIT; END;
    INSERT INTO p VALUES (1, 0), (2, 0), (3, 0), (4, 0)";

/// How often the fence is raised and lowered where no seeds are asked for.
const ROUNDS: i64 = 6;

/// Writers until they are stopped; each counts what was not refused.
struct Load {
    stopped: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn start(case: &Case) -> Load {
        let (stopped, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for n in 1..=4 {
            let (stopped, written) = (stopped.clone(), written.clone());
            let mut connection = case.database.connect().await;
            execute(&mut connection, "SET innodb_lock_wait_timeout = 2").await;
            execute(&mut connection, "PREPARE change_one FROM 'UPDATE p SET v = v + 1 WHERE id = ?'").await;
            execute(&mut connection, &format!("SET @id = {n}")).await;
            tasks.push(tokio::spawn(async move {
                for turn in 0_u32.. {
                    if stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    written.fetch_add(u64::from(write(&mut connection, n, turn).await), Ordering::Relaxed);
                }
            }));
        }
        Load { stopped, written, tasks }
    }

    async fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// One transaction; whether nothing in it was refused. A refused one stays open for a moment.
async fn write(connection: &mut MySqlConnection, n: i32, turn: u32) -> bool {
    let other = n % 4 + 1;
    let statements = match turn % 6 {
        0 => vec![
            "START TRANSACTION".into(),
            format!("INSERT INTO c (p_id) VALUES ({n})"),
            "EXECUTE change_one USING @id".into(),
            "COMMIT".into(),
        ],
        1 => vec![format!("CALL stubborn({n})")],
        2 => vec![
            "START TRANSACTION".into(),
            "SAVEPOINT one".into(),
            format!("INSERT INTO k VALUES ({n})"),
            "ROLLBACK TO SAVEPOINT one".into(),
            format!("INSERT INTO k VALUES ({n}), ({n})"),
            "COMMIT".into(),
        ],
        3 => vec![format!("INSERT IGNORE INTO p VALUES ({n}, 0), ({other}, 0), ({}, 0)", n + 100)],
        4 => vec![format!("UPDATE p SET id = id + 1000 WHERE id = {}", n + 100)],
        _ => vec![format!("DELETE FROM p WHERE id = {}", n + 1100), "DELETE FROM k LIMIT 2".into()],
    };
    for sql in statements {
        if sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.is_err() {
            sleep(Duration::from_millis(u64::from(turn % 5) * 30)).await;
            execute(connection, "ROLLBACK").await;
            return false;
        }
    }
    true
}

/// What the tables hold.
async fn contents(case: &Case) -> Vec<Option<String>> {
    let sql = "SELECT (SELECT CONCAT(COUNT(*), ' ', SUM(id), ' ', SUM(v)) FROM p), \
               (SELECT CONCAT(COUNT(*), ' ', SUM(id + p_id)) FROM c), \
               (SELECT CONCAT(COUNT(*), ' ', SUM(v)) FROM k)";
    case.database.rows_as_text(sql).await.remove(0)
}

async fn nothing_is_written_between_up_and_down(kind: Kind) {
    let rounds = match std::env::var("HIGHWATER_SEED") {
        Ok(_) => i64::try_from(seeds().count()).unwrap().max(ROUNDS),
        Err(_) => ROUNDS,
    };
    let case = Case::new(kind, TABLES).await;
    let load = Load::start(&case).await;
    let reading = Arc::new(AtomicBool::new(true));
    let (log, mut reader, goes_on) = (case.log_of("p"), case.database.connect().await, reading.clone());
    let dump = tokio::spawn(async move {
        while goes_on.load(Ordering::Relaxed) {
            let sql = format!("START TRANSACTION; SELECT COUNT(*) FROM {log}");
            sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut reader).await.unwrap();
            sleep(Duration::from_millis(150)).await;
            execute(&mut reader, "COMMIT").await;
            sleep(Duration::from_millis(50)).await;
        }
    });
    for round in 1..=rounds {
        let attempt = 2 * round;
        case.source.raise_fence(&case.plan, stamp(attempt), soon()).await.unwrap();
        let before = contents(&case).await;
        case.source.prove_fence(&case.plan, stamp(attempt)).await.unwrap();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(contents(&case).await, before, "attempt {attempt}");
        let written = load.written.load(Ordering::Relaxed);
        assert_eq!(case.lower(attempt).await, Lowered::Down);
        eventually(Duration::from_secs(20), || async { load.written.load(Ordering::Relaxed) > written + 4 })
            .await;
        if round % 2 == 0 {
            eventually(Duration::from_secs(30), || async { case.source.drop_lowered().await.unwrap() }).await;
        }
    }
    reading.store(false, Ordering::Relaxed);
    dump.await.unwrap();
    load.stop().await;
    assert!(case.source.drop_lowered().await.unwrap());
    case.all_sound().await;
}
