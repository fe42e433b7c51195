//! The end of the window: everything that production wrote is in the target, and can be shown to be.
//!
//! Without a fence the answer is `drained`: true of the moment of the barrier. With the fence it is
//! `final`: production can't write any more, and the target is equal to it.
//!
//! Crash story of the fence. An attempt has a number that never repeats; it is recorded on the target
//! before the source hears of it. Dying before the fence is raised leaves an open attempt that nobody
//! uses. Dying with the fence up leaves it up: the next attempt has a greater number and stamps the
//! fence anew, so that a lift or anything else of the dead attempt that arrives late finds another
//! stamp and does nothing. A fence is lifted only after the target has committed a greater, invalid
//! attempt; when the target can't be reached, the fence stays.

mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::engine::{Lease, Lowered, Stamp, Watch, Writer};
use crate::error::{Error, Kind, Policy, Result};
use crate::fault;
use crate::follow::{Ended, Follow, Goal};
use crate::ledger::{self, Actor, AttemptState, Ledger};
use crate::model::{Extent, Watermark};
use crate::pair::{self, Generations, Pair, Sides};
use crate::run;
use crate::settings::{DatabaseSettings, Settings};
use crate::state::{Phase, TableState};
use crate::status::{Board, Role};
use crate::upgrade;

pub use report::{FinalSync, TableFinal, Verdict};

/// Between two looks at whoever is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// How a final sync is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Raise the fence first, and end `final`.
    pub fence: bool,
    /// Without a fence: active writers are no failure.
    pub allow_writers: bool,
    /// How long it may take altogether.
    pub timeout: Duration,
}

/// Everything a final sync works with.
struct Sync {
    pair: Arc<Pair>,
    generations: Generations,
    lease: Box<dyn Lease>,
    options: Options,
    deadline: Instant,
    stop: CancellationToken,
}

/// Brings the target to where the source is, once. A running daemon hands over and stands by.
///
/// # Errors
/// [`Kind::NotConverged`] when the database isn't copied or time runs out; what else stands in the
/// way. Whether it converged stands in the report.
pub async fn final_sync(
    settings: &Arc<Settings>,
    database: &DatabaseSettings,
    actor: &Actor,
    options: Options,
    board: &Board,
    stop: CancellationToken,
) -> Result<FinalSync> {
    let deadline = Instant::now() + options.timeout;
    let sides = pair::connect(database, settings).await?;
    let ledger = ledger(&sides, database, actor).await?;
    let entry = ledger.read().await?;
    upgrade::refuse_while_upgrading(&database.name, &entry)?;
    if options.fence {
        upgrade::refuse_before_it(database, &ledger, &entry).await?;
    }
    let lease = take_lease(&sides, &ledger, deadline, &stop).await?;
    let (pair, generations) = pair::prepare(&sides, database, settings, actor, board).await?;
    board.update(|status| status.role = Role::Active);
    upgrade::refuse_while_upgrading(&database.name, &pair.ledger.read().await?)?;
    let mut sync = Sync { pair: Arc::new(pair), generations, lease, options, deadline, stop };
    let report = if options.fence { sync.fenced().await } else { sync.drained().await };
    let released = sync.lease.release().await;
    let report = report?;
    released?;
    Ok(report)
}

/// Lowers the fence. Returns whether it stood.
///
/// # Errors
/// When the target can't be reached to invalidate the attempt: the fence stays then.
pub async fn lift(
    settings: &Arc<Settings>,
    database: &DatabaseSettings,
    actor: &Actor,
    timeout: Duration,
) -> Result<bool> {
    let sides = pair::connect(database, settings).await?;
    let ledger = ledger(&sides, database, actor).await?;
    let stop = CancellationToken::new();
    let lease = take_lease(&sides, &ledger, Instant::now() + timeout, &stop).await?;
    let stood = invalidate_and_lift(&sides, &ledger).await?;
    lease.release().await?;
    Ok(stood)
}

async fn ledger(sides: &Sides, database: &DatabaseSettings, actor: &Actor) -> Result<Ledger> {
    let ledger = Ledger::peek(sides.target.clone(), &database.name, actor.clone()).await?;
    ledger.ok_or_else(|| {
        Error::new(Kind::NotConverged, format!("database {}: nothing is copied yet", database.name))
            .remedy("`highwater run` (or `highwater copy`) first")
    })
}

