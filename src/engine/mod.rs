//! The seam: what every engine does, on either side. One place, [`source`] and [`target`], matches engines.
//!
//! Calls are per batch, so dynamic dispatch costs nothing. The contract of each call (order, repeats,
//! durability) stands here, and one test suite runs over every engine.

mod blocks;
mod mysql;
mod postgres;
mod record;
mod sqlite;
mod template;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::{
    Applied, Batch, Bounds, Extent, Finding, Key, Layout, Plan, RowStream, Schema, Sequence, States,
    TableName, TablePlan, Watermark,
};
use crate::settings::{Endpoint, EngineKind};
use crate::throttle::Throttle;

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
    /// One per table asked about, in that order.
    pub lags: Vec<Lag>,
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
    /// What [`Source::install`] would register now; `None` when nothing is installed.
    pub generation: Option<String>,
    /// What is wrong, if anything.
    pub fault: Option<Fault>,
}

/// What is wrong with the capture of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// [`Source::install`] mends it; the generation then says whether the table must be copied anew.
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
    /// 1 + the greatest number that either side has seen in this epoch.
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
    /// The attempt that raised or lifted it last.
    pub stamp: Stamp,
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

/// Where rows come from.
///
/// Reads that give rows check, in their own snapshot, that the log is still the one of `origin` and
/// that nothing beyond the watermark was purged; if not they fail with
/// [`Kind::Doubtful`](crate::error::Kind). What they return can't be lost by a crash of the source any
/// more.
#[async_trait]
pub trait Source: Send + Sync {
    /// Which database this is.
    async fn identity(&self) -> Result<Identity>;

    /// All user tables and sequences, with highwater's own left out.
    async fn schema(&self) -> Result<Schema>;

    /// Blockers and warnings about privileges, poolers, standbys, what silences capture, and what
    /// can't be carried, for the tables of `plan` (and the excluded ones, which the fence is put on).
    async fn survey(&self, schema: &Schema, plan: &Plan) -> Result<Survey>;

    /// Exactly what [`Source::install`] runs where nothing is installed, for a DBA to read or run.
    async fn capture_ddl(&self, plan: &Plan) -> Result<String>;

