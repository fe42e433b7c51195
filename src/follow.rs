//! Carries a database along its route: copies the tables that wait, replays the others, watches
//! capture, until its goal is reached. The daemon, `copy` and `final-sync` are this loop with
//! different goals.

mod definitions;
mod poll;
mod tracked;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::copy;
use crate::engine::Lease;
use crate::error::{Error, Kind, Policy, Result};
use crate::ledger::TableEntry;
use crate::metrics;
use crate::model::{Extent, TablePlan, Watermark};
use crate::pair::{Generations, Pair};
use crate::replay::Replay;
use crate::state::{AttemptState, Phase, Standing, TableState, Task, Work};
use definitions::Definitions;
use tracked::{Doing, Tracked};

/// Between two looks at the change logs while something is dirty, and while nothing is.
const POLL_BUSY: Duration = Duration::from_millis(20);
const POLL_IDLE: Duration = Duration::from_millis(200);
/// Between two checks of capture, lease, lag.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at a stopped table.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// An idle table's watermark is moved on this often.
const PASS: Duration = Duration::from_secs(30);
/// A retry of parked rows, or of a table after an error, waits this long at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How many times parked rows are tried again before a one-shot command gives up on them.
const ROUNDS: u32 = 3;

/// When the loop ends.
#[derive(Debug, Clone)]
pub enum Goal {
    /// Every table is copied.
    Copied,
    /// Never: until it is told to stop.
    Forever,
    /// Every table has applied what was in its log at that extent, and parked rows were tried again.
    Reach(BTreeMap<String, Extent>),
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The goal is reached, or can't be: the tables' states say which.
    Reached,
    /// It was told to stop. What ran was finished.
    Stopped,
    /// Another process asks for the lease. What ran was finished.
    Asked,
}

/// The loop of one database.
pub struct Follow {
    pair: Arc<Pair>,
    goal: Goal,
    stop: CancellationToken,
    tables: BTreeMap<String, Tracked>,
    jobs: JoinSet<(Job, Result<Done>)>,
    /// What runs beside the tables' jobs.
    beside: BTreeSet<Beside>,
    chunk_permits: Arc<Semaphore>,
    dirty: bool,
    asked: bool,
    /// As the ledger had it last: what may be done is asked of it. It changes only under our own term.
    standing: Standing,
    definitions: Definitions,
}

/// What runs beside the loop, which waits for none of it: one job at a time for each table and of each kind.
enum Job {
    Table(String),
    Beside(Beside),
}

/// A job that is about no single table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    /// Compares capture with what was installed, and measures the lag.
    Look,
    /// Looks whether what stopped a table is gone.
    LookAgain,
    /// Repairs capture.
    Repair,
    /// Removes covered entries from the change logs.
    Purge,
    /// Makes indexes, keys and views.
    Define,
}

/// What a job did.
enum Done {
    Begun,
    Copied,
    Drained(Watermark),
    Retried,
    LookedUp,
    Looked(watch::Look),
    Resumable(Vec<String>),
    Repaired(Generations),
    Purged,
    Defined,
}

