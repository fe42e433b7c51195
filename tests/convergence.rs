//! Random schemas, concurrent transactions with rollbacks and savepoints, and faults: it must all end
//! in exact equality.
//!
//! A failing run prints its seed; `HIGHWATER_SEED=n cargo test --features faults convergence` runs it
//! again, and `n..m` a range of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::compare::assert_same;
use crate::support::{Connection, Engine, Highwater, Pair, seeds};

contract!(random_work_and_faults_end_in_equality);

/// Keys are few, so that transactions meet.
const KEYS: u32 = 30;
/// Rounds of daemon life and death.
const LIVES: u32 = 6;
/// Where the program may die or lose an answer.
const POINTS: [&str; 8] = [
    "after_batch_read",
    "before_batch_commit",
    "after_batch_commit",
    "before_chunk_commit",
    "after_chunk_commit",
    "after_copy_begins",
    "after_retry_read",
    "before_retry_commit",
];

async fn random_work_and_faults_end_in_equality(engine: Engine) {
    for seed in seeds() {
        random_work(engine, seed).await;
    }
}

async fn random_work(engine: Engine, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let tables: Arc<Vec<Table>> =
        Arc::new((0..rng.random_range(2..5)).map(|n| Table::random(n, &mut rng)).collect());
    let pair = engine.pair().await;
    for table in tables.iter() {
        pair.execute_on_both(&table.create(engine)).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let writer = Writer {
                rng: StdRng::seed_from_u64(rng.random()),
                tables: tables.clone(),
                pair: pair.clone(),
                stop: stop.clone(),
            };
            tokio::spawn(writer.work())
        })
        .collect();
    live_and_die(&pair, &mut rng).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer works to its end");
    }
    settings(&pair).run(&["copy"]).await.ok();
    settings(&pair).run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_same(&pair).await;
}

fn settings(pair: &Pair) -> Highwater {
    Highwater::new(pair).setting("copy.chunk_rows", "10").setting("replay.batch_rows", "7")
}

/// The daemon lives several times: it is killed from outside, dies at a named point, or loses the
/// answer to a commit.
async fn live_and_die(pair: &Pair, rng: &mut StdRng) {
    for _ in 0..LIVES {
        let point = POINTS[rng.random_range(0..POINTS.len())];
        let act = if rng.random_bool(0.5) { "kill" } else { "error" };
        let highwater = settings(pair).fault(&format!("{point}@{}={act}", rng.random_range(1..6)));
        let daemon = highwater.spawn(&["run"]);
        tokio::time::sleep(Duration::from_millis(rng.random_range(300..1_200))).await;
        if rng.random_bool(0.5) {
            daemon.kill9().await;
        } else {
            daemon.terminate().await;
        }
    }
}

/// How a table's rows are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Integer,
    Text,
    Composite,
    None,
}

/// A table with columns `k` (and `k2`), `u` (unique or not) and `v`.
#[derive(Debug)]
struct Table {
    name: String,
    key: KeyKind,
    unique: bool,
}

impl Table {
    fn random(number: u32, rng: &mut StdRng) -> Table {
        let key =
            [KeyKind::Integer, KeyKind::Text, KeyKind::Composite, KeyKind::None][rng.random_range(0..4)];
        Table { name: format!("t{number}"), key, unique: key != KeyKind::None && rng.random_bool(0.5) }
    }

    fn create(&self, engine: Engine) -> String {
        let key_type = if self.key == KeyKind::Text { "VARCHAR(20)" } else { "INTEGER" };
        let primary = match self.key {
            KeyKind::Composite => ", PRIMARY KEY (k, k2)",
            KeyKind::None => "",
            _ => ", PRIMARY KEY (k)",
        };
        let blob = engine.pick("BYTEA", "BLOB", "BLOB");
        let unique = if self.unique { "UNIQUE" } else { "" };
        format!(
            "CREATE TABLE {} (k {key_type} NOT NULL, k2 INTEGER NOT NULL, u INTEGER {unique}, v TEXT, b {blob}{primary})",
            self.name
        )
    }

    fn key(&self, rng: &mut StdRng) -> String {
        let n = rng.random_range(0..KEYS);
        match self.key {
            KeyKind::Text => format!("'key {n}'"),
            KeyKind::Composite => format!("{}", n / 5),
            _ => n.to_string(),
        }
    }

    /// The condition that finds a few rows.
    fn some(&self, rng: &mut StdRng) -> String {
        match self.key {
            KeyKind::Composite => format!("k = {} AND k2 = {}", self.key(rng), rng.random_range(0..5)),
            _ => format!("k = {}", self.key(rng)),
        }
    }

