//! Consistent points: the target is made equal to production at one instant.
//!
//! Tables replay at their own pace, so between two points the target is no state that production ever had. Whatever
//! reads several tables together (scripts of an upgrade, checkpoints, counts) reads at a point
//! (docs/how-it-works.md, "a point reads every table in one snapshot").
//!
//! Order: drain; hold replay in the ledger; take one snapshot of the source; apply every table's dirty keys
//! up to it, with the states of it; compare what tells of statements that reach into snapshots; move the
//! sequences; record the point. Crash story: replay is held by a nonce in the ledger. Dying anywhere leaves that
//! hold, which the next holder of the lease ends; every act of the dead process is refused from then on. What
//! was applied by then is what replay would have applied, except that its states are those of the
//! snapshot, which is newer than every watermark before it. The point is recorded last, so one that was broken off
//! was never claimed.

mod catch_up;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::cutover::compare::{self, Counted};
use crate::engine::{Lag, Lease, Verdict, Watch};
use crate::error::{Error, Kind, Policy, Result};
use crate::fault;
use crate::follow::{Ended, Follow, Goal};
use crate::ledger::{self, Nonce};
use crate::model::{Extent, Strategy};
use crate::pair::{Generations, Pair};
use crate::state::TableState;

/// A snapshot is taken only while no more dirty keys than this are left.
const MOST_KEYS: u64 = 20_000;
/// A snapshot is taken only while the dirty keyless tables, which are read whole, have no more rows than this.
const MOST_KEYLESS_ROWS: u64 = 2_000_000;
/// How often a point is tried: production may write too much, or run statements that reach into the snapshot.
const TRIES: u32 = 5;
/// Between two checks of the lease while replay is held.
const LOOK: Duration = Duration::from_secs(1);

/// A pair at work under its lease.
pub struct Worker<'a> {
    /// The pair.
    pub pair: &'a Arc<Pair>,
    /// Its logs.
    pub generations: &'a Generations,
    /// The lease.
    pub lease: &'a mut dyn Lease,
    /// Ends the work.
    pub stop: &'a CancellationToken,
    /// When draining is given up.
    pub until: Instant,
}

/// What is read at the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// What is dirty.
    Dirty,
    /// That, and then the rows of every table are counted.
    Counts,
}

/// What came of it.
pub enum Made {
    /// The target is equal to production at one instant, for as long as replay is held.
    Point(Point),
    /// It can't be made equal, and why.
    No(NoPoint),
}

/// Why there is no point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPoint {
    /// What was in the way.
    pub why: String,
    /// Whether a later try may do.
    pub obstacle: Obstacle,
    /// How far every table was drained, as far as it could be.
    pub drained_to: BTreeMap<String, Extent>,
}

/// What kind of thing was in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// A table, or the server: it does not pass by itself.
    Lasting,
    /// Production was too busy, or the time too short.
    Passing,
}

/// A point: replay is held until it is released.
pub struct Point {
    /// The instant of production's.
    pub at: String,
    /// What of each table's log is applied: all that production had committed by then.
    pub extents: BTreeMap<String, Extent>,
    /// The rows of every table; why not, where they could not be counted in time.
    pub counted: Counts,
    /// The sequences that were moved.
    pub sequences_moved: Vec<String>,
    /// When the hold is over.
    pub until: Instant,
    pair: Arc<Pair>,
    hold: Nonce,
    since: Instant,
}

impl Point {
    /// Lets replay go on. Returns for how long it was held.
    ///
    /// # Errors
    /// When the target can't be written: the next holder of the lease ends the hold then.
    pub async fn release(self) -> Result<Duration> {
        self.pair.ledger.release_replay(&self.hold).await?;
        Ok(told(&self.pair, self.since))
    }
}

fn told(pair: &Pair, since: Instant) -> Duration {
    let held = since.elapsed();
    let database = &pair.database.name;
    tracing::info!(
        database,
        seconds = held.as_secs_f64(),
        "replay goes on; it was held for a consistent point"
    );
    held
}

/// One try.
enum Tried {
    Made(Point),
    /// It is to be tried again.
    Again(String),
    Impossible(String),
}

