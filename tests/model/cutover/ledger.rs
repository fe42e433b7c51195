//! Staging: its rows, and the ledger that says what may be done with them. Each method that changes it is
//! one target transaction.

use super::source::Attempt;
use super::{Rule, Rules};

/// Who holds the lease: grows each time it is taken. The nonce and the ledger's identity tell terms apart
/// that a restored ledger gives a second time, or brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    number: u8,
    nonce: u8,
    ledger: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Copying,
    Replaying,
    Upgrading,
    Final,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptState {
    Open,
    Final,
    Void,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableState {
    Copying,
    Replaying,
}

/// Rows that one transaction writes, with what was read for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowAct {
    /// The watermark that stood.
    pub from: u8,
    /// The changes that the states have in them.
    pub to: u8,
    /// The last chunk of a copy, not a batch of replay.
    pub copies: bool,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transition {
    /// The table's last chunk is done.
    EndCopy,
    /// Every table's copy is done.
    BeginReplay,
    /// The table is copied again, as its change log may have missed something. Its watermark is the
    /// extent before that.
    BeginResync(u8),
    BeginUpgrade,
    EndUpgrade,
    /// An attempt begins, after the last one that was seen.
    Open {
        last: Attempt,
        attempt: Attempt,
    },
    /// The attempt ends well, with all tables drained to its barrier.
    RecordFinal {
        attempt: Attempt,
        barrier: u8,
    },
    /// The attempt is given up.
    Void(Attempt),
    /// The explicit command, for the attempt that it showed.
    Lift(Attempt),
}

/// A transition on its way, with the term that its sender had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub term: Term,
    pub transition: Transition,
}

/// The target database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    pub term: Term,
    pub phase: Phase,
    /// The last attempt, and how it stands.
    pub attempt: Attempt,
    pub state: AttemptState,
    pub table: TableState,
    pub watermark: u8,
    /// How many changes are known to be in the rows.
    pub rows: u8,
}

impl Target {
    /// The lease was never taken. Nothing is copied yet, or all of it.
    pub fn new(is_copied: bool) -> Target {
        Target {
            term: Term { number: 0, nonce: 0, ledger: 0 },
            phase: if is_copied { Phase::Replaying } else { Phase::Copying },
            attempt: 0,
            state: AttemptState::Void,
            table: if is_copied { TableState::Replaying } else { TableState::Copying },
            watermark: 1,
            rows: u8::from(is_copied),
        }
    }

    /// Whether the copy of the table has done its last chunk.
    pub fn has_copied(&self) -> bool {
        self.rows >= self.watermark
    }

    /// This ledger as a restore brings it back. The term names the ledger that it was taken in, which no
    /// backup has.
    pub fn restored(self, rules: Rules) -> Target {
        let of_old = !rules.has(Rule::TermIsOfItsLedger);
        let term = if of_old { self.term } else { Term { ledger: self.term.ledger + 1, ..self.term } };
        Target { term, ..self }
    }

    /// Whether changes are replayed.
    pub fn replays(&self) -> bool {
        self.phase == Phase::Replaying && self.table == TableState::Replaying
    }

    /// Whether the last attempt is recorded as final.
    pub fn is_final(&self) -> bool {
        self.state == AttemptState::Final
    }

    /// Whether every table is drained to the barrier.
    pub fn has_reached(&self, barrier: u8) -> bool {
        self.replays() && self.watermark >= barrier
    }

    /// Takes the lease; attempts that are open are of earlier terms.
    pub fn take_lease(&mut self, rules: Rules, nonce: u8) -> Term {
        self.term = Term { number: self.term.number + 1, nonce, ..self.term };
        if self.state == AttemptState::Open && rules.has(Rule::TakeoverVoids) {
            self.state = AttemptState::Void;
        }
        self.term
    }

    /// Writes rows, unless the phase, the table's state or the watermark is another one. Returns whether.
    pub fn write_rows(&mut self, act: RowAct) -> bool {
        let fits = match (self.phase, self.table) {
            (Phase::Copying | Phase::Replaying, TableState::Copying) => {
                act.copies && act.to >= self.watermark
            }
            (Phase::Replaying, TableState::Replaying) => !act.copies && act.from == self.watermark,
            _ => false,
        };
        if fits && act.copies {
            self.rows = act.to;
        } else if fits {
            // A batch has the changes beyond its watermark only.
            self.rows = if self.rows >= act.from { act.to } else { self.rows };
            self.watermark = act.to;
        }
        fits
    }

    /// Carries a transition out, unless it is refused. Returns whether.
    pub fn carry_out(&mut self, rules: Rules, request: Request) -> bool {
        if !self.allows(rules, request) {
            return false;
        }
        match request.transition {
            Transition::EndCopy => self.table = TableState::Replaying,
            Transition::BeginReplay | Transition::EndUpgrade => self.phase = Phase::Replaying,
            Transition::BeginResync(extent) => {
                (self.table, self.watermark, self.rows) = (TableState::Copying, extent, 0);
            }
            Transition::BeginUpgrade => self.phase = Phase::Upgrading,
            Transition::Open { attempt, .. } => self.set(attempt, AttemptState::Open),
            Transition::RecordFinal { attempt, .. } => {
                self.set(attempt, AttemptState::Final);
                self.phase = Phase::Final;
            }
            Transition::Void(attempt) => self.set(attempt, AttemptState::Void),
            Transition::Lift(attempt) => {
                self.set(attempt, AttemptState::Void);
                self.phase = if self.phase == Phase::Final { Phase::Replaying } else { self.phase };
            }
        }
        true
    }

    fn set(&mut self, attempt: Attempt, state: AttemptState) {
        (self.attempt, self.state) = (attempt, state);
    }

    fn allows(&self, rules: Rules, request: Request) -> bool {
        let voids = matches!(request.transition, Transition::Void(_));
        let is_holders = voids || request.term == self.term || !rules.has(Rule::TermIsHeld);
        let begins_copy = matches!(request.transition, Transition::BeginResync(_));
        let is_fenced = begins_copy && self.state == AttemptState::Open;
        let fits = !rules.has(Rule::ExpectedState) || self.is_legal(request.transition);
        let is_drained = match request.transition {
            Transition::RecordFinal { barrier, .. } if rules.has(Rule::WatermarkIsAsserted) => {
                self.has_reached(barrier)
            }
            _ => true,
        };
        is_holders && fits && is_drained && !(is_fenced && rules.has(Rule::NoCopyUnderFence))
    }

    /// Whether the states are those from which the transition leads.
    fn is_legal(&self, transition: Transition) -> bool {
        let replays = self.replays();
        let is_this = |attempt, state| self.attempt == attempt && self.state == state;
        match transition {
            Transition::EndCopy => self.table == TableState::Copying,
            Transition::BeginReplay => self.phase == Phase::Copying && self.table == TableState::Replaying,
            Transition::BeginResync(_) => replays,
            Transition::BeginUpgrade => replays && self.state == AttemptState::Void,
            Transition::EndUpgrade => self.phase == Phase::Upgrading,
            Transition::Open { last, .. } => replays && is_this(last, AttemptState::Void),
            Transition::RecordFinal { attempt, .. } => is_this(attempt, AttemptState::Open),
            Transition::Void(attempt) => is_this(attempt, AttemptState::Open),
            Transition::Lift(attempt) => {
                self.attempt < attempt && self.state == AttemptState::Void
                    || is_this(attempt, AttemptState::Final)
            }
        }
    }
}