/// Takes the lease, asking its holder for it if need be.
pub(crate) async fn take_lease(
    sides: &Sides,
    ledger: &Ledger,
    deadline: Instant,
    stop: &CancellationToken,
) -> Result<Box<dyn Lease>> {
    let mut asked: Option<Instant> = None;
    let taken = loop {
        match sides.target.try_lease(ledger.database()).await {
            Ok(Some(lease)) => break Ok(lease),
            Ok(None) if Instant::now() >= deadline || stop.is_cancelled() => {
                break Err(run::held(Some(ledger), ledger.database()).await);
            }
            Ok(None) => {}
            Err(error) => break Err(error),
        }
        // Asked again from time to time: the holder takes an old request for a dead one's.
        if asked.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
            tracing::info!(database = ledger.database(), "asking the holder of the lease to hand over");
            ledger.request_lease(true).await?;
            asked = Some(Instant::now());
        }
        sleep(LOOK).await;
    };
    if asked.is_some() {
        ledger.request_lease(false).await?;
    }
    taken
}

/// Makes sure that no late request of an earlier attempt can matter, then lowers the fence.
async fn invalidate_and_lift(sides: &Sides, ledger: &Ledger) -> Result<bool> {
    let standing = sides.source.fence().await?;
    ledger.void_attempt(standing.stamp.max(ledger.read().await?.attempt.stamp)).await?;
    fault::point("before_fence_lifted").await?;
    if !standing.raised {
        return Ok(false);
    }
    Ok(sides.source.lower_fence(standing.stamp).await? == Lowered::Down)
}

impl Sync {
    async fn drained(&mut self) -> Result<FinalSync> {
        let pair = self.pair.clone();
        if pair.ledger.read().await?.phase == Phase::Final {
            return Ok(self.report(Verdict::Final, Vec::new()).await?.finish());
        }
        let mut reasons = Vec::new();
        let open = pair.sides.source.writers(&pair.plan).await?;
        // Half of the time at most: the rest is for what was committed by then.
        let patience = Instant::now() + self.deadline.duration_since(Instant::now()) / 2;
        let left = self.wait_out(&open, patience).await?;
        reasons.extend(left.iter().map(|w| format!("a writer's transaction is still open: {}", w.who)));
        let barrier = self.barrier().await?;
        self.reach(barrier.clone()).await?;
        let sequences_moved = self.move_sequences().await?;
        let writers = self.active_writers(&barrier).await?;
        if !writers.is_empty() && !self.options.allow_writers {
            reasons.push("production is still being written".to_string());
        }
        let mut report = self.report(Verdict::Drained, reasons).await?;
        report.sequences_moved = sequences_moved;
        report.writers = writers;
        self.ask_checkpoints(&mut report).await?;
        Ok(report.finish())
    }

    async fn fenced(&mut self) -> Result<FinalSync> {
        let pair = self.pair.clone();
        let seen = pair.sides.source.fence().await?;
        let last = pair.ledger.read().await?.attempt;
        if last.state == AttemptState::Final && seen.raised && seen.stamp == last.stamp {
            // It ended well before. The application may be at work on the target by now: to compare
            // again, to fail and to lift the fence would make two primaries. Whoever ended it may have
            // died before the phase said so.
            return Ok(self.report(Verdict::Final, Vec::new()).await?.finish());
        }
        let stamp = pair.ledger.open_attempt(seen.stamp).await?;
        fault::point("after_attempt_opened").await?;
        let outcome = self.under_fence(stamp).await;
        let failure = match &outcome {
            Ok(report) if report.converged => None,
            Ok(report) => Some(report.reasons.join("; ")),
            Err(error) => Some(error.summary()),
        };
        let Some(failure) = failure else { return outcome };
        tracing::warn!(database = %pair.database.name, reason = %failure, "the attempt is given up");
        let lifted = invalidate_and_lift(&pair.sides, &pair.ledger).await;
        match (outcome, lifted) {
            (Ok(report), Ok(_)) => Ok(report.gave_up("the fence is lifted: production writes again")),
            (Ok(report), Err(error)) => Ok(report.gave_up(&stays(&error))),
            (Err(error), Ok(_)) => {
                Err(error.remedy("the fence is lifted: production writes again; then try anew"))
            }
            (Err(error), Err(lift)) => Err(error.remedy(stays(&lift))),
        }
    }