/// Drains every table to the extent that its log has now, through the ordinary loop. Returns those extents.
///
/// # Errors
/// [`Kind::NotConverged`] when it is stopped or `until` comes first; what the loop ends with.
pub async fn drain(worker: &mut Worker<'_>) -> Result<BTreeMap<String, Extent>> {
    let mut barrier = BTreeMap::new();
    for table in &worker.pair.plan.tables {
        barrier.insert(table.label(), worker.pair.sides.source.extent(table).await?);
    }
    let never = &mut mpsc::channel(1).1;
    let goal = Goal::Reach(barrier.clone());
    let follow = Follow::new(worker.pair.clone(), goal, worker.stop.clone()).await?;
    let run = follow.run(worker.generations, worker.lease, never);
    let why = match timeout_at(worker.until, run).await {
        Ok(Ok(Ended::Reached)) => return Ok(barrier),
        Ok(Ok(Ended::Stopped | Ended::Asked)) => not_reached(worker.pair, "it was stopped"),
        Ok(Err(error)) if error.policy() == Policy::Retry => {
            not_reached(worker.pair, "it was interrupted").because(error)
        }
        Ok(Err(error)) => error,
        Err(_) => not_reached(worker.pair, "time is up"),
    };
    Err(why)
}

fn not_reached(pair: &Pair, why: &str) -> Error {
    let database = &pair.database.name;
    Error::new(Kind::NotConverged, format!("database {database}: {why} before everything was applied"))
        .remedy("nothing is lost: run it again, with a longer --timeout if need be")
}

/// Makes a point. Replay is held at most `replay.point_timeout`, from the hold on; it is held when a point is
/// returned, until that is released.
///
/// # Errors
/// What draining says, connections, the lease. Replay is not held then.
pub async fn make(worker: &mut Worker<'_>, reads: Reads) -> Result<Made> {
    let mut no = NoPoint { why: String::new(), obstacle: Obstacle::Passing, drained_to: BTreeMap::new() };
    for _ in 0..TRIES {
        no.drained_to = drain(worker).await?;
        if let Some(why) = obstacle(worker.pair).await? {
            return Ok(Made::No(NoPoint { why, obstacle: Obstacle::Lasting, ..no }));
        }
        match attempt(worker, reads).await? {
            Tried::Made(point) => return Ok(Made::Point(point)),
            Tried::Impossible(why) => {
                return Ok(Made::No(NoPoint { why, obstacle: Obstacle::Lasting, ..no }));
            }
            Tried::Again(why) => {
                let database = &worker.pair.database.name;
                tracing::info!(database, why, "the consistent point is made again");
                no.why = why;
            }
        }
    }
    Ok(Made::No(no))
}

/// A table that is not replayed, if there is one.
async fn obstacle(pair: &Pair) -> Result<Option<String>> {
    let entry = pair.ledger.read().await?;
    let other = entry.tables.iter().find(|t| t.state != TableState::Replaying);
    Ok(other.map(|t| {
        t.reason.as_ref().map_or_else(
            || format!("{}: it is {}", t.label, t.state),
            |why| format!("{}: it is {}: {why}", t.label, t.state),
        )
    }))
}

/// Holds replay, and makes the point or releases it.
async fn attempt(worker: &mut Worker<'_>, reads: Reads) -> Result<Tried> {
    let pair = worker.pair.clone();
    let hold = Nonce::random();
    let since = Instant::now();
    let until = since + pair.settings.replay.point_timeout;
    let held = async {
        pair.ledger.hold_replay(&hold).await?;
        fault::point("after_replay_held").await?;
        under_hold(&pair, &hold, (since, until), reads).await
    };
    let outcome = tokio::select! {
        outcome = timeout_at(until, held) => outcome,
        error = watch(worker.lease) => Ok(Err(error)),
        () = worker.stop.cancelled() => Ok(Err(not_reached(&pair, "it was stopped"))),
    };
    if let Ok(Ok(Tried::Made(point))) = outcome {
        return Ok(Tried::Made(point));
    }
    if let Err(error) = pair.ledger.release_replay(&hold).await {
        tracing::warn!(database = %pair.database.name, %error, "the hold of replay ends with the lease");
    }
    told(&pair, since);
    match outcome {
        Ok(outcome) => outcome,
        Err(_) => Ok(Tried::Again("replay.point_timeout was over before every table was read".to_string())),
    }
}

/// Checks the lease until it is lost.
async fn watch(lease: &mut dyn Lease) -> Error {
    loop {
        sleep(LOOK).await;
        if let Err(error) = lease.check().await {
            return error;
        }
    }
}

/// What tells of statements that reach into a snapshot, read outside of any.
async fn reached_into(pair: &Pair) -> Result<(Vec<Verdict>, String)> {
    let source = &pair.sides.source;
    Ok((source.inspect(&pair.plan).await?, source.storage(&pair.plan).await?))
}

