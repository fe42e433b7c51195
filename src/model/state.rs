//! Where a database and each of its tables stand. Both are kept in the ledger.

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
    /// Every table is copied; what production writes is replayed.
    Replaying,
    /// The target's schema is being upgraded; nothing is written to its tables meanwhile, and the change
    /// log is kept.
    Upgrading,
    /// The source is fenced and the target is equal to it.
    Final,
}

/// Where a table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// Planned; nothing of it is copied.
    Waiting,
    /// Its chunks are being copied into an empty table.
    Copying,
    /// Copied once, then found doubtful: its chunks are made equal to the source again.
    Reloading,
    /// Copied; changes are replayed.
    Replaying,
    /// It can't go on as it is; the reason stands beside the state. Looked at again from time to time.
    Stopped,
}

impl TableState {
    /// Every state, for the metric.
    pub const ALL: [TableState; 5] = [
        TableState::Waiting,
        TableState::Copying,
        TableState::Reloading,
        TableState::Replaying,
        TableState::Stopped,
    ];

    /// The state's name in the ledger, metrics and output.
    pub fn name(self) -> &'static str {
        match self {
            TableState::Waiting => "waiting",
            TableState::Copying => "copying",
            TableState::Reloading => "reloading",
            TableState::Replaying => "replaying",
            TableState::Stopped => "stopped",
        }
    }

    /// What may be done with a table in this state.
    pub fn allows(self) -> Work {
        match self {
            TableState::Waiting | TableState::Copying => Work::Copy,
            TableState::Reloading => Work::Reload,
            TableState::Replaying => Work::Replay,
            TableState::Stopped => Work::Nothing,
        }
    }
}

/// The work that a table's state allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Chunks into a table that was empty when the copy began.
    Copy,
    /// Chunks made equal in place, then rows that the source lacks removed.
    Reload,
    /// Batches and retries.
    Replay,
    /// Nothing until the reason is gone.
    Nothing,
}

impl Phase {
    /// Every phase, for the metric.
    pub const ALL: [Phase; 4] = [Phase::Copying, Phase::Replaying, Phase::Upgrading, Phase::Final];

    /// Whether rows are written to the target's tables.
    pub fn writes_rows(self) -> bool {
        match self {
            Phase::Copying | Phase::Replaying => true,
            Phase::Upgrading | Phase::Final => false,
        }
    }

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

impl FromStr for TableState {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        TableState::ALL
            .into_iter()
            .find(|s| s.name() == name)
            .ok_or_else(|| Error::failed(format!("`{name}` in the ledger is not a table's state")))
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

impl fmt::Display for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
