//! The end of the window: everything that production wrote is in the target, and can be shown to be.
//!
//! Without a fence the answer is `drained`: true of one moment. With the fence it is `final`: production can't
//! write any more, and the target is equal to it.
//!
//! The fence goes up last (docs/how-it-works.md, "the fence goes up last"). First everything that can be known
//! without it is known, for all databases (`prepare`); then each is fenced (`fence`).
//!
//! Crash story of the fence. An attempt has an even number that is greater than every earlier one; it is recorded
//! on the target before the source hears of it. Dying before the fence is raised leaves an open attempt that
//! nothing uses. Dying with the fence up leaves it up: the next attempt has a greater number and stamps the fence
//! with it, so that whatever of the dead attempt arrives late does nothing. Attempt and phase become final in one
//! transaction on the target. Before a fence is lowered, one transaction on the target makes the attempt void and
//! takes the phase back (docs/how-it-works.md, "state first, then the fence"): dying between leaves a fence that
//! is up, and a database that replays. When the target can't be reached, the fence stays; when the source can't
//! be, the attempt is void all the same.
//!
//! Of several databases none is fenced while one is not ready. Once fenced, each becomes final by itself: one that
//! fails then lowers its own fence and leaves the others final. The report says which are.

pub mod compare;
mod fence;
mod look;
mod lower;
mod outage;
mod report;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{self, Rows};
use crate::engine::{Lease, Target, Writer};
use crate::error::{Error, Kind, Result};
use crate::ledger::{Actor, Ledger};
use crate::pair::{self, Generations, Pair, Sides};
use crate::point::{self, Made, NoPoint, Point, Reads, Worker};
use crate::run;
use crate::settings::{DatabaseSettings, Settings};
use crate::state::Phase;
use crate::status::{Board, Role};
use crate::upgrade;

pub use look::unreached;
pub use lower::{LoweredFence, lower};
pub use outage::Outage;
pub use report::{FinalSync, TableFinal, Verdict};

/// Between two looks at whoever is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// How a final sync is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Raise the fence in the end, and end `final`.
    pub fence: bool,
    /// Without a fence: active writers are no failure.
    pub allow_writers: bool,
    /// How long all may take that comes before the fence; and, from the first of its triggers on, the outage.
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

/// A database after all that can be done without a fence.
enum Prepared {
    /// Nothing more is to be done, or can be.
    Ended(Box<FinalSync>),
    /// It may be fenced.
    Ready(Box<Ready>),
}

/// A database that may be fenced.
struct Ready {
    sync: Sync,
    /// What was found so far.
    report: FinalSync,
    /// What could not be looked at for want of a consistent point, and has to be under the fence.
    remains: Remains,
}

/// What is left to be looked at under the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// What has changed since.
    Changes,
    /// That; the rows, which are to be counted; the checkpoints.
    RowsAndCheckpoints,
}

/// Brings the targets of all `databases` to where their sources are, once. A running daemon hands over and
/// stands by. Gives for each its report, or the error with which it ended.
pub async fn final_sync(
    settings: &Arc<Settings>,
    databases: &[(DatabaseSettings, Board)],
    actor: &Actor,
    options: Options,
    stop: &CancellationToken,
) -> Vec<Result<FinalSync>> {
    let preparing = databases
        .iter()
        .map(|(database, board)| Box::pin(prepare(settings, database, actor, options, board, stop)));
    let prepared = join_all(preparing).await;
    let names = || databases.iter().map(|(database, _)| database.name.as_str());
    let prepared = none_unless_all(names(), prepared).await;
    // What was written while the others were prepared is no matter for the outage.
    let approached = join_all(prepared.into_iter().map(|p| Box::pin(approach(p)))).await;
    let approached = none_unless_all(names(), approached).await;
    join_all(approached.into_iter().map(|prepared| Box::pin(end(prepared)))).await
}

/// Unless every database is ready, or final already, none may be fenced.
async fn none_unless_all(
    names: impl Iterator<Item = &str>,
    prepared: Vec<Result<Prepared>>,
) -> Vec<Result<Prepared>> {
    let is_in_the_way = |prepared: &Result<Prepared>| match prepared {
        Ok(Prepared::Ready(_)) => false,
        Ok(Prepared::Ended(report)) => !report.converged,
        Err(_) => true,
    };
    let others: Vec<&str> =
        names.zip(&prepared).filter(|(_, prepared)| is_in_the_way(prepared)).map(|(name, _)| name).collect();
    if others.is_empty() {
        return prepared;
    }
    let others = others.join(", ");
    let mut all = Vec::with_capacity(prepared.len());
    for prepared in prepared {
        all.push(match prepared {
            Ok(Prepared::Ready(ready)) => {
                let reason = format!("no database is fenced: not ready: {others}");
                ready.give_back(vec![reason]).await.map(|report| Prepared::Ended(Box::new(report)))
            }
            other => other,
        });
    }
    all
}

