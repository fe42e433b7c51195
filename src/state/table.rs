//! Where a table stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::error::{Error, Result};

/// Where a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// Planned; nothing of it is copied.
    Waiting,
    /// Its chunks are being copied into an empty table.
    Copying,
    /// Copied once, then found doubtful: its chunks are made equal to the source again (a full resync).
    Resyncing,
    /// Copied; changes are replayed.
    Replaying,
    /// It can't go on as it is; the reason is kept beside the state. Looked at again from time to time.
    Stopped,
}

/// What may happen to the state of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableTransition {
    /// Its first copy begins.
    BeginCopy,
    /// A full resync begins.
    BeginResync,
    /// Its last chunk is done.
    EndCopy,
    /// It stops for a reason.
    Stop,
    /// The reason is gone: it goes on where it was.
    Resume,
}

impl TableState {
    /// Every state, for the metric.
    pub const ALL: [TableState; 5] = [
        TableState::Waiting,
        TableState::Copying,
        TableState::Resyncing,
        TableState::Replaying,
        TableState::Stopped,
    ];

    /// The state's name in the ledger, metrics and output.
    pub fn name(self) -> &'static str {
        match self {
            TableState::Waiting => "waiting",
            TableState::Copying => "copying",
            TableState::Resyncing => "resyncing",
            TableState::Replaying => "replaying",
            TableState::Stopped => "stopped",
        }
    }

    /// What may be done with a table in this state.
    pub fn allows(self) -> Work {
        match self {
            TableState::Waiting | TableState::Copying => Work::Copy,
            TableState::Resyncing => Work::Resync,
            TableState::Replaying => Work::Replay,
            TableState::Stopped => Work::Nothing,
        }
    }

    /// Whether all of the table's rows were copied once. For a stopped table ask the state before.
    pub fn is_copied(self) -> bool {
        match self {
            TableState::Resyncing | TableState::Replaying => true,
            TableState::Waiting | TableState::Copying | TableState::Stopped => false,
        }
    }

    /// The state after `transition`, which a table in this state (`before` it stopped, if it did) of a database
    /// that stands at `standing` goes through. All legal transitions of a table are in this match.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when it is not legal: the state was changed by another process.
    pub fn after(
        self,
        transition: TableTransition,
        before: TableState,
        standing: Standing,
    ) -> Result<TableState> {
        use TableState as S;
        use TableTransition as T;
        let to = match (transition, self) {
            (T::BeginCopy, S::Waiting) if standing.begins_copies() => S::Copying,
            (T::BeginResync, S::Copying | S::Resyncing | S::Replaying) if standing.begins_copies() => {
                S::Resyncing
            }
            (T::EndCopy, S::Copying | S::Resyncing) if standing.writes_rows() => S::Replaying,
            (T::Stop, S::Waiting | S::Copying | S::Resyncing | S::Replaying | S::Stopped)
                if standing.writes_rows() =>
            {
                S::Stopped
            }
            (T::Resume, S::Stopped) if standing.writes_rows() => before,
            (T::BeginCopy, _) | (T::BeginResync, _) | (T::EndCopy, _) | (T::Stop, _) | (T::Resume, _) => {
                return Err(Error::superseded(format!(
                    "a table that is {self} can't {transition} while its database is {standing}"
                )));
            }
        };
        Ok(to)
    }
}

/// The work that a table's state allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Chunks into a table that was empty when the copy began.
    Copy,
    /// Chunks made equal in place, then rows that the source lacks removed.
    Resync,
    /// Batches and retries.
    Replay,
    /// Nothing until the reason is gone.
    Nothing,
}

impl FromStr for TableState {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        TableState::ALL
            .into_iter()
            .find(|s| s.name() == name)
            .ok_or_else(|| Error::failed(format!("`{name}` in the ledger is not a table's state")))
    }
}

impl fmt::Display for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TableTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableTransition::BeginCopy => "begin its first copy",
            TableTransition::BeginResync => "begin a full resync",
            TableTransition::EndCopy => "end its copy",
            TableTransition::Stop => "stop",
            TableTransition::Resume => "resume",
        })
    }
}