async fn under_hold(
    pair: &Arc<Pair>,
    hold: &Nonce,
    (since, until): (Instant, Instant),
    reads: Reads,
) -> Result<Tried> {
    let before = reached_into(pair).await?;
    if let Some(broken) = before.0.iter().find(|v| v.fault.is_some()) {
        return Ok(Tried::Again(format!("{}: its change capture is not intact", broken.label)));
    }
    if let Some(much) = too_much(pair).await? {
        return Ok(Tried::Again(much));
    }
    fault::point("before_point_pinned").await?;
    let at = ledger::now();
    let pinned = match pair.sides.source.pinned().await {
        Err(error) if error.policy() != Policy::Retry => return Ok(Tried::Impossible(error.summary())),
        pinned => pinned?,
    };
    fault::point("after_point_pinned").await?;
    let held = Arc::new(pair.held(pinned, hold.clone()));
    let read = read(&held, (since, until), reads).await;
    // The snapshot keeps the source from cleaning up, on SQLite even from committing.
    drop(held);
    // Errors too may come of what reached into the snapshot.
    if reached_into(pair).await? != before {
        let why = "a table was truncated, rebuilt or altered on the source while its snapshot was read";
        return Ok(Tried::Again(why.to_string()));
    }
    let (extents, counted) = match read? {
        Ok(read) => read,
        Err(why) => return Ok(Tried::Impossible(why)),
    };
    let sequences_moved = move_sequences(pair, Some(hold)).await?;
    fault::point("before_point_recorded").await?;
    pair.ledger.record_point(hold, &at).await?;
    fault::point("after_point_recorded").await?;
    let (pair, hold) = (pair.clone(), hold.clone());
    Ok(Tried::Made(Point { at, extents, counted, sequences_moved, until, pair, hold, since }))
}

/// What was applied and counted; or why the target can't be made equal to the snapshot.
type Read = std::result::Result<(BTreeMap<String, Extent>, Counts), String>;
/// The rows of every table, or why they were not counted.
type Counts = std::result::Result<Vec<Counted>, String>;

/// All that is done with the snapshot.
async fn read(held: &Arc<Pair>, (since, until): (Instant, Instant), reads: Reads) -> Result<Read> {
    let extents = match catch_up::catch_up(held).await? {
        Ok(extents) => extents,
        Err(why) => return Ok(Err(why)),
    };
    let counted = match reads {
        Reads::Dirty => Err("they were not asked for".to_string()),
        Reads::Counts => count(held, since, until).await?,
    };
    fault::point("after_point_read").await?;
    Ok(Ok((extents, counted)))
}

/// Counts for half of the time that is left at most: the point is worth more than the counts.
async fn count(held: &Pair, since: Instant, until: Instant) -> Result<Counts> {
    let half = until - (until.duration_since(since).saturating_sub(since.elapsed())) / 2;
    match timeout_at(half, compare::rows(held)).await {
        Ok(counted) => Ok(Ok(counted?)),
        Err(_) => Ok(Err("counting took more than half of replay.point_timeout".to_string())),
    }
}

/// What makes the snapshot too long a matter, if anything does.
async fn too_much(pair: &Pair) -> Result<Option<String>> {
    let entry = pair.ledger.read().await?;
    let mut watches = Vec::new();
    for table in &pair.plan.tables {
        let known = entry.tables.iter().find(|t| t.label == table.label());
        let known = known.and_then(|t| t.watermark.as_ref().zip(t.origin.as_ref()));
        watches.extend(known.map(|(watermark, origin)| Watch { table, watermark, origin }));
    }
    let lags: Option<Vec<Lag>> = pair.sides.source.measure(&watches).await?.lags.into_iter().collect();
    let Some(lags) = lags else {
        return Ok(Some("how much is dirty can't be measured".to_string()));
    };
    let dirty = || watches.iter().zip(&lags).filter(|(_, lag)| lag.rows > 0);
    let keys: u64 =
        dirty().filter(|(w, _)| w.table.strategy == Strategy::Keyed).map(|(_, lag)| lag.rows).sum();
    let whole: u64 =
        dirty().filter(|(w, _)| w.table.strategy == Strategy::Whole).map(|(w, _)| w.table.rows).sum();
    Ok(if keys > MOST_KEYS {
        Some(format!("production writes faster than a snapshot can be caught up with: {keys} keys are dirty"))
    } else if whole > MOST_KEYLESS_ROWS {
        Some(format!("tables without a key are being written and have to be read whole: {whole} rows"))
    } else {
        None
    })
}

/// Moves the target's sequences to where the source's are, read now, or beyond.
///
/// # Errors
/// When a side says so; [`Kind::Superseded`] when replay is held by another.
pub async fn move_sequences(pair: &Pair, hold: Option<&Nonce>) -> Result<Vec<String>> {
    let sequences = pair.sides.source.sequences().await?;
    let mut tx = pair.sides.target.begin().await?;
    ledger::hold_epoch(tx.as_mut(), pair.ledger.database(), pair.epoch).await?;
    pair.ledger.check_hold(tx.as_mut(), hold).await?;
    let moved = tx.move_sequences(&sequences).await?;
    tx.commit().await?;
    Ok(moved.iter().map(ToString::to_string).collect())
}