async fn approach(prepared: Result<Prepared>) -> Result<Prepared> {
    match prepared? {
        Prepared::Ready(ready) => Box::pin(ready.approach()).await,
        ended @ Prepared::Ended(_) => Ok(ended),
    }
}

async fn end(prepared: Result<Prepared>) -> Result<FinalSync> {
    match prepared? {
        Prepared::Ended(report) => Ok(*report),
        Prepared::Ready(ready) => ready.fence().await,
    }
}

/// Does for one database all that is done without a fence.
///
/// # Errors
/// [`Kind::NotConverged`] when the database isn't copied or time runs out; what else is in the way.
/// Whether it converged stands in the report.
async fn prepare(
    settings: &Arc<Settings>,
    database: &DatabaseSettings,
    actor: &Actor,
    options: Options,
    board: &Board,
    stop: &CancellationToken,
) -> Result<Prepared> {
    let deadline = Instant::now() + options.timeout;
    let sides = pair::connect(database, settings).await?;
    let ledger = ledger(&sides.target, database, actor).await?;
    let entry = ledger.read().await?;
    upgrade::refuse_while_upgrading(&database.name, &entry)?;
    if options.fence {
        upgrade::refuse_before_it(database, &ledger, &entry).await?;
    }
    let lease = take_lease(&sides, &ledger, deadline, stop).await?;
    let (pair, generations) = pair::prepare(&sides, database, settings, actor, board).await?;
    board.update(|status| status.role = Role::Active);
    let entry = pair.ledger.read().await?;
    upgrade::refuse_while_upgrading(&database.name, &entry)?;
    let pair = Arc::new(pair);
    let mut sync = Sync { pair, generations, lease, options, deadline, stop: stop.clone() };
    let outcome = match (entry.phase, options.fence) {
        (Phase::Final, _) => sync.still_final().await.map(|report| (report, Remains::Changes)),
        (_, true) => sync.check().await,
        (_, false) => sync.drained().await.map(|report| (report, Remains::Changes)),
    };
    match outcome {
        Ok((report, remains)) if options.fence && report.converged && entry.phase != Phase::Final => {
            Ok(Prepared::Ready(Box::new(Ready { sync, report, remains })))
        }
        outcome => {
            let released = sync.lease.release().await;
            let (report, _) = outcome?;
            released?;
            Ok(Prepared::Ended(Box::new(report)))
        }
    }
}

async fn ledger(target: &Arc<dyn Target>, database: &DatabaseSettings, actor: &Actor) -> Result<Ledger> {
    let ledger = Ledger::peek(target.clone(), &database.name, actor.clone()).await?;
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
    lease_of(sides.target.as_ref(), ledger, deadline, stop).await
}