    async fn under_fence(&mut self, stamp: Stamp) -> Result<FinalSync> {
        let pair = self.pair.clone();
        pair.sides.source.raise_fence(&pair.plan, stamp, self.deadline.into_std()).await?;
        fault::point("after_fence_raised").await?;
        tracing::info!(database = %pair.database.name, %stamp, "the fence is up");
        pair.sides.source.prove_fence(&pair.plan, stamp).await?;
        // Whoever began before the fence may not see it: they are waited out, snapshots too.
        loop {
            let left = pair.sides.source.prepared().await?;
            if left.is_empty() {
                break;
            }
            if self.is_late() {
                let who: Vec<String> = left.into_iter().map(|w| w.who).collect();
                let what = format!("sessions from before the fence are still open: {}", who.join("; "));
                return Err(Error::new(Kind::NotConverged, what).remedy("end them, then try again"));
            }
            sleep(LOOK).await;
        }
        let barrier = self.barrier().await?;
        self.reach(barrier).await?;
        let sequences_moved = self.move_sequences().await?;
        let mut report = self.report(Verdict::Final, Vec::new()).await?;
        report.sequences_moved = sequences_moved;
        report.compare_rows(&pair).await?;
        self.ask_checkpoints(&mut report).await?;
        // The fence must have stood all the time, under our number.
        let standing = pair.sides.source.fence().await?;
        if !standing.raised || standing.stamp != stamp {
            report.reasons.push("the fence was lifted by somebody else meanwhile".to_string());
        }
        let report = report.finish();
        if report.converged {
            // Dying between these two leaves a final attempt whose phase doesn't say so: a daemon goes on
            // replaying a source that nobody writes, and the next final sync finds the attempt and sets the
            // phase. The other way round the target would be left alone under an attempt that is open, and
            // the next one would count against what the application has written there.
            pair.ledger.finish_attempt(stamp).await?;
            fault::point("after_final").await?;
        }
        Ok(report)
    }

    /// Asks the checkpoints, as long as there is time.
    async fn ask_checkpoints(&self, report: &mut FinalSync) -> Result<()> {
        match timeout_at(self.deadline, report.ask_checkpoints(&self.pair)).await {
            Ok(asked) => asked,
            Err(_) => {
                report.reasons.push("time is up before every checkpoint was asked".to_string());
                Ok(())
            }
        }
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline || self.stop.is_cancelled()
    }

    /// Waits until the writers that were open have ended; returns those that are left when time is up.
    async fn wait_out(&self, open: &[Writer], patience: Instant) -> Result<Vec<Writer>> {
        let mut left = open.to_vec();
        while !left.is_empty() && Instant::now() < patience && !self.stop.is_cancelled() {
            sleep(LOOK).await;
            let now = self.pair.sides.source.writers(&self.pair.plan).await?;
            left.retain(|w| now.iter().any(|n| n.id == w.id));
        }
        Ok(left)
    }

    async fn barrier(&self) -> Result<BTreeMap<String, Extent>> {
        let mut barrier = BTreeMap::new();
        for table in &self.pair.plan.tables {
            barrier.insert(table.label(), self.pair.sides.source.extent(table).await?);
        }
        Ok(barrier)
    }

    /// Follows the database to the barrier, through lost connections, until time is up.
    async fn reach(&mut self, barrier: BTreeMap<String, Extent>) -> Result<()> {
        let never = &mut mpsc::channel(1).1;
        let follow = Follow::new(self.pair.clone(), Goal::Reach(barrier), self.stop.clone()).await?;
        let run = follow.run(&self.generations, self.lease.as_mut(), never);
        match timeout_at(self.deadline, run).await {
            Ok(Ok(Ended::Reached)) => Ok(()),
            Ok(Ok(Ended::Stopped | Ended::Asked)) => Err(self.not_reached("it was stopped")),
            Ok(Err(error)) if error.policy() == Policy::Retry => {
                Err(self.not_reached("it was interrupted").because(error))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.not_reached("time is up")),
        }
    }

