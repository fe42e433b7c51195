//! Production: its changes, the fence on its change log, and requests that are still on their way.

use super::{Rule, Rules};

/// The number of an attempt: even; 0 before the first one. Lowering attempt n writes n + 1.
pub type Attempt = u8;

/// A set of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attempts(u8);

impl Attempts {
    #[must_use]
    pub fn with(self, attempt: Attempt) -> Attempts {
        Attempts(self.0 | 1 << (attempt / 2))
    }

    #[must_use]
    pub fn without(self, attempt: Attempt) -> Attempts {
        Attempts(self.0 & !(1 << (attempt / 2)))
    }

    pub fn has(self, attempt: Attempt) -> bool {
        self.0 & 1 << (attempt / 2) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Attempt> {
        (0..16).step_by(2).filter(move |&attempt| self.has(attempt))
    }

    pub fn highest(self) -> Attempt {
        self.iter().last().unwrap_or(0)
    }
}

/// The fence as one snapshot sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fence {
    /// The row: triggers of attempts below it let writers pass.
    pub stamp: u8,
    /// The attempts whose triggers have arrived on the change log.
    pub triggers: Attempts,
}

impl Fence {
    /// Whether the fence of `attempt` refuses writers.
    pub fn stands(self, attempt: Attempt) -> bool {
        self.triggers.has(attempt) && self.stamp <= attempt
    }

    /// Whether any fence refuses writers.
    pub fn refuses(self) -> bool {
        self.triggers.iter().any(|attempt| self.stands(attempt))
    }
}

/// A transaction of production's application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Writer {
    Idle,
    /// It has taken its snapshot and written nothing.
    Begun(Fence),
    /// It has written a row and its entry in the change log: it holds a lock on that.
    Written,
}

/// The source database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// How many changes are committed.
    pub changes: u8,
    pub writer: Writer,
    pub fence: Fence,
    /// The highest attempt number that was handed out here.
    reserved: Attempt,
    /// Raises that were sent and have not arrived: their senders may have died since.
    pub raises: Attempts,
    /// The same of lowers.
    pub lowers: Attempts,
}

impl Source {
    /// With one change, before any attempt.
    pub fn new() -> Source {
        Source {
            changes: 1,
            writer: Writer::Idle,
            fence: Fence::default(),
            reserved: 0,
            raises: Attempts::default(),
            lowers: Attempts::default(),
        }
    }

    /// The application writes: it is refused, or holds the log's lock until it ends. It sees triggers as
    /// they are, as any DDL, and rows as its snapshot has them.
    pub fn write(&mut self, rules: Rules, snapshot: Fence) {
        let triggers = if rules.has(Rule::FenceIsNoFlag) { self.fence.triggers } else { snapshot.triggers };
        let seen = Fence { triggers, ..snapshot };
        self.writer = if seen.refuses() { Writer::Idle } else { Writer::Written };
    }

    pub fn commit(&mut self) {
        self.changes += 1;
        self.writer = Writer::Idle;
    }

    /// Whether the application could change a row now, or has.
    pub fn is_open(&self) -> bool {
        !self.fence.refuses() || self.writer == Writer::Written
    }

    /// Hands out the number of an attempt, greater than those that either side knows.
    pub fn reserve(&mut self, rules: Rules, known_to_ledger: Attempt) -> Attempt {
        let seen = self.fence.triggers.highest().max(self.fence.stamp & !1).max(self.reserved);
        let attempt = 2 + seen.max(known_to_ledger);
        if rules.has(Rule::NumbersAreReserved) {
            self.reserved = attempt;
        }
        attempt
    }

    /// Whether a raise can arrive now: the DDL waits for those who have written the log.
    pub fn can_raise(&self, rules: Rules) -> bool {
        !rules.has(Rule::FenceIsNoFlag) || self.writer != Writer::Written
    }

    pub fn raise(&mut self, attempt: Attempt) {
        self.raises = self.raises.without(attempt);
        self.fence.triggers = self.fence.triggers.with(attempt);
    }

    pub fn lower(&mut self, rules: Rules, attempt: Attempt) {
        self.lowers = self.lowers.without(attempt);
        if !rules.has(Rule::LoweredByData) {
            self.fence.triggers = self.fence.triggers.without(attempt);
        } else if !rules.has(Rule::OwnStampOnly) {
            self.fence.stamp = self.fence.stamp.max(self.fence.triggers.highest() + 1);
        } else {
            self.fence.stamp = self.fence.stamp.max(attempt + 1);
        }
    }

    /// Whether a lower of `attempt` has arrived.
    pub fn is_lowered(&self, rules: Rules, attempt: Attempt) -> bool {
        if rules.has(Rule::LoweredByData) {
            self.fence.stamp > attempt
        } else {
            !self.lowers.has(attempt) && !self.fence.triggers.has(attempt)
        }
    }
}