async fn lease_of(
    target: &dyn Target,
    ledger: &Ledger,
    deadline: Instant,
    stop: &CancellationToken,
) -> Result<Box<dyn Lease>> {
    let mut asked: Option<Instant> = None;
    let taken = loop {
        match target.try_lease(ledger.database()).await {
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

impl Sync {
    fn worker(&mut self) -> Worker<'_> {
        Worker {
            pair: &self.pair,
            generations: &self.generations,
            lease: self.lease.as_mut(),
            stop: &self.stop,
            until: self.deadline,
        }
    }

    fn step(&self, step: &str) {
        tracing::info!(database = %self.pair.database.name, step, "final sync");
    }

    /// Brings the target to one instant of production's, and says what holds then.
    async fn drained(&mut self) -> Result<FinalSync> {
        self.step("waiting for open transactions");
        let left = self.wait_out(false).await?;
        let mut reasons: Vec<String> =
            left.iter().map(|w| format!("a writer's transaction is still open: {}", w.who)).collect();
        self.step("draining");
        let mut report = match point::make(&mut self.worker(), Reads::Dirty).await? {
            Made::Point(point) => self.at_point(point, Verdict::Drained).await?,
            Made::No(no) => {
                let rows = Rows::Moving(no.why.clone());
                let sequences_moved = point::move_sequences(&self.pair, None).await?;
                let mut report = self.without_point(no, Verdict::Drained).await?;
                report.sequences_moved = sequences_moved;
                self.ask_checkpoints(&mut report, &rows, self.deadline).await?;
                report
            }
        };
        report.writers = self.active_writers().await?;
        if !report.writers.is_empty() && !self.options.allow_writers {
            reasons.push("production is still being written".to_string());
        }
        report.reasons.extend(reasons);
        Ok(report.finish())
    }

    /// All that can be known before the fence goes up.
    async fn check(&mut self) -> Result<(FinalSync, Remains)> {
        let pair = self.pair.clone();
        self.step("trying whether the fence can be raised");
        pair.sides.source.try_fence().await?;
        self.step("waiting for open transactions");
        let left = self.wait_out(true).await?;
        self.step("draining, comparing rows, asking checkpoints");
        let made = point::make(&mut self.worker(), Reads::Counts).await?;
        let (mut report, remains) = match made {
            Made::Point(point) => (self.at_point(point, Verdict::Final).await?, Remains::Changes),
            Made::No(no) => {
                let mut report = self.without_point(no, Verdict::Final).await?;
                report.remarks.push("rows are counted and checkpoints asked under the fence".to_string());
                (report, Remains::RowsAndCheckpoints)
            }
        };
        report.reasons.extend(left.iter().map(|w| format!("a transaction is still open: {}", w.who)));
        if remains == Remains::Changes {
            let (behind, remarks) = look::sequences(&pair).await?;
            report.reasons.extend(behind);
            report.remarks.extend(remarks);
        }
        let report = report.finish();
        if report.converged {
            return Ok((report, remains));
        }
        Ok((report.gave_up("the fence was not raised: production was not held up"), remains))
    }

    /// What holds while replay is held at `point`.
    async fn at_point(&mut self, point: Point, verdict: Verdict) -> Result<FinalSync> {
        let looked = async {
            let mut report = self.report(verdict, Some(&point.extents)).await?;
            report.consistent_at = Some(point.at.clone());
            report.sequences_moved.clone_from(&point.sequences_moved);
            if verdict == Verdict::Final {
                report.take_counts(&point.counted);
            }
            self.ask_checkpoints(&mut report, &Rows::At(point.at.clone()), point.until).await?;
            Ok(report)
        };
        let looked = looked.await;
        let held = point.release().await;
        let mut report: FinalSync = looked?;
        report.replay_held_seconds = Some(held?.as_secs_f64());
        Ok(report)
    }

    async fn without_point(&mut self, no: NoPoint, verdict: Verdict) -> Result<FinalSync> {
        let mut report = self.report(verdict, Some(&no.drained_to)).await?;
        report.remarks.push(format!("no consistent point could be made: {}", no.why));
        Ok(report)
    }

    /// A database that is final already: the application may be at work on the target by now. To compare again,
    /// to fail and to lower the fence would make two primaries; so nothing is touched, and what does not hold
    /// any more is said.
    async fn still_final(&mut self) -> Result<FinalSync> {
        let mut report = self.report(Verdict::Final, None).await?;
        report.reasons.extend(look::fence_broken(&self.pair).await?);
        report.outage_before(&self.pair.ledger.read().await?);
        Ok(report.finish())
    }

    /// Asks the checkpoints, as long as there is time.
    async fn ask_checkpoints(&self, report: &mut FinalSync, rows: &Rows, until: Instant) -> Result<()> {
        let (target, asked) = (self.pair.sides.target.as_ref(), &self.pair.database.checkpoints);
        match timeout_at(until.min(self.deadline), checkpoint::run(target, asked, rows)).await {
            Ok(outcomes) => report.take_checkpoints(outcomes?),
            Err(_) => report.reasons.push("time is up before every checkpoint was asked".to_string()),
        }
        Ok(())
    }

    /// Waits until the transactions have ended that were open, for half of the time at most: the rest is for
    /// what was committed by then. Returns those that are left. A prepared transaction commits when it likes,
    /// so with `prepared` there may be none at all.
    async fn wait_out(&self, prepared: bool) -> Result<Vec<Writer>> {
        let source = &self.pair.sides.source;
        let patience = Instant::now() + self.deadline.saturating_duration_since(Instant::now()) / 2;
        let mut left = source.writers(&self.pair.plan).await?;
        loop {
            let mut waits = left.clone();
            if prepared {
                waits.extend(source.prepared().await?);
            }
            if waits.is_empty() || Instant::now() >= patience || self.stop.is_cancelled() {
                return Ok(waits);
            }
            sleep(LOOK).await;
            let now = source.writers(&self.pair.plan).await?;
            left.retain(|w| now.iter().any(|n| n.id == w.id));
        }
    }

    /// Signs that production is being written: an entry that is not applied, or an open transaction that wrote a
    /// captured table.
    async fn active_writers(&self) -> Result<Vec<String>> {
        let pair = &self.pair;
        let mut signs: Vec<String> =
            look::dirty(pair).await?.into_iter().map(|label| format!("{label} was written since")).collect();
        let open = pair.sides.source.writers(&pair.plan).await?;
        signs.extend(open.into_iter().map(|w| format!("open transaction: {}", w.who)));
        Ok(signs)
    }

    /// How each table is now, and why that isn't good enough.
    async fn report(&self, verdict: Verdict, barrier: Option<&look::Barrier>) -> Result<FinalSync> {
        let reasons = look::reasons(&self.pair, barrier).await?;
        let entry = self.pair.ledger.read().await?;
        Ok(FinalSync::new(&self.pair.database.name, verdict, &self.pair.plan, &entry, barrier, reasons))
    }
}