    fn statement(&self, engine: Engine, rng: &mut StdRng) -> String {
        let name = &self.name;
        let unique =
            if rng.random_bool(0.2) { "NULL".to_string() } else { rng.random_range(0..KEYS).to_string() };
        let k2 = if self.key == KeyKind::Composite { rng.random_range(0..5) } else { 0 };
        let value = format!("'v{}'", rng.random_range(0..1_000));
        let bytes = format!("{:08x}", rng.random::<u32>());
        let blob = engine.pick(format!("'\\x{bytes}'"), format!("x'{bytes}'"), format!("x'{bytes}'"));
        if engine.is_mysql() && rng.random_bool(0.4) {
            return self.statement_of_mysql(rng, &format!("{k2}, {unique}, {value}, {blob}"));
        }
        match rng.random_range(0..10) {
            0..=3 => {
                format!("INSERT INTO {name} VALUES ({}, {k2}, {unique}, {value}, {blob})", self.key(rng))
            }
            4..=5 => format!("UPDATE {name} SET v = {value}, b = {blob} WHERE {}", self.some(rng)),
            6 => format!("UPDATE {name} SET u = {unique} WHERE {}", self.some(rng)),
            7 => format!("UPDATE {name} SET k = {} WHERE {}", self.key(rng), self.some(rng)),
            8 if engine == Engine::Sqlite => {
                format!("REPLACE INTO {name} VALUES ({}, {k2}, {unique}, {value}, NULL)", self.key(rng))
            }
            8 if rng.random_bool(0.05) => format!("TRUNCATE {name}"),
            _ => format!("DELETE FROM {name} WHERE {}", self.some(rng)),
        }
    }
}

impl Table {
    /// What only MySQL and MariaDB have. `rest` are the values after the key.
    fn statement_of_mysql(&self, rng: &mut StdRng, rest: &str) -> String {
        let (name, key, other) = (&self.name, self.key(rng), self.key(rng));
        let some = self.some(rng);
        match rng.random_range(0..9) {
            0..=1 => format!("REPLACE INTO {name} VALUES ({key}, {rest})"),
            2 => format!(
                "INSERT INTO {name} VALUES ({key}, {rest}) ON DUPLICATE KEY UPDATE v = 'twice', u = u + 1"
            ),
            3 => format!("INSERT INTO {name} VALUES ({key}, {rest}) ON DUPLICATE KEY UPDATE k = {other}"),
            4 => format!("INSERT IGNORE INTO {name} VALUES ({key}, {rest}), ({other}, {rest})"),
            5 => format!(
                "INSERT IGNORE INTO {name} SELECT {key}, k2 + 1, NULL, v, b FROM {name} WHERE {some} LIMIT 3"
            ),
            6 => format!("UPDATE IGNORE {name} SET k = {key}, v = 'moved' ORDER BY k DESC, k2 LIMIT 2"),
            7 => format!("UPDATE {name} SET u = NULL, b = NULL ORDER BY k LIMIT 3"),
            _ => format!("DELETE FROM {name} ORDER BY k, k2 DESC LIMIT 2"),
        }
    }
}

/// One of production's sessions.
struct Writer {
    rng: StdRng,
    tables: Arc<Vec<Table>>,
    pair: Pair,
    stop: Arc<AtomicBool>,
}

impl Writer {
    async fn work(mut self) {
        let engine = self.pair.source.engine();
        let mut connection = self.pair.source.connect().await;
        while !self.stop.load(Ordering::Relaxed) {
            run(&mut connection, engine.pick("BEGIN", "BEGIN IMMEDIATE", "BEGIN")).await;
            for _ in 0..self.rng.random_range(1..5) {
                let table = &self.tables[self.rng.random_range(0..self.tables.len())];
                let statement = table.statement(engine, &mut self.rng);
                run(&mut connection, "SAVEPOINT s").await;
                let refused = !run(&mut connection, &statement).await;
                if refused || self.rng.random_bool(0.1) {
                    run(&mut connection, "ROLLBACK TO SAVEPOINT s").await;
                }
                run(&mut connection, "RELEASE SAVEPOINT s").await;
            }
            let pause = if self.rng.random_bool(0.1) { 50 } else { 2 };
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..pause))).await;
            // A deadlock has rolled the whole transaction back: COMMIT says so and does nothing. (On MySQL
            // the statements that came after it stand by themselves.)
            run(&mut connection, if self.rng.random_bool(0.85) { "COMMIT" } else { "ROLLBACK" }).await;
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..10))).await;
        }
    }
}

/// Runs a statement that may be refused for its content; whether it was done.
async fn run(connection: &mut Connection, sql: &str) -> bool {
    match connection.try_execute(sql).await {
        Err(error) if error.to_string().contains("syntax") => panic!("{sql}: {error}"),
        done => done.is_ok(),
    }
}
