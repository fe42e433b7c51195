//! Production at work: writers that don't know of highwater, at a steady rate, until they are told to
//! stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::mysql::MySqlDatabaseError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::acts::{Act, Worker};
use super::link::Link;
use super::production::{NODES, Scale};
use crate::error::{Error, Result};
use crate::settings::Endpoint;

/// Each node says that it is alive this often.
const BEAT: Duration = Duration::from_millis(100);
/// A writer that was refused waits this long, in milliseconds, before it tries again.
const AGAIN_MS: std::ops::Range<u64> = 80..160;

/// What a statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
    KeyChange,
    Swap,
    Replace,
    RolledBack,
}

impl Kind {
    /// All of them, in the order in which they are told.
    pub(super) const ALL: [Kind; 7] = [
        Kind::Insert,
        Kind::Update,
        Kind::Delete,
        Kind::KeyChange,
        Kind::Swap,
        Kind::Replace,
        Kind::RolledBack,
    ];

    /// What one is called, and what several are called.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Kind::Insert => ("insert", "inserts"),
            Kind::Update => ("update", "updates"),
            Kind::Delete => ("delete", "deletes"),
            Kind::KeyChange => ("change of a key", "changes of a key"),
            Kind::Swap => ("swap of unique values", "swaps of unique values"),
            Kind::Replace => ("REPLACE", "REPLACEs"),
            Kind::RolledBack => ("rolled back", "rolled back"),
        }
    }
}

/// How often production did what, since it began.
#[derive(Debug, Default)]
pub(super) struct Tally {
    kinds: [AtomicU64; Kind::ALL.len()],
    refused: AtomicU64,
}

impl Tally {
    /// Statements of a kind.
    pub(super) fn of(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize].load(Ordering::Relaxed)
    }

    /// All statements that were not refused.
    pub(super) fn statements(&self) -> u64 {
        Kind::ALL.iter().map(|kind| self.of(*kind)).sum()
    }

    /// Transactions that the fence refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn add(&self, kind: Kind, count: u64) {
        self.kinds[kind as usize].fetch_add(count, Ordering::Relaxed);
    }
}

/// Production's writers.
pub(super) struct Writers {
    tasks: JoinSet<Result<()>>,
    stop: CancellationToken,
    /// What they have done so far.
    pub(super) tally: Arc<Tally>,
}

impl Writers {
    /// Begins to write, `rate` statements a second altogether.
    ///
    /// # Errors
    /// When production can't be reached.
    pub(super) async fn begin(source: &Endpoint, scale: Scale, rate: u32, seed: u64) -> Result<Self> {
        let stop = CancellationToken::new();
        let tally = Arc::new(Tally::default());
        let mut tasks = JoinSet::new();
        let pause = Duration::from_secs(NODES.len() as u64) / rate.max(1);
        for (number, node) in (1_u64..).zip(NODES) {
            let link = Link::open(source).await?;
            let rng = StdRng::seed_from_u64(seed.wrapping_add(number));
            let worker = Worker::new(link, rng, scale, node);
            let writer = Writer { worker, pause, tally: tally.clone(), stop: stop.clone() };
            tasks.spawn(writer.write());
        }
        Ok(Writers { tasks, stop, tally })
    }

    /// The error of a writer that could not go on, if there is one.
    ///
    /// # Errors
    /// That error.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.tasks.try_join_next() {
            Some(ended) => ended.map_err(died)?,
            None => Ok(()),
        }
    }

    /// Asks them to stop, and waits until they have.
    ///
    /// # Errors
    /// The first error that one of them ended with.
    pub(super) async fn end(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(died)??;
        }
        Ok(())
    }
}

fn died(error: tokio::task::JoinError) -> Error {
    Error::failed("a writer of the demo's production died").because(error)
}

struct Writer {
    worker: Worker,
    pause: Duration,
    tally: Arc<Tally>,
    stop: CancellationToken,
}

/// How a transaction ended.
enum Ended {
    Done(u32),
    Refused,
}

impl Writer {
    async fn write(mut self) -> Result<()> {
        let mut beat_at = Instant::now();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.stop.cancelled() => return Ok(()),
            }
            let act = if beat_at <= Instant::now() {
                beat_at = Instant::now() + BEAT;
                Act::Beat
            } else {
                Act::any(&mut self.worker.rng)
            };
            due = match self.transaction(act).await? {
                // What was missed while the database was busy is not made up for all at once.
                Ended::Done(statements) => {
                    due.max(Instant::now() - self.pause * 20) + self.pause * statements
                }
                Ended::Refused => {
                    Instant::now() + Duration::from_millis(self.worker.rng.random_range(AGAIN_MS))
                }
            };
        }
    }

    async fn transaction(&mut self, act: Act) -> Result<Ended> {
        let failed =
            |error: sqlx::Error| Error::failed(format!("production could not do {act:?}")).because(error);
        self.worker.done.clear();
        let tried = self.worker.transaction(act).await;
        if tried.is_err() {
            self.worker.roll_back().await.map_err(failed)?;
        }
        let is_done = match tried {
            Ok(()) => true,
            Err(error) if is_fence(&error) => {
                self.tally.refused.fetch_add(1, Ordering::Relaxed);
                return Ok(Ended::Refused);
            }
            // Writers get into each other's way; an application would try again, and so does this one.
            Err(error) if is_conflict(&error) => false,
            Err(error) => return Err(failed(error)),
        };
        for kind in &self.worker.done {
            self.tally.add(if is_done { *kind } else { Kind::RolledBack }, 1);
        }
        Ok(Ended::Done(u32::try_from(self.worker.done.len()).unwrap_or(u32::MAX).max(1)))
    }
}

fn is_fence(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|e| e.message().contains("highwater") && e.message().contains("fence"))
}

/// Whether the statement failed for what another writer did at the same time.
fn is_conflict(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    // A deadlock, and what can't be serialized.
    let codes = ["40P01", "40001"];
    // A wait in vain for a lock, and a row that changed since it was read, on MySQL and MariaDB.
    let numbers = [1205, 1020];
    let number = error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    error.is_unique_violation()
        || number.is_some_and(|number| numbers.contains(&number))
        || error.is_foreign_key_violation()
        || error.code().is_some_and(|code| codes.contains(&&*code))
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::super::production;
    use super::*;

    const FENCE: &str = "CREATE TRIGGER nodes_fence BEFORE UPDATE ON nodes
        BEGIN SELECT RAISE(ABORT, 'highwater fence: no writes'); END";

    #[tokio::test(flavor = "multi_thread")]
    async fn production_does_all_it_can_until_a_fence_refuses_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/production.db", folder.path().display());
        let source = Endpoint::from_url(&url).unwrap();
        let scale = Scale::of(2_000);
        let mut link = Link::open(&source).await.unwrap();
        production::fill(&mut link, &scale, 1, |_| {}).await.unwrap();
        let mut writers = Writers::begin(&source, scale, 4_000, 1).await.unwrap();
        let has_done = |writers: &Writers, kind| writers.tally.of(kind) > 0;
        for _ in 0..200 {
            sleep(Duration::from_millis(50)).await;
            writers.check().unwrap();
            if Kind::ALL.into_iter().all(|kind| has_done(&writers, kind)) {
                break;
            }
        }
        for kind in Kind::ALL {
            assert!(has_done(&writers, kind), "{kind:?}");
        }
        assert_eq!(writers.tally.refused(), 0);
        link.run(FENCE, &[]).await.unwrap();
        sleep(Duration::from_millis(400)).await;
        assert!(writers.tally.refused() > 0);
        writers.end().await.unwrap();
    }
}
