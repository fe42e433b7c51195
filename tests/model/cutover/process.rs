//! A process of highwater: what it has read and decided, in memory only.

use super::ledger::{AttemptState, Phase, Request, RowAct, TableState, Target, Term, Transition};
use super::source::{Attempt, Source};
use super::{Rule, Rules};

/// What a process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    Idle,
    /// Rows are read; the target transaction is next.
    Rows(RowAct),
    /// A transition is decided; the target transaction is next.
    Send(Request),
    /// Its attempt is in the ledger.
    Opened(Attempt),
    /// The raise is sent, and not answered.
    Raising(Attempt),
    /// The fence is up; the barrier is taken.
    Draining {
        attempt: Attempt,
        barrier: u8,
    },
    /// The same, with a batch read.
    DrainRows {
        attempt: Attempt,
        barrier: u8,
        act: RowAct,
    },
    /// The lower is sent, and not answered.
    Lowering {
        attempt: Attempt,
        then: Option<Transition>,
    },
    /// The ledger says that this attempt is final; the fence is looked at next.
    Telling(Attempt),
}

/// A process: it knows the term that it took, not whether that is still the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    pub term: Option<Term>,
    pub task: Task,
    /// The operator has given a command since that makes its report worthless.
    pub muted: bool,
}

impl Process {
    /// Without a lease; also one that has died and is started again.
    pub const NEW: Process = Process { term: None, task: Task::Idle, muted: false };

    /// The attempt that it may give up.
    pub fn attempt(&self) -> Option<Attempt> {
        match self.task {
            Task::Opened(attempt)
            | Task::Raising(attempt)
            | Task::Draining { attempt, .. }
            | Task::DrainRows { attempt, .. } => Some(attempt),
            _ => None,
        }
    }

    /// What is next for an idle process by what it reads in the ledger, apart from what
    /// it is asked to do.
    pub fn duty(rules: Rules, source: &Source, target: &Target) -> Option<Duty> {
        let attempt = target.attempt;
        match target.state {
            // Its process has died, or opened it without an answer.
            AttemptState::Open if rules.has(Rule::TakeoverVoids) => {
                return Some(Duty::Send(Transition::Void(attempt)));
            }
            AttemptState::Void if attempt > 0 && !source.is_lowered(rules, attempt) => {
                return Some(Duty::Lower(attempt));
            }
            _ => {}
        }
        match (target.phase, target.table) {
            (Phase::Final, _) => Some(Duty::Tell(attempt)),
            (Phase::Upgrading, _) => Some(Duty::Send(Transition::EndUpgrade)),
            (Phase::Copying | Phase::Replaying, TableState::Copying) if target.has_copied() => {
                Some(Duty::Send(Transition::EndCopy))
            }
            (Phase::Copying | Phase::Replaying, TableState::Copying) => Some(Duty::WriteRows),
            (Phase::Copying, TableState::Replaying) => Some(Duty::Send(Transition::BeginReplay)),
            (Phase::Replaying, TableState::Replaying) => {
                (target.watermark < source.changes).then_some(Duty::WriteRows)
            }
        }
    }

    /// What follows a transition whose answer came.
    pub fn after(rules: Rules, transition: Transition, is_done: bool, target: &Target) -> Task {
        match transition {
            Transition::Open { attempt, .. } if is_done => Task::Opened(attempt),
            Transition::RecordFinal { attempt, .. } if is_done => Task::Telling(attempt),
            // It may have been recorded by a request whose answer was lost.
            Transition::Void(attempt) if target.attempt == attempt && target.is_final() => {
                Task::Telling(attempt)
            }
            Transition::Lift(_) if !is_done => Task::Idle,
            Transition::Void(attempt) | Transition::Lift(attempt) if rules.has(Rule::StateBeforeFence) => {
                Task::Lowering { attempt, then: None }
            }
            _ => Task::Idle,
        }
    }

    /// How an attempt is given up, or a fence lowered by command.
    pub fn lower(rules: Rules, term: Term, transition: Transition) -> Task {
        match transition {
            Transition::Void(attempt) | Transition::Lift(attempt) if !rules.has(Rule::StateBeforeFence) => {
                Task::Lowering { attempt, then: Some(transition) }
            }
            _ => Task::Send(Request { term, transition }),
        }
    }
}

/// What an idle process does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    Send(Transition),
    /// Makes sure that nothing of this attempt holds writers up.
    Lower(Attempt),
    /// Says that the attempt ended well.
    Tell(Attempt),
    WriteRows,
}