impl Follow {
    /// Follows `pair` until `goal` or `stop`.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub async fn new(pair: Arc<Pair>, goal: Goal, stop: CancellationToken) -> Result<Self> {
        let chunk_permits = Arc::new(Semaphore::new(pair.copy_jobs()));
        let mut follow = Follow {
            pair,
            goal,
            stop: stop.child_token(),
            tables: BTreeMap::new(),
            jobs: JoinSet::new(),
            beside: BTreeSet::new(),
            chunk_permits,
            dirty: true,
            asked: false,
            standing: Standing { phase: Phase::Copying, attempt: AttemptState::Void },
            definitions: Definitions::Made,
        };
        if !follow.pair.ledger.open_definitions().await?.is_empty() {
            follow.definitions = Definitions::Open { at: Instant::now(), failures: 0 };
        }
        follow.read_ledger().await?;
        Ok(follow)
    }

    /// Runs until the end. `purge` gives a tick whenever covered log entries may be removed.
    ///
    /// # Errors
    /// What concerns the whole database: connections, the lease, the source's identity. The caller
    /// connects again and goes on from the ledger.
    pub async fn run(
        mut self,
        generations: &Generations,
        lease: &mut dyn Lease,
        purge: &mut mpsc::Receiver<()>,
    ) -> Result<Ended> {
        self.adopt(generations).await?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again = interval(LOOK_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ended = None;
        loop {
            self.check_goal()?;
            if ended.is_none() {
                ended = self.ended();
                if ended.is_some() {
                    self.stop.cancel();
                }
            }
            if ended.is_some() && self.jobs.is_empty() {
                break;
            }
            if ended.is_none() {
                self.start_jobs().await?;
            }
            let pause = if self.dirty || !self.jobs.is_empty() { POLL_BUSY } else { POLL_IDLE };
            tokio::select! {
                Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    let (job, done) = done.map_err(|e| Error::failed("a task of the loop died").because(e))?;
                    self.finish(job, done).await?;
                }
                _ = look.tick(), if ended.is_none() => {
                    lease.check().await?;
                    self.start_look();
                }
                _ = again.tick(), if ended.is_none() && self.any_stopped() => self.start_look_again(),
                Some(()) = purge.recv(), if ended.is_none() => self.start_purge(),
                () = self.stop.cancelled(), if ended.is_none() => ended = Some(Ended::Stopped),
                () = sleep(pause) => {}
            }
        }
        if let Ok(entry) = self.pair.ledger.read().await {
            self.pair.board.update(|status| status.take_entry(&entry, Some(&self.pair.plan)));
        }
        Ok(ended.unwrap_or(Ended::Stopped))
    }

    fn ended(&self) -> Option<Ended> {
        let reached = match &self.goal {
            Goal::Forever if self.asked => return Some(Ended::Asked),
            Goal::Forever => false,
            Goal::Copied => self.all_copied() && self.definitions == Definitions::Made,
            Goal::Reach(_) => {
                self.jobs.is_empty()
                    && self.definitions == Definitions::Made
                    && self.tables.keys().all(|label| self.has_reached(label))
            }
        };
        reached.then_some(Ended::Reached)
    }

    /// A database whose target is the upgrade's or the application's satisfies no goal: nothing is applied there,
    /// whatever the watermarks say (docs/how-it-works.md, "state first, then the fence").
    fn check_goal(&self) -> Result<()> {
        match (&self.goal, self.standing.forbids(Task::WriteRows)) {
            (Goal::Copied | Goal::Reach(_), Some(why)) => {
                Err(Error::refused(format!("database {}: {why}", self.pair.database.name)))
            }
            (Goal::Forever, _) | (_, None) => Ok(()),
        }
    }

    fn all_copied(&self) -> bool {
        // A full resync that a job begins is not in the ledger yet.
        let copies =
            |t: &Tracked| t.job == Doing::BeginCopy || matches!(t.state.allows(), Work::Copy | Work::Resync);
        self.tables.values().all(|t| !copies(t) || self.waits_for_stopped(t).is_some())
    }

    /// Whether a one-shot command has nothing left to do with the table.
    fn has_reached(&self, label: &str) -> bool {
        let Goal::Reach(extents) = &self.goal else { return false };
        self.tables
            .get(label)
            .is_none_or(|t| t.has_reached(extents.get(label), ROUNDS) || self.waits_for_stopped(t).is_some())
    }

    /// Takes over the ledger's view of the tables that no job holds.
    async fn read_ledger(&mut self) -> Result<()> {
        let mut entry = self.pair.ledger.read().await?;
        // Asked here, and not once when the last copy ends: the process may have died then, or the last table may
        // have stopped.
        let copies = |t: &TableEntry| matches!(t.state, TableState::Waiting | TableState::Copying);
        if entry.phase == Phase::Copying
            && !entry.tables.is_empty()
            && !entry.tables.iter().any(copies)
            && self.pair.ledger.end_copies().await?
        {
            entry = self.pair.ledger.read().await?;
        }
        self.standing = entry.standing();
        for table in &entry.tables {
            let planned = self.pair.plan.table(&table.label);
            match self.tables.get_mut(&table.label) {
                Some(tracked) => {
                    tell_parked(&self.pair.database.name, tracked.parked, table);
                    tracked.take(table);
                }
                None => {
                    tell_parked(&self.pair.database.name, 0, table);
                    self.tables.insert(table.label.clone(), Tracked::new(table, planned.cloned()));
                }
            }
        }
        // One that can't be planned any more is stopped, and shown so.
        self.tables.retain(|_, t| t.plan.is_some() || t.state == TableState::Stopped);
        let waiting: Vec<(String, String)> =
            self.tables.iter().filter_map(|(l, t)| Some((l.clone(), self.waits_for_stopped(t)?))).collect();
        self.pair.board.update(|status| {
            status.take_entry(&entry, Some(&self.pair.plan));
            status.take_waiting(&waiting);
        });
        Ok(())
    }

    /// Compares the logs that are there with those that the watermarks refer to, and begins what must
    /// be copied: first copies, and tables whose log can't be vouched for any more.
    async fn adopt(&mut self, generations: &Generations) -> Result<()> {
        if !self.standing.writes_rows() {
            return Ok(());
        }
        for (label, generation) in generations {
            let Some(tracked) = self.tables.get(label) else { continue };
            let Some(plan) = tracked.plan.clone() else { continue };
            match generation {
                Err(error) => self.stop_table(label, &error.to_string()).await?,
                Ok(generation) => {
                    let origin = self.pair.origin(&plan, generation);
                    let doubt = tracked.doubt(&origin);
                    if tracked.state == TableState::Stopped {
                        self.pair.ledger.resume(label).await?;
                        self.read_ledger().await?;
                    }
                    if let Some(why) = doubt {
                        self.begin_copy(label, generation, why).await?;
                    }
                }
            }
        }
        self.read_ledger().await
    }

    /// Begins the copy of a table: the first one (no reason), or a full resync. Cutting a large table into chunks
    /// takes a while: that is a job.
    async fn begin_copy(&mut self, label: &str, generation: &str, why: Option<String>) -> Result<()> {
        let Some(plan) = self.tables.get(label).and_then(|t| t.plan.clone()) else { return Ok(()) };
        self.check_may_copy(label, why.as_deref().unwrap_or("nothing of it is copied yet"))?;
        if let Some(why) = &why {
            tracing::warn!(database = %self.pair.database.name, table = label, reason = %why, "full resync");
            self.pair.ledger.event(&format!("{label}: full resync: {why}")).await?;
        }
        if let Some(tracked) = self.tables.get_mut(label) {
            tracked.job = Doing::BeginCopy;
        }
        let (pair, generation) = (self.pair.clone(), generation.to_string());
        self.spawn(label, async move {
            copy::begin(&pair, &plan, &generation, why.as_deref()).await?;
            Ok(Done::Begun)
        });
        Ok(())
    }

    /// The fence waits for nothing that is copied (docs/how-it-works.md, "the fence goes up last").
    fn check_may_copy(&self, label: &str, why: &str) -> Result<()> {
        let Some(forbidden) = self.standing.forbids(Task::BeginCopies) else { return Ok(()) };
        let what = format!("{label}: it needs a copy ({why}), and none begins now: {forbidden}");
        Err(Error::new(Kind::NotConverged, what)
            .remedy("let `highwater run` copy it, then `highwater final-sync --fence` again"))
    }

    async fn start_jobs(&mut self) -> Result<()> {
        if !self.standing.writes_rows() {
            return Ok(());
        }
        let now = Instant::now();
        self.start_define(now);
        let mut replaying =
            self.tables.values().filter(|t| t.is_busy() && t.state.allows() == Work::Replay).count();
        let most = self.pair.replay_jobs();
        let one_shot = matches!(self.goal, Goal::Reach(_));
        let mut due: Vec<String> = self
            .tables
            .iter()
            .filter(|(label, t)| t.is_free(now) && !self.has_reached(label))
            .map(|(label, _)| label.clone())
            .collect();
        // Whoever waited longest comes first: else tables that are always dirty would take every place.
        due.sort_by_key(|label| self.tables.get(label).map(|t| t.pass_at));
        let dirty = self.poll(&due).await?;
        self.dirty = !dirty.is_empty();
        for label in due {
            let Some(tracked) = self.tables.get_mut(&label) else { continue };
            let retry = tracked.parked > 0 && tracked.retry_at <= now;
            match tracked.state.allows() {
                Work::Copy | Work::Resync => self.start_copy(&label).await?,
                Work::Replay if replaying < most => {
                    let pass = tracked.pass_at <= now || (one_shot && tracked.parked == 0);
                    let is_dirty = dirty.contains(&label);
                    if tracked.is_to_look_up(is_dirty) {
                        self.start_look_up(&label);
                    } else if is_dirty || pass {
                        tracked.pass_at = now + PASS;
                        self.start_drain(&label);
                    } else if retry {
                        self.start_retry(&label);
                    } else {
                        continue;
                    }
                    replaying += 1;
                }
                Work::Replay | Work::Nothing => {}
            }
        }
        Ok(())
    }

    async fn start_copy(&mut self, label: &str) -> Result<()> {
        let Some(plan) = self.tables.get(label).and_then(|t| t.plan.clone()) else { return Ok(()) };
        if self.waits_for(&plan).is_some() {
            return Ok(());
        }
        self.check_may_copy(label, "its copy is not finished")?;
        let Some(entry) = self.pair.ledger.table(label).await? else { return Ok(()) };
        if entry.origin.is_none() {
            return Ok(());
        }
        let Some(tracked) = self.tables.get_mut(label) else { return Ok(()) };
        tracked.job = Doing::Work;
        let copying =
            copy::table(self.pair.clone(), plan, entry, self.chunk_permits.clone(), self.stop.clone());
        self.spawn(label, async move { copying.await.map(|_| Done::Copied) });
        Ok(())
    }

    /// A table that the rule of this one looks up and whose rows are not all there yet.
    fn waits_for<'a>(&self, plan: &'a TablePlan) -> Option<&'a str> {
        let missing = |label: &&String| self.tables.get(*label).is_some_and(|t| !t.can_be_looked_up());
        plan.looks_up.iter().find(missing).map(String::as_str)
    }

    /// Why the copy of a table can't go on, where that takes a person: what it looks up stopped before its copy.
    fn waits_for_stopped(&self, tracked: &Tracked) -> Option<String> {
        if !matches!(tracked.state.allows(), Work::Copy | Work::Resync) {
            return None;
        }
        let other = self.waits_for(tracked.plan.as_ref()?)?;
        let stopped = self.tables.get(other).is_some_and(|t| t.state == TableState::Stopped);
        stopped.then(|| format!("its rule looks up {other}, which stopped before it was copied"))
    }

    fn replay(&mut self, label: &str) -> Option<(Replay, Watermark)> {
        let tracked = self.tables.get_mut(label)?;
        let replay =
            Replay { pair: self.pair.clone(), table: tracked.plan.clone()?, origin: tracked.origin.clone()? };
        let from = tracked.watermark.clone()?;
        tracked.begins(Instant::now());
        Some((replay, from))
    }

    fn start_drain(&mut self, label: &str) {
        let Some((replay, from)) = self.replay(label) else { return };
        let stop = self.stop.clone();
        self.spawn(label, async move { Ok(Done::Drained(replay.drain(from, stop).await?.watermark)) });
    }

    fn start_retry(&mut self, label: &str) {
        let Some((replay, watermark)) = self.replay(label) else { return };
        self.spawn(label, async move { replay.retry(watermark).await.map(|_| Done::Retried) });
    }

    fn start_look_up(&mut self, label: &str) {
        let Some((replay, watermark)) = self.replay(label) else { return };
        self.spawn(label, async move { replay.look_up_again(watermark).await.map(|_| Done::LookedUp) });
    }

    fn spawn(&mut self, label: &str, job: impl Future<Output = Result<Done>> + Send + 'static) {
        let label = label.to_string();
        self.jobs.spawn(async move { (Job::Table(label), job.await) });
    }

    /// Starts a job that is about no single table, unless one of its kind runs.
    fn spawn_beside(&mut self, kind: Beside, job: impl Future<Output = Result<Done>> + Send + 'static) {
        if self.beside.insert(kind) {
            self.jobs.spawn(async move { (Job::Beside(kind), job.await) });
        }
    }

    async fn finish(&mut self, job: Job, done: Result<Done>) -> Result<()> {
        match job {
            Job::Table(label) => self.finish_table(&label, done).await,
            Job::Beside(kind) => {
                self.beside.remove(&kind);
                self.finish_beside(kind, done).await
            }
        }
    }

    async fn finish_beside(&mut self, kind: Beside, done: Result<Done>) -> Result<()> {
        match (kind, done) {
            (Beside::Define, done) => self.defined(done),
            (_, Ok(Done::Looked(look))) => self.looked(look).await,
            (_, Ok(Done::Resumable(labels))) => self.resume(&labels).await,
            (_, Ok(Done::Repaired(generations))) => self.adopt(&generations).await,
            // What is not known any more must not be shown as known: the caller connects again.
            (Beside::Look | Beside::LookAgain, done) => done.map(|_| ()),
            (Beside::Repair, done) => note_failure("capture can't be repaired now; tried again", done),
            (Beside::Purge, done) => note_failure("the change logs can't be purged now; tried again", done),
        }
    }

    async fn finish_table(&mut self, label: &str, done: Result<Done>) -> Result<()> {
        let now = Instant::now();
        let Some(tracked) = self.tables.get_mut(label) else { return Ok(()) };
        tracked.job = Doing::Nothing;
        match done {
            Ok(Done::Begun | Done::Copied) => self.read_ledger().await,
            Ok(Done::Drained(watermark)) => {
                tracked.drained(watermark, now);
                self.refresh_with_dependants(label).await
            }
            Ok(Done::LookedUp) => {
                tracked.looked_up();
                self.refresh_with_dependants(label).await
            }
            Ok(Done::Retried) => {
                tracked.retried(now, BACKOFF);
                self.refresh_with_dependants(label).await
            }
            Ok(Done::Looked(_) | Done::Resumable(_) | Done::Repaired(_) | Done::Purged | Done::Defined) => {
                Ok(())
            }
            Err(error) => self.failed(label, error).await,
        }
    }

    async fn failed(&mut self, label: &str, error: Error) -> Result<()> {
        metrics::error(error.kind());
        match error.policy() {
            Policy::Refuse | Policy::End => Err(error),
            Policy::StopTable => self.stop_table(label, &error.to_string()).await,
            Policy::Reload => {
                let verdicts = self.pair.sides.source.inspect(&self.pair.plan).await?;
                let generation = verdicts.into_iter().find(|v| v.label == label).and_then(|v| v.generation);
                if let Some(generation) = generation {
                    self.begin_copy(label, &generation, Some(error.summary())).await?;
                }
                self.read_ledger().await
            }
            Policy::Retry => {
                tracing::warn!(database = %self.pair.database.name, table = label, error = %error.summary(), "tried again");
                if let Some(tracked) = self.tables.get_mut(label) {
                    tracked.failed(Instant::now(), BACKOFF);
                }
                // Whether our commit was lost or only its answer, the ledger knows.
                self.read_ledger().await
            }
        }
    }

    async fn stop_table(&mut self, label: &str, reason: &str) -> Result<()> {
        let news = self.tables.get(label).is_none_or(|t| t.state != TableState::Stopped);
        if news {
            tracing::error!(database = %self.pair.database.name, table = label, reason, "table stopped");
            self.pair.ledger.event(&format!("{label}: stopped: {reason}")).await?;
        }
        self.pair.ledger.stop(label, reason).await?;
        if let Some(tracked) = self.tables.get_mut(label) {
            tracked.stopped(Instant::now(), (LOOK_AGAIN, LOOK_AGAIN * 60));
        }
        self.read_ledger().await
    }

    /// What a table's job changed may have made rows of those stale that look it up.
    async fn refresh_with_dependants(&mut self, label: &str) -> Result<()> {
        self.refresh(label).await?;
        let plan = self.tables.get(label).and_then(|t| t.plan.as_ref());
        let dependants: Vec<String> =
            plan.iter().flat_map(|p| p.dependants.iter().map(|d| d.label.clone())).collect();
        for dependant in dependants {
            self.refresh(&dependant).await?;
        }
        Ok(())
    }

    /// Takes over what the ledger says of one table that no job holds.
    async fn refresh(&mut self, label: &str) -> Result<()> {
        let Some(entry) = self.pair.ledger.table(label).await? else { return Ok(()) };
        if let Some(tracked) = self.tables.get_mut(label) {
            tell_parked(&self.pair.database.name, tracked.parked, &entry);
            tracked.take(&entry);
        }
        self.pair.board.update(|status| status.take_table(&entry));
        Ok(())
    }
}

/// A job that is not about one table failed: it will be started again.
fn note_failure(what: &str, done: Result<Done>) -> Result<()> {
    match done {
        Err(error) if error.ends_work() => Err(error),
        Err(error) => {
            metrics::error(error.kind());
            tracing::warn!(error = %error.summary(), "{what}");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Says so where more rows are parked than before.
fn tell_parked(database: &str, before: u64, entry: &TableEntry) {
    if entry.parked > before {
        tracing::warn!(database, table = %entry.label, rows = entry.parked, "rows are parked: `highwater status` shows why");
    }
}