    /// Puts capture on every table of `plan` and the fence on every table, table by table, each in one
    /// transaction under the lock timeout, with retries; repairs what [`Source::inspect`] calls
    /// mendable. What is in force already is left alone and keeps its generation. Returns for each
    /// table of the plan its generation, or why it could not be done. `report` is called with each
    /// label before its table is touched.
    async fn install(
        &self,
        plan: &Plan,
        report: &(dyn for<'a> Fn(&'a str) + Send + Sync),
    ) -> Result<Vec<(String, Result<String>)>>;

    /// Checks that capture and fence are in force and unchanged on every table, cheaply enough for
    /// once a second.
    async fn inspect(&self, plan: &Plan) -> Result<Vec<Verdict>>;

    /// Removes every object of the migration from the source: triggers first, so that production's
    /// writes never meet a missing log.
    async fn remove(&self) -> Result<()>;

    /// What can be seen of the table's log now.
    async fn extent(&self, table: &TablePlan) -> Result<Extent>;

    /// For each table whether its log holds a dirty entry. One query for all.
    async fn poll(&self, watch: &[Watch<'_>]) -> Result<Vec<bool>>;

    /// How far behind each table is.
    async fn measure(&self, watch: &[Watch<'_>]) -> Result<Measures>;

    /// Ranges of about `rows` keys that cover the whole table, first and last open-ended; just
    /// [`Bounds::all`] for a keyless one.
    async fn chunks(&self, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>>;

    /// The rows inside `bounds`, read at one extent, which covers the watermark of `watch` (that must
    /// have been read before the call).
    async fn stream(&self, watch: Watch<'_>, bounds: &Bounds, layout: Layout) -> Result<RowStream>;

    /// The next dirty keys beyond the watermark with their states, as many as `limits` allow; a
    /// batch of no entries when nothing is dirty, which moves the watermark on to what was seen.
    async fn batch(&self, watch: Watch<'_>, limits: Limits) -> Result<Batch>;

    /// The present states of `keys`, read at an extent that covers the watermark of `watch`.
    async fn states(&self, watch: Watch<'_>, keys: &[Key]) -> Result<States>;

    /// Removes some log entries that `watermark` covers below its base, as one small step, and stores
    /// how far in the same transaction. Call it only with a watermark that the target has committed.
    /// Returns how many were removed; fewer than the step's size means there is no more.
    async fn purge(&self, table: &TablePlan, watermark: &Watermark) -> Result<u64>;

    /// How many rows the table holds.
    async fn count(&self, table: &TablePlan) -> Result<u64>;

    /// Where the sequences stand, which the carried tables use.
    async fn sequences(&self) -> Result<Vec<Sequence>>;

    /// The statements that make those of the plan's tables that are marked `create`, with what
    /// they need, on an empty target (`whole`: everything that the database holds).
    async fn definitions(&self, plan: &Plan, whole: bool) -> Result<Vec<Definition>>;

    /// Open transactions that wrote a captured table.
    async fn writers(&self, plan: &Plan) -> Result<Vec<Writer>>;

    /// The fence as it stands; attempt 0 if it was never raised.
    async fn fence(&self) -> Result<Fence>;

    /// Raises the fence under a stamp greater than the last, or fails.
    async fn raise_fence(&self, stamp: Stamp) -> Result<()>;

    /// Shows that the raised fence refuses writers on every table: by the catalogue, and by a write
    /// that must be refused.
    async fn prove_fence(&self, plan: &Plan) -> Result<()>;

    /// Sessions that may still write because they began before the fence of `stamp` was raised.
    async fn unfenced(&self, stamp: Stamp) -> Result<Vec<Writer>>;

    /// Lowers the fence if it stands under `stamp`; true if it was lowered, false if it was down.
    async fn lift_fence(&self, stamp: Stamp) -> Result<bool>;
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

/// Where rows go to.
#[async_trait]
pub trait Target: Send + Sync {
    /// Which database this is.
    async fn identity(&self) -> Result<Identity>;

    /// All user tables and sequences, with highwater's own left out.
    async fn schema(&self) -> Result<Schema>;

    /// Blockers and warnings about privileges, read-only sides, triggers and foreign keys that can't
    /// be silenced.
    async fn survey(&self, schema: &Schema, plan: &Plan) -> Result<Survey>;

    /// Whether capture objects of this migration stand here: `Foreign` when they came with a dump of
    /// another database, `Own` when this database is a source itself.
    async fn capture_here(&self) -> Result<CaptureHere>;

    /// Removes capture objects that came with a dump of another database.
    async fn remove_foreign_capture(&self) -> Result<()>;

    /// Makes the ledger's tables if they are missing. Statements of [`crate::ledger::tables`].
    async fn make_ledger(&self) -> Result<()>;

    /// Whether the ledger's tables are there.
    async fn has_ledger(&self) -> Result<bool>;

    /// Removes the ledger, all of it.
    async fn remove_ledger(&self) -> Result<()>;

    /// Begins a transaction for writing. Dropped without commit, it is rolled back.
    async fn begin(&self) -> Result<Box<dyn Tx>>;

    /// Takes the lease of `database` if nobody holds it. It falls with the process or the connection.
    async fn try_lease(&self, database: &str) -> Result<Option<Box<dyn Lease>>>;

    /// Whether somebody holds the lease of `database`.
    async fn lease_held(&self, database: &str) -> Result<bool>;

    /// Whether the target table holds no row.
    async fn is_empty(&self, table: &TablePlan) -> Result<bool>;

    /// How many rows the target table holds.
    async fn count(&self, table: &TablePlan) -> Result<u64>;

    /// Runs one definition in a transaction of its own. A foreign key that existing rows break is
    /// made without checking them, where the engine can; the returned text then says so.
    async fn define(&self, definition: &Definition) -> Result<Option<String>>;
}

/// What a target holds of capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureHere {
    /// Nothing.
    None,
    /// A copy that came with a dump of another database.
    Foreign,
    /// This database is captured itself.
    Own,
}

/// A lease that is held.
#[async_trait]
pub trait Lease: Send + Sync {
    /// Fails with [`Kind::Superseded`](crate::error::Kind) when the lease was lost.
    async fn check(&mut self) -> Result<()>;

    /// Lets go.
    async fn release(self: Box<Self>) -> Result<()>;
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

/// A row of texts and whole numbers (as decimal text).
pub type Record = Vec<Option<String>>;

/// A transaction on the target.
///
/// The ledger's statements are portable SQL in which `?1` is the first argument, `{l}` the prefix of
/// the ledger's tables, `{bigint}` the type that a CAST to a whole number names, `{for update}` and
/// `{for share}` row locks where the engine has them.
///
/// The rest are the steps of making keys equal to the source; [`crate::apply`] puts them together.
#[async_trait]
pub trait Tx: Send {
    /// Runs a ledger statement. Returns how many rows it touched.
    async fn execute(&mut self, sql: &str, args: &[Arg]) -> Result<u64>;

    /// Runs a ledger query.
    async fn rows(&mut self, sql: &str, args: &[Arg]) -> Result<Vec<Record>>;

    /// Sets a savepoint. Savepoints nest.
    async fn savepoint(&mut self) -> Result<()>;

    /// Forgets the innermost savepoint and keeps what was done since.
    async fn release(&mut self) -> Result<()>;

    /// Undoes what was done since the innermost savepoint, and forgets it.
    async fn rollback_to_savepoint(&mut self) -> Result<()>;

    /// Reads the stream right into the target table: rows in [`Layout::Plain`], `rows` must be fed
    /// until [`Block::End`](crate::model::Block). Returns rows and bytes.
    async fn load(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)>;

    /// Fills the empty stage from rows in [`Layout::Staged`]: a distinct number (`hw_n`), whether the
    /// row is present, the key, the carried columns (NULL when absent); on PostgreSQL the log's
    /// transaction stands before. Returns rows and bytes.
    async fn stage(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)>;

    /// The numbers in the stage, ascending.
    async fn staged(&mut self, table: &TablePlan) -> Result<Vec<i64>>;

    /// The keys of the numbers, in their order.
    async fn staged_keys(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<Vec<Key>>;

    /// Makes the target's rows of the staged keys (`None`: all) equal: absent ones are deleted,
    /// present ones updated in place or inserted.
    async fn equalise(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied>;

    /// Whether triggers and foreign keys are silenced here, so that rows may be lifted out and back.
    fn can_lift(&self) -> bool;

    /// Lifts the target's rows of the staged keys out, whole. Returns how many.
    async fn lift(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<u64>;

    /// Puts lifted rows back with their staged states, and inserts those that were not there.
    async fn put(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied>;

    /// Puts lifted rows back as they were.
    async fn put_back(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<u64>;

    /// Deletes target rows whose key is not among `keys` (a stream in [`Layout::Keys`]).
    async fn prune(&mut self, table: &TablePlan, keys: Feed<'_>) -> Result<u64>;

    /// Makes a keyless target table hold just the rows of the stream (in [`Layout::Plain`]), counting
    /// duplicates; rows that are the same stay untouched.
    async fn replace(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<Applied>;

    /// Moves the target's sequences of the same name to where the source's stand, never backwards
    /// (in the direction of their step). Returns those that moved.
    async fn move_sequences(&mut self, sequences: &[Sequence]) -> Result<Vec<TableName>>;

    /// Commits. An error leaves open whether it happened.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// Where staged or loaded rows come from.
#[derive(Debug)]
pub enum Feed<'a> {
    /// As they are read.
    Stream(&'a mut RowStream),
    /// Read before.
    Read(&'a [crate::model::Block]),
}

impl Feed<'_> {
    /// The next block; after [`Block::End`](crate::model::Block) there is none.
    ///
    /// # Errors
    /// The reader's error, or that it ended in the middle.
    pub async fn next(&mut self) -> Result<crate::model::Block> {
        match self {
            Feed::Stream(stream) => stream.next().await,
            Feed::Read(blocks) => {
                let (first, rest) =
                    blocks.split_first().ok_or_else(|| crate::error::Error::failed("rows without an end"))?;
                *blocks = rest;
                Ok(first.clone())
            }
        }
    }
}

/// What engines need of the settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// The migration's name: part of the names of all objects where it is not `main`.
    pub migration: String,
    /// How long one attempt to lock a production table may keep its writers waiting.
    pub lock_timeout: Duration,
    /// How many connections each side may use.
    pub connections: u32,
    /// Limits rows per second.
    pub throttle: Arc<Throttle>,
}

impl Options {
    /// `prefix`, with the migration's name behind it where that is not `main`.
    pub fn object_name(&self, prefix: &str) -> String {
        if self.migration == "main" { prefix.to_string() } else { format!("{prefix}_{}", self.migration) }
    }
}

/// Connects to a source.
///
/// # Errors
/// When it can't be reached or refuses us.
pub async fn source(endpoint: &Endpoint, options: &Options) -> Result<Arc<dyn Source>> {
    Ok(match endpoint.engine() {
        EngineKind::Postgres => Arc::new(postgres::PostgresSource::connect(endpoint, options).await?),
        EngineKind::Mysql => Arc::new(mysql::MysqlSource::connect(endpoint, options).await?),
        EngineKind::Sqlite => Arc::new(sqlite::SqliteSource::connect(endpoint, options).await?),
    })
}

/// Connects to a target.
///
/// # Errors
/// When it can't be reached or refuses us.
pub async fn target(endpoint: &Endpoint, options: &Options) -> Result<Arc<dyn Target>> {
    Ok(match endpoint.engine() {
        EngineKind::Postgres => Arc::new(postgres::PostgresTarget::connect(endpoint, options).await?),
        EngineKind::Mysql => Arc::new(mysql::MysqlTarget::connect(endpoint, options).await?),
        EngineKind::Sqlite => Arc::new(sqlite::SqliteTarget::connect(endpoint, options).await?),
    })
}
