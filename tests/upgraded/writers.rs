//! Production's sessions, which write in the old schema from the first moment to the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;

use crate::support::{Connection, Db, Engine};

/// How many quick ones there are, besides the slow one.
const QUICK: usize = 3;

/// Sessions at work.
pub struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Some whose transactions are short, and one that keeps each of its own open for a while.
    pub fn start(source: &Db, rng: &mut StdRng) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..=QUICK).map(|n| {
            let (rng, stop) = (StdRng::seed_from_u64(rng.random()), stop.clone());
            let writer = Writer { rng, stop, source: source.clone(), is_slow: n == QUICK };
            tokio::spawn(writer.work())
        });
        Writers { tasks: tasks.collect(), stop }
    }

    /// Lets each end its last transaction.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a writer works to its end");
        }
    }
}

struct Writer {
    rng: StdRng,
    stop: Arc<AtomicBool>,
    source: Db,
    is_slow: bool,
}

impl Writer {
    async fn work(mut self) {
        let begin = self.source.engine().pick("BEGIN", "BEGIN IMMEDIATE", "BEGIN");
        let mut connection = self.source.connect().await;
        while !self.stop.load(Ordering::Relaxed) {
            run(&mut connection, begin).await;
            for _ in 0..self.rng.random_range(1..5) {
                let step = self.step();
                run(&mut connection, "SAVEPOINT s").await;
                let refused = !run(&mut connection, &step).await;
                if refused || self.rng.random_bool(0.1) {
                    run(&mut connection, "ROLLBACK TO SAVEPOINT s").await;
                }
                run(&mut connection, "RELEASE SAVEPOINT s").await;
            }
            let open = if self.is_slow { 100..400 } else { 0..5 };
            self.pause(open).await;
            run(&mut connection, if self.rng.random_bool(0.85) { "COMMIT" } else { "ROLLBACK" }).await;
            let idle = if self.is_slow { 0..300 } else { 20..120 };
            self.pause(idle).await;
        }
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(milliseconds))).await;
    }

    /// One or more statements that stand or fall together. Keys are few, so that transactions meet.
    fn step(&mut self) -> String {
        match self.rng.random_range(0..10) {
            0..=2 => self.on_app(),
            3..=5 => self.on_token(),
            6 => self.on_idp(),
            7..=8 => self.on_person(),
            _ => self.on_note(),
        }
    }

    fn on_app(&mut self) -> String {
        let (a, b) = (self.name('a', 12), self.name('a', 12));
        let (label, slot) = (self.name('l', 1_000), self.number(12));
        match self.rng.random_range(0..10) {
            0..=2 => format!("INSERT INTO app VALUES ({a}, {label}, {slot})"),
            3..=4 => format!("UPDATE app SET label = {label} WHERE name = {a}"),
            5 => format!("UPDATE app SET name = {a} WHERE name = {b}"),
            6 => format!("DELETE FROM app WHERE name = {a}; INSERT INTO app VALUES ({a}, {label}, NULL)"),
            7 => self.swap("app", "slot"),
            _ => format!("DELETE FROM app WHERE name = {a}"),
        }
    }

    fn on_token(&mut self) -> String {
        let (code, other, app) = (self.name('t', 20), self.name('t', 20), self.name('a', 12));
        let state = if self.rng.random_bool(0.7) { "'ACTIVE'" } else { "'EXPIRED'" };
        let scopes = format!("{}, {}", self.name('s', 4), self.name('s', 4));
        match self.rng.random_range(0..10) {
            0..=2 => format!("INSERT INTO token VALUES ({code}, {app}, {state}, {scopes})"),
            3 => format!("UPDATE token SET state = {state} WHERE code = {code}"),
            4 => format!("UPDATE token SET app = {app}, other = NULL WHERE code = {code}"),
            5 => format!("UPDATE token SET scope = other, other = scope, state = {state} WHERE app = {app}"),
            6 => format!("UPDATE token SET code = {code} WHERE code = {other}"),
            7 => format!(
                "DELETE FROM token WHERE code = {code}; INSERT INTO token VALUES ({code}, {app}, 'ACTIVE', {scopes})"
            ),
            _ => format!("DELETE FROM token WHERE code = {code}"),
        }
    }

    /// Rows 1 and 2 are those that the upgrade deletes, 901 and 902 those that it makes.
    fn on_idp(&mut self) -> String {
        let (id, other, name) =
            (self.rng.random_range(3..12), self.rng.random_range(3..12), self.name('i', 12));
        match self.rng.random_range(0..5) {
            0..=1 => format!("INSERT INTO idp VALUES ({id}, {name})"),
            2 => format!("UPDATE idp SET name = {name} WHERE id = {id}"),
            3 => format!("UPDATE idp SET id = {id} WHERE id = {other}"),
            _ => format!("DELETE FROM idp WHERE id = {id}"),
        }
    }

    fn on_person(&mut self) -> String {
        let (id, badge) = (self.rng.random_range(0..10), self.number(10));
        let names = format!("{}, {}", self.name('g', 100), self.name('f', 100));
        match self.rng.random_range(0..8) {
            0..=2 => format!("INSERT INTO person VALUES ({id}, {names}, {badge})"),
            3 => format!("UPDATE person SET badge = {badge}, family = given WHERE id = {id}"),
            4..=5 => self.swap("person", "badge"),
            6 if self.source.engine() != Engine::Postgres => {
                format!("REPLACE INTO person VALUES ({id}, {names}, {badge})")
            }
            _ => format!("DELETE FROM person WHERE id = {id}"),
        }
    }

    fn on_note(&mut self) -> String {
        let (app, said) = (self.name('a', 12), self.name('n', 5));
        match self.rng.random_range(0..4) {
            0..=1 => format!("INSERT INTO note VALUES ({app}, {said})"),
            2 => format!("UPDATE note SET said = {said} WHERE app = {app}"),
            _ => format!("DELETE FROM note WHERE app = {app}"),
        }
    }

    /// Two rows swap a unique value.
    fn swap(&mut self, table: &str, column: &str) -> String {
        let (one, two) = (self.rng.random_range(0..6), self.rng.random_range(6..12));
        format!(
            "UPDATE {table} SET {column} = -1 - {column} WHERE {column} IN ({one}, {two}); \
             UPDATE {table} SET {column} = CASE {column} WHEN -1 - {one} THEN {two} ELSE {one} END \
             WHERE {column} IN (-1 - {one}, -1 - {two})"
        )
    }

    fn name(&mut self, kind: char, most: u32) -> String {
        format!("'{kind}{}'", self.rng.random_range(0..most))
    }

    fn number(&mut self, most: u32) -> String {
        if self.rng.random_bool(0.2) { "NULL".to_owned() } else { self.rng.random_range(0..most).to_string() }
    }
}

/// Runs statements that may be refused for their content; whether they were done.
async fn run(connection: &mut Connection, sql: &str) -> bool {
    match connection.try_execute(sql).await {
        Err(error) if error.to_string().contains("syntax") => panic!("{sql}: {error}"),
        done => done.is_ok(),
    }
}