    fn not_reached(&self, why: &str) -> Error {
        let database = &self.pair.database.name;
        Error::new(Kind::NotConverged, format!("database {database}: {why} before everything was applied"))
            .remedy("nothing is lost: run it again, with a longer --timeout if need be")
    }

    async fn move_sequences(&self) -> Result<Vec<String>> {
        let sequences = self.pair.sides.source.sequences().await?;
        let mut tx = self.pair.sides.target.begin().await?;
        ledger::hold_epoch(tx.as_mut(), self.pair.ledger.database(), self.pair.epoch).await?;
        let moved = tx.move_sequences(&sequences).await?;
        tx.commit().await?;
        Ok(moved.iter().map(ToString::to_string).collect())
    }

    /// Signs that production is being written: an entry beyond the barrier, or an open transaction
    /// that wrote a captured table.
    async fn active_writers(&self, barrier: &BTreeMap<String, Extent>) -> Result<Vec<String>> {
        let pair = &self.pair;
        let entry = pair.ledger.read().await?;
        let mut asked = Vec::new();
        for table in &pair.plan.tables {
            let label = table.label();
            let origin = entry.tables.iter().find(|t| t.label == label).and_then(|t| t.origin.clone());
            if let Some((extent, origin)) = barrier.get(&label).zip(origin) {
                asked.push((table, Watermark::at(extent.clone()), origin));
            }
        }
        let watches: Vec<Watch<'_>> =
            asked.iter().map(|(table, watermark, origin)| Watch { table, watermark, origin }).collect();
        let dirty = pair.sides.source.poll(&watches).await?;
        let mut signs: Vec<String> = watches
            .iter()
            .zip(dirty)
            .filter(|(_, dirty)| *dirty)
            .map(|(w, _)| format!("{} was written after the barrier", w.table.source))
            .collect();
        let open = pair.sides.source.writers(&pair.plan).await?;
        signs.extend(open.into_iter().map(|w| format!("open transaction: {}", w.who)));
        Ok(signs)
    }

    /// What stands in each table now, and why that isn't good enough.
    async fn report(&self, verdict: Verdict, mut reasons: Vec<String>) -> Result<FinalSync> {
        let pair = &self.pair;
        // Capture is looked at once more: had it been silent meanwhile, nothing here would be true.
        for found in pair.sides.source.inspect(&pair.plan).await? {
            if found.fault.is_some() {
                reasons.push(format!("{}: its capture is not sound", found.label));
            }
        }
        // Tables that came after the copy and have no place on the target.
        for blocker in pair.plan.blockers.iter().filter(|b| b.table.is_some()) {
            reasons.push(format!("{}: {}", blocker.table.clone().unwrap_or_default(), blocker.what));
        }
        let entry = pair.ledger.read().await?;
        for table in &entry.tables {
            if table.state != TableState::Replaying {
                let why = table.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                reasons.push(format!("{}: it is {}{why}", table.label, table.state));
            }
            if table.requeued > 0 {
                reasons.push(format!(
                    "{}: what its rows look up has changed, and they are not made equal yet",
                    table.label
                ));
            }
            if table.parked > 0 {
                let some = pair.ledger.parked(&table.label, PARKED_SHOWN).await?;
                let some: Vec<String> =
                    some.iter().map(|p| format!("({}): {}", p.key.join(", "), p.reason)).collect();
                reasons.push(format!(
                    "{}: {} rows are parked: {}",
                    table.label,
                    table.parked,
                    some.join("; ")
                ));
            }
        }
        Ok(FinalSync::new(&pair.database.name, verdict, &pair.plan, &entry, reasons))
    }
}

/// How many parked keys of a table are shown.
const PARKED_SHOWN: i64 = 3;

fn stays(error: &Error) -> String {
    format!(
        "THE FENCE STAYS UP, production can't write: the attempt can't be invalidated on the target ({}); \
         `highwater final-sync --lift` once the target is reachable",
        error.summary()
    )
}
