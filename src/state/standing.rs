//! Where a database stands: its phase and its last cutover attempt, and what that allows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where a database stands on the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Tables are being copied for the first time.
    Copying,
    /// Every table is copied or stopped; what production writes is replayed.
    Replaying,
    /// The target's schema is being upgraded; nothing is written to its tables, and the change log is kept.
    Upgrading,
    /// The source is fenced and the target is equal to it.
    Final,
}

/// How the last cutover attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptState {
    /// Under way; the fence may be up.
    Open,
    /// It ended with the target equal to the fenced source.
    Final,
    /// It may never be used again, or there was none: its fence may be lowered.
    Void,
}

/// Where a database stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its phase.
    pub phase: Phase,
    /// Its last cutover attempt.
    pub attempt: AttemptState,
}

/// What may happen to the standing of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// No first copy is left.
    EndCopies,
    /// The upgrade of the target's schema begins.
    BeginUpgrade,
    /// The upgrade is done; rows were copied before it, or are to be copied now.
    EndUpgrade {
        /// Whether rows were copied before.
        copied: bool,
    },
    /// A cutover attempt begins.
    OpenAttempt,
    /// The attempt ends: the target is equal to the fenced source.
    Finish,
    /// The attempt is given up, or a final one is taken back.
    VoidAttempt,
}

/// What a command or the loop wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Plan by the schemas as they are, register tables, make missing ones.
    Prepare,
    /// Install or repair capture on the source.
    Capture,
    /// Copy, replay, retry: write rows of the target.
    WriteRows,
    /// Begin a first copy or a full resync.
    BeginCopies,
    /// Make indexes, keys, views on the target.
    Define,
    /// Remove entries from the change logs.
    Purge,
    /// Remove everything of the migration.
    Clean,
}

impl Standing {
    /// The standing after `transition`. All legal transitions of a database are in this match.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when it is not legal: the standing was changed by another
    /// process.
    pub fn after(self, transition: Transition) -> Result<Standing> {
        use AttemptState as A;
        use Phase as P;
        use Transition as T;
        let (phase, attempt) = match (transition, self.phase, self.attempt) {
            (T::EndCopies, P::Copying, A::Void) => (P::Replaying, A::Void),
            (T::BeginUpgrade, P::Copying | P::Replaying, A::Void) => (P::Upgrading, A::Void),
            (T::EndUpgrade { copied: true }, P::Upgrading, A::Void) => (P::Replaying, A::Void),
            (T::EndUpgrade { copied: false }, P::Upgrading, A::Void) => (P::Copying, A::Void),
            (T::OpenAttempt, P::Replaying, A::Void) => (P::Replaying, A::Open),
            (T::Finish, P::Replaying, A::Open) => (P::Final, A::Final),
            (T::VoidAttempt, P::Replaying, A::Open | A::Void) => (P::Replaying, A::Void),
            (T::VoidAttempt, P::Final, A::Final) => (P::Replaying, A::Void),
            (T::VoidAttempt, P::Copying | P::Upgrading, A::Void) => (self.phase, A::Void),
            (T::EndCopies | T::BeginUpgrade | T::EndUpgrade { .. }, _, _)
            | (T::OpenAttempt | T::Finish | T::VoidAttempt, _, _) => {
                return Err(Error::superseded(format!("a database that is {self} can't {transition}")));
            }
        };
        Ok(Standing { phase, attempt })
    }

    /// Whether rows are written to the target's tables: it is neither the upgrade's nor the application's.
    pub fn writes_rows(self) -> bool {
        self.forbids(Task::WriteRows).is_none()
    }

    /// Whether a first copy or a full resync may begin.
    pub fn begins_copies(self) -> bool {
        self.forbids(Task::BeginCopies).is_none()
    }

    /// Why `task` may not be done now; `None` where it may.
    pub fn forbids(self, task: Task) -> Option<&'static str> {
        match (task, self.phase) {
            (
                Task::Prepare | Task::Capture | Task::WriteRows | Task::Purge,
                Phase::Copying | Phase::Replaying,
            ) => None,
            (Task::BeginCopies | Task::Define | Task::Clean, Phase::Copying | Phase::Replaying) => {
                (self.attempt == AttemptState::Open)
                    .then_some("a cutover attempt is under way, and the fence may be up")
            }
            (Task::Clean | Task::Capture, Phase::Upgrading) => None,
            (_, Phase::Upgrading) => Some("the schema of its target is being upgraded"),
            (_, Phase::Final) => Some("it is final: its target may be in use by the application"),
        }
    }
}

impl Phase {
    /// Every phase, for the metric.
    pub const ALL: [Phase; 4] = [Phase::Copying, Phase::Replaying, Phase::Upgrading, Phase::Final];

    /// The phase's name in the ledger and output.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Copying => "copying",
            Phase::Replaying => "replaying",
            Phase::Upgrading => "upgrading",
            Phase::Final => "final",
        }
    }
}

impl AttemptState {
    /// Every state.
    const ALL: [AttemptState; 3] = [AttemptState::Open, AttemptState::Final, AttemptState::Void];

    /// The state's name in the ledger and output.
    pub fn name(self) -> &'static str {
        match self {
            AttemptState::Open => "open",
            AttemptState::Final => "final",
            AttemptState::Void => "void",
        }
    }
}

impl FromStr for Phase {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Phase::ALL
            .into_iter()
            .find(|p| p.name() == name)
            .ok_or_else(|| Error::failed(format!("`{name}` in the ledger is not a phase")))
    }
}

impl FromStr for AttemptState {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        AttemptState::ALL
            .into_iter()
            .find(|s| s.name() == name)
            .ok_or_else(|| Error::failed(format!("`{name}` in the ledger is not the state of an attempt")))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.phase)?;
        match self.attempt {
            AttemptState::Open => f.write_str(" with an open cutover attempt"),
            AttemptState::Final | AttemptState::Void => Ok(()),
        }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transition::EndCopies => "end its first copies",
            Transition::BeginUpgrade => "begin an upgrade",
            Transition::EndUpgrade { .. } => "end an upgrade",
            Transition::OpenAttempt => "open a cutover attempt",
            Transition::Finish => "become final",
            Transition::VoidAttempt => "make its cutover attempt void",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPTS: [AttemptState; 3] = AttemptState::ALL;

    fn all() -> impl Iterator<Item = Standing> {
        Phase::ALL
            .into_iter()
            .flat_map(|phase| ATTEMPTS.into_iter().map(move |attempt| Standing { phase, attempt }))
    }

    #[test]
    fn final_is_reached_from_an_open_attempt_only_and_left_by_making_it_void_only() {
        for from in all() {
            for transition in [
                Transition::EndCopies,
                Transition::BeginUpgrade,
                Transition::EndUpgrade { copied: true },
                Transition::EndUpgrade { copied: false },
                Transition::OpenAttempt,
                Transition::Finish,
                Transition::VoidAttempt,
            ] {
                let Ok(to) = from.after(transition) else { continue };
                if to.phase == Phase::Final {
                    assert_eq!((from.attempt, transition), (AttemptState::Open, Transition::Finish));
                }
                if from.phase == Phase::Final {
                    assert_eq!(transition, Transition::VoidAttempt);
                }
                assert_eq!(
                    to.phase == Phase::Final,
                    to.attempt == AttemptState::Final,
                    "{from} {transition}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_copied_or_defined_under_an_open_attempt() {
        for standing in all().filter(|s| s.attempt == AttemptState::Open) {
            assert!(standing.forbids(Task::BeginCopies).is_some());
            assert!(standing.forbids(Task::Define).is_some());
        }
    }
}
