//! What both traits speak of: identities, logs, findings, fences, definitions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{Finding, TableName, TablePlan, Watermark};

/// Which database this is, and which life of it. Another one under the same URL is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The database itself: on PostgreSQL the cluster's system identifier and the database's oid, on
    /// MySQL and SQLite the random id that capture leaves in it, before that the server's data folder and
    /// the database's name, and the file's device and inode.
    pub database: String,
    /// Its life: on PostgreSQL the timeline, which a failover or a restore to a point in time changes;
    /// on servers that don't tell how far they have flushed, the moment they were started.
    pub life: String,
    /// The server's version, to be shown.
    pub version: String,
}

/// What makes a read of the change log trustworthy: whose log it is, and since when it is unbroken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The source that the log belongs to.
    pub identity: Identity,
    /// Changes whenever the log of this table may have missed something.
    pub generation: String,
    /// The [`TablePlan::shape`] under which its rows were copied; engines don't look at it.
    pub shape: String,
}

/// A table with how far its log is applied, and the log this is about.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// The table.
    pub table: &'a TablePlan,
    /// What is applied.
    pub watermark: &'a Watermark,
    /// The log it refers to.
    pub origin: &'a Origin,
}

/// How much one read may take. The first row always fits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Log entries.
    pub rows: u64,
    /// Bytes of states.
    pub bytes: u64,
}

/// What is waiting in one table's log.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Lag {
    /// Log entries that the watermark does not cover; counting stops at [`Lag::MOST`].
    pub rows: u64,
    /// Age of the oldest of them in seconds, by the source's clock; 0 when there is none.
    pub seconds: f64,
}

impl Lag {
    /// Where counting stops.
    pub const MOST: u64 = 100_000;
}

/// How far behind the tables are, measured at one moment.
#[derive(Debug, Clone)]
pub struct Measures {
    /// One per table asked about, in that order; `None` where its log can't be measured.
    pub lags: Vec<Option<Lag>>,
    /// The age of the oldest open transaction on the source, in seconds; `None` when it can't be seen.
    pub oldest_transaction: Option<f64>,
    /// The source's clock, seconds since 1970.
    pub now: f64,
}

/// What the capture check found about one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The table's label.
    pub label: String,
    /// What [`Source::install`](super::Source::install) would register now; `None` when nothing is installed.
    pub generation: Option<String>,
    /// What is wrong, if anything.
    pub fault: Option<Fault>,
}

/// What is wrong with the capture of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// [`Source::install`](super::Source::install) mends it; the generation then says whether the table must be copied anew.
    Mend(String),
    /// Only a person can mend it.
    Stop {
        /// What was found.
        what: String,
        /// What to do.
        remedy: String,
    },
}

/// A session on the source that has a transaction open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Writer {
    /// Identifies the transaction while it is open.
    pub id: String,
    /// Who it is and since when, for people.
    pub who: String,
}

/// The number of a cutover attempt; it never repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// The epoch it belongs to.
    pub epoch: i64,
    /// Even, and greater than every number that either side has seen: attempt n is lowered by n + 1.
    pub attempt: i64,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.attempt)
    }
}

/// The fence as the source has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fence {
    /// Whether writers are refused.
    pub raised: bool,
    /// The greatest number that it has seen: of the attempt that raised it last, or of its lowering.
    pub stamp: Stamp,
}

/// What became of a fence that was to be lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lowered {
    /// It was up, or might have been, and is down now.
    Down,
    /// It was down already, and no late request of that attempt can raise it any more.
    WasDown,
    /// It stands under a later attempt, and was left alone.
    Another(Stamp),
}

/// A sequence, identity or AUTO_INCREMENT counter of the target, by a carried column that it feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceUse {
    /// The sequence; of a counter its table.
    pub sequence: TableName,
    /// The table of the column.
    pub table: TableName,
    /// The column.
    pub column: String,
    /// What it would give next.
    pub next: i128,
    /// The farthest value in the column, in the direction in which it counts; `None` of an empty table.
    pub farthest: Option<i128>,
    /// Whether it would give values that may be taken.
    pub is_behind: bool,
    /// The statement that moves it on.
    pub remedy: String,
}

impl SequenceUse {
    /// A whole number as a server writes it.
    ///
    /// # Errors
    /// When it is not one.
    pub(super) fn whole(text: Option<&str>) -> Result<Option<i128>> {
        let parse =
            |text: &str| text.parse().map_err(|_| Error::failed(format!("`{text}` is not a whole number")));
        text.map(parse).transpose()
    }
}

/// When a definition is made on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before the rows: types, tables, functions, sequences.
    Tables,
    /// Right after the rows: the index by which rows are found again.
    Key,
    /// Once the log is drained past the last chunk: other unique indexes.
    Unique,
    /// Then the rest: other indexes, foreign keys, views, triggers.
    Rest,
}

/// One statement that makes a part of the source's schema on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// When it is run.
    pub stage: Stage,
    /// The label of the table it belongs to, if it does.
    pub table: Option<String>,
    /// The statement.
    pub sql: String,
}

/// Blockers and warnings of one side.
#[derive(Debug, Default)]
pub struct Survey {
    /// What forbids the work.
    pub blockers: Vec<Finding>,
    /// What an operator should know.
    pub warnings: Vec<Finding>,
    /// How it will be done, where that depends on this side.
    pub notes: Vec<String>,
    /// What matters only beside the other side's, where an engine says it.
    pub manners: Option<Manners>,
}

/// Manners of a server in which both sides may differ.
#[derive(Debug, Clone)]
pub struct Manners {
    /// Whose server it is, in a word.
    pub maker: String,
    /// Whether the names of tables have no case.
    pub caseless: bool,
    /// The largest row that it takes, in bytes.
    pub largest_row: u64,
    /// How that is raised, given the bytes.
    pub raise: fn(u64) -> String,
}

/// An argument of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// Text or NULL.
    Text(Option<String>),
    /// A whole number.
    Integer(i64),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Arg::Text(Some(text.to_string()))
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Arg::Text(Some(text))
    }
}

impl From<Option<String>> for Arg {
    fn from(text: Option<String>) -> Self {
        Arg::Text(text)
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Arg::Integer(number)
    }
}
