//! What the loop knows of one table between two looks at the ledger.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::{Origin, Watch};
use crate::ledger::TableEntry;
use crate::model::{Extent, Strategy, TablePlan, Watermark};
use crate::state::TableState;

/// A keyless table is read whole whenever something in it changed. It rests this many times as long as
/// that took, so that a busy one takes a fifth of the time at most.
const WHOLE_REST: u32 = 4;

/// What a job does with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// No job works on it.
    Nothing,
    /// A job begins its copy. Until that commits, the state is the one before.
    BeginCopy,
    /// A job copies, replays or retries.
    Work,
}

/// One table of the loop.
pub(super) struct Tracked {
    /// `None` when it can't be planned any more: it is stopped then.
    pub(super) plan: Option<TablePlan>,
    pub(super) state: TableState,
    /// Where it was before it stopped.
    before: TableState,
    pub(super) origin: Option<Origin>,
    pub(super) watermark: Option<Watermark>,
    pub(super) parked: u64,
    /// Entries of rows whose lookups may be stale.
    pub(super) requeued: u64,
    /// Whether those come next: they and what is dirty take turns.
    looks_up_next: bool,
    /// What a job does with it.
    pub(super) job: Doing,
    /// When an idle table's watermark is to be moved on.
    pub(super) pass_at: Instant,
    /// When parked rows are to be tried again.
    pub(super) retry_at: Instant,
    retries: u32,
    began: Instant,
    /// Whether its log was drained since it was copied, as far as this process knows.
    drained: bool,
    failures: u32,
    stops: u32,
    look_at: Instant,
    wait_until: Instant,
}

impl Tracked {
    pub(super) fn new(entry: &TableEntry, plan: Option<TablePlan>) -> Self {
        let now = Instant::now();
        let mut tracked = Tracked {
            plan,
            state: entry.state,
            before: entry.before,
            origin: None,
            watermark: None,
            parked: 0,
            requeued: 0,
            looks_up_next: false,
            job: Doing::Nothing,
            pass_at: now,
            retry_at: now,
            retries: 0,
            began: now,
            drained: false,
            failures: 0,
            stops: 0,
            look_at: now,
            wait_until: now,
        };
        tracked.take(entry);
        tracked
    }

    /// Takes over what the ledger says, unless a job is about to change it.
    pub(super) fn take(&mut self, entry: &TableEntry) {
        if self.is_busy() {
            return;
        }
        self.state = entry.state;
        self.before = entry.before;
        self.drained &= entry.state == TableState::Replaying;
        self.origin.clone_from(&entry.origin);
        self.watermark.clone_from(&entry.watermark);
        if self.parked == 0 || entry.parked == 0 {
            self.retries = 0;
        }
        self.parked = entry.parked;
        self.requeued = entry.requeued;
    }

    /// Why the table must be copied under `origin`: `None` it needn't; `Some(None)` for the first
    /// time; `Some(reason)` anew.
    pub(super) fn doubt(&self, origin: &Origin) -> Option<Option<String>> {
        let Some(known) = &self.origin else { return Some(None) };
        if known.identity.life != origin.identity.life {
            return Some(Some("the source was failed over or restored: commits may be lost".to_string()));
        }
        if known.shape != origin.shape {
            return Some(Some("its columns or key have changed".to_string()));
        }
        if known.generation != origin.generation {
            return Some(Some("its change log may have missed something".to_string()));
        }
        None
    }

    pub(super) fn watch(&self) -> Option<Watch<'_>> {
        if self.state != TableState::Replaying {
            return None;
        }
        Some(Watch {
            table: self.plan.as_ref()?,
            watermark: self.watermark.as_ref()?,
            origin: self.origin.as_ref()?,
        })
    }

    /// Whether nothing stale is left in it that a unique index would not take.
    pub(super) fn is_settled(&self) -> bool {
        self.drained || self.state == TableState::Stopped
    }

    /// Whether rules that look its rows up find them: not before its first copy has ended, which a table that
    /// stopped before never got to.
    pub(super) fn can_be_looked_up(&self) -> bool {
        match self.state {
            TableState::Replaying => true,
            TableState::Stopped => self.before.is_copied(),
            TableState::Waiting | TableState::Copying | TableState::Resyncing => false,
        }
    }

    /// Whether a job works on it.
    pub(super) fn is_busy(&self) -> bool {
        self.job != Doing::Nothing
    }

    pub(super) fn is_free(&self, now: Instant) -> bool {
        !self.is_busy() && self.wait_until <= now
    }

    /// A job begins to replay it.
    pub(super) fn begins(&mut self, now: Instant) {
        self.job = Doing::Work;
        self.began = now;
    }

    /// Whether stale lookups are what to do next, where something is dirty too or not.
    pub(super) fn is_to_look_up(&self, is_dirty: bool) -> bool {
        self.requeued > 0 && (self.looks_up_next || !is_dirty)
    }

    /// The job has looked up again.
    pub(super) fn looked_up(&mut self) {
        self.failures = 0;
        self.looks_up_next = false;
    }

    /// The job has replayed it as far as `watermark`.
    pub(super) fn drained(&mut self, watermark: Watermark, now: Instant) {
        self.watermark = Some(watermark);
        self.failures = 0;
        self.drained = true;
        self.looks_up_next = true;
        let whole = self.plan.as_ref().is_some_and(|p| p.strategy == Strategy::Whole);
        self.wait_until = if whole { now + (now - self.began) * WHOLE_REST } else { now };
    }

    pub(super) fn retried(&mut self, now: Instant, backoff: (Duration, Duration)) {
        self.retry_at = now + delay(self.retries, backoff);
        self.retries += 1;
    }

    pub(super) fn failed(&mut self, now: Instant, backoff: (Duration, Duration)) {
        self.wait_until = now + delay(self.failures, backoff);
        self.failures += 1;
    }

    pub(super) fn stopped(&mut self, now: Instant, backoff: (Duration, Duration)) {
        if self.state != TableState::Stopped {
            self.before = self.state;
        }
        self.state = TableState::Stopped;
        self.look_at = now + delay(self.stops, backoff);
        self.stops += 1;
    }

    pub(super) fn may_look_again(&self, now: Instant) -> bool {
        self.state == TableState::Stopped && !self.is_busy() && self.look_at <= now
    }

    /// Whether a one-shot command has nothing left to do here: stopped, or drained to the barrier with
    /// nothing parked or `rounds` retries in vain.
    pub(super) fn has_reached(&self, barrier: Option<&Extent>, rounds: u32) -> bool {
        match (self.state, &self.watermark, barrier) {
            (TableState::Stopped, ..) => true,
            (TableState::Replaying, Some(watermark), Some(barrier)) => {
                watermark.reaches(barrier)
                    && self.requeued == 0
                    && (self.parked == 0 || self.retries >= rounds)
            }
            _ => false,
        }
    }
}

/// Doubles from the first to the greatest wait.
fn delay(times: u32, (first, greatest): (Duration, Duration)) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times.min(16))).min(greatest)
}
