//! The seam: what every engine does, on either side. One place, [`source`] and [`target`], matches engines.
//!
//! Calls are per batch, so dynamic dispatch costs nothing. The contract of each call (order, repeats,
//! durability) stands here, and one test suite runs over every engine.

mod blocks;
mod digest;
mod fit;
mod limits;
mod mysql;
mod postgres;
mod record;
mod script;
mod sqlite;
mod template;
mod transport;
mod words;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{
    Applied, Batch, Bounds, CheckConstraint, Extent, Finding, Key, Layout, Plan, RowStream, Schema, Sequence,
    States, TableName, TablePlan, Watermark,
};
use crate::settings::{Endpoint, EngineKind};
use crate::throttle::Throttle;

pub use fit::{Fit, fit};
pub use words::{
    Arg, Definition, Fault, Fence, Identity, Lag, Limits, Lowered, Manners, Measures, Origin, SequenceUse,
    Stage, Stamp, Survey, Verdict, Watch, Writer,
};

pub use script::{Client, Commits, Parsed, Ran, Role, Script, Statement, Unreadable};

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

    /// How many connections the server grants, where that is fewer than were asked for.
    fn granted(&self) -> Option<u32> {
        None
    }

    /// All user tables and sequences, with highwater's own left out.
    async fn schema(&self) -> Result<Schema>;

    /// The enforced CHECK constraints of all user tables.
    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>>;

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

    /// The first rows of the table as they would be staged (in [`Layout::Staged`]), without asking for
    /// capture: `plan` tries its rules on them. An expression that the server refuses is
    /// [`Kind::Table`](crate::error::Kind) with its message.
    async fn sample(&self, table: &TablePlan, rows: u64) -> Result<Vec<crate::model::Block>>;

    /// The keys of the rows whose `column` has one of the values (in the notation of keys).
    async fn keys_with(&self, table: &TablePlan, column: &str, values: &[String]) -> Result<Vec<Key>>;

    /// Those of `keys` of which the log beyond the watermark holds an insert or a delete.
    async fn renewed(&self, watch: Watch<'_>, keys: &[Key]) -> Result<Vec<Key>>;

    /// The keys of which the log beyond the watermark holds nothing that lies inside `extent`, and first
    /// of all an insert: at `extent` no row had them.
    async fn arrived(&self, watch: Watch<'_>, extent: &Extent) -> Result<Vec<Key>>;

    /// The rows that a query gives, as texts, at most `most`; nothing can be written by it.
    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>>;

    /// Open transactions that wrote a captured table.
    async fn writers(&self, plan: &Plan) -> Result<Vec<Writer>>;

    /// The same source, of which every read of rows and logs (`extent`, `poll`, `batch`, `states`, `stream`,
    /// `count`, `keys_with`, `renewed`, `arrived`) sees the one snapshot that is taken by this call
    /// and held until the last clone is dropped. What reads show can't be lost by a crash of the source, as
    /// elsewhere. A statement that reaches into the snapshot (TRUNCATE, a table swapped away) is not seen in it:
    /// the reader compares [`Source::inspect`] before this call and after the last read.
    async fn pinned(&self) -> Result<Arc<dyn Source>>;

    /// Changes whenever a statement that reaches into held snapshots ran on a captured table, where
    /// [`Source::inspect`] does not tell that: on PostgreSQL a TRUNCATE that capture has seen.
    async fn storage(&self, _plan: &Plan) -> Result<String> {
        Ok(String::new())
    }

    /// The fence as it stands; attempt 0 if it was never raised.
    async fn fence(&self) -> Result<Fence>;

    /// Shows that the fence can be raised and dropped here, by doing that to a log of highwater's own that no
    /// writer meets.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::error::Kind) with what is missing and the statement that grants it.
    async fn try_fence(&self) -> Result<()>;

    /// Raises the fence under a stamp that is greater than every earlier one: when it returns, every change log
    /// refuses entries, every transaction that had written one has ended, and that survives a crash of the source. Gives up at
    /// `until`. After an error the fence may stand on some logs: [`Source::lower_fence`] ends that.
    async fn raise_fence(&self, plan: &Plan, stamp: Stamp, until: Instant) -> Result<()>;

    /// Shows that the fence of `stamp` refuses writers of every table: by the catalogue (triggers of fence and
    /// capture), and by an entry for each log that must be refused.
    async fn prove_fence(&self, plan: &Plan, stamp: Stamp) -> Result<()>;

    /// Prepared transactions, which may commit later without meeting the fence.
    ///
    /// # Errors
    /// When they can't be listed: unknown is a no.
    async fn prepared(&self) -> Result<Vec<Writer>>;

    /// Lowers the fence of `stamp` and of every earlier attempt, durably, by data alone: it waits for no reader
    /// of the logs. What of these attempts arrives later is inert. Leaves the fence of a later attempt alone.
    async fn lower_fence(&self, stamp: Stamp) -> Result<Lowered>;

    /// Drops what lowered fences have left on the logs, in short attempts; true when nothing is left.
    async fn drop_lowered(&self) -> Result<bool>;
}

/// Where rows go to.
#[async_trait]
pub trait Target: Send + Sync {
    /// Which database this is.
    async fn identity(&self) -> Result<Identity>;

    /// How many connections the server grants, where that is fewer than were asked for.
    fn granted(&self) -> Option<u32> {
        None
    }

    /// All user tables and sequences, with highwater's own left out.
    async fn schema(&self) -> Result<Schema>;

    /// The enforced CHECK constraints of all user tables.
    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>>;

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

    /// Identifies what the target table's own rows hold in those of its columns, exactly, whatever the order of
    /// the rows and however many there are: a count and sums of hashes, which the database computes.
    async fn digest(&self, table: &TablePlan, columns: &[&str]) -> Result<String>;

    /// The rows that a query gives, as texts, at most `most`; nothing can be written by it.
    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>>;

    /// Has the server read a query without running it; nothing can be written by it.
    /// [`Kind::Table`](crate::error::Kind) and the like, with the server's message, if it refuses the query.
    async fn check_query(&self, sql: &str) -> Result<()>;

    /// The names of the columns that `select` yields where `changed` is what the stage of `table` shows;
    /// [`Kind::Table`](crate::error::Kind) with the server's message if it refuses the select.
    async fn yields(&self, table: &TablePlan, select: &str) -> Result<Vec<String>>;

    /// The sequences, identities and counters that feed carried columns (they own them, or a default names
    /// them), with the values that are in use: whatever they are called on the source, and whether or not
    /// the source has them.
    async fn sequence_uses(&self, plan: &Plan) -> Result<Vec<SequenceUse>>;

    /// What the scripts of an upgrade would be refused for want of rights on the plan's tables.
    async fn script_rights(&self, plan: &Plan) -> Result<Vec<Finding>>;

    /// Opens a session for the scripts of an upgrade.
    async fn script(&self) -> Result<Box<dyn Script>>;

    /// The engine's own client, ready to run a script (`whole`: in one transaction, where it can).
    async fn client(&self, whole: bool) -> Result<Client>;

    /// Tells the place of the ledger from one that it was restored to; empty where that can't be told,
    /// and does not matter, as no table of a restore is taken for another.
    async fn home(&self) -> Result<String>;

    /// Runs one definition in a transaction of its own. A foreign key that existing rows break is
    /// made without checking them, where the engine can; the returned text then says so.
    async fn define(&self, definition: &Definition) -> Result<Option<String>>;

    /// Which of those definitions the target would refuse, as far as that can be tried and undone.
    async fn try_definitions(&self, definitions: &[Definition]) -> Result<Vec<Finding>>;
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
    /// row is present, the key, the carried columns, those that are staged besides
    /// ([`Rule::also`](crate::model::Rule)); on PostgreSQL the log's transaction stands before. Of an
    /// absent row only what is computed from the key has a value. Returns rows and bytes.
    async fn stage(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)>;

    /// The numbers in the stage, ascending.
    async fn staged(&mut self, table: &TablePlan) -> Result<Vec<i64>>;

    /// Those of them whose row is present.
    async fn staged_present(&mut self, table: &TablePlan) -> Result<Vec<i64>>;

    /// The keys of the numbers, in their order.
    async fn staged_keys(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<Vec<Key>>;

    /// Takes numbers out of the stage.
    async fn unstage(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<()>;

    /// What stands in those columns of the target's rows of the staged keys, as far as there are rows:
    /// for each number one text per column, in the notation of keys.
    async fn standing(
        &mut self,
        table: &TablePlan,
        columns: &[String],
    ) -> Result<Vec<(i64, Vec<Option<String>>)>>;

    /// Makes the target's rows of the staged keys (`None`: all) equal: absent ones are deleted,
    /// present ones updated in place or inserted. Rows of further targets go with them: those of a key
    /// that is absent before its own row (which tells whose they are), those of a present one after it.
    async fn equalise(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied>;

    /// Whether rows of the table may be lifted out and back: triggers and foreign keys are silenced here,
    /// and nothing but the row itself belongs to it.
    fn can_lift(&self, table: &TablePlan) -> bool;

    /// Lifts the target's rows of the staged keys out, whole. Returns how many.
    async fn lift(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<u64>;

    /// Puts lifted rows back with their staged states, and inserts those that were not there.
    async fn put(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied>;

    /// Puts lifted rows back as they were.
    async fn put_back(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<u64>;

    /// Deletes the table's own target rows whose key is not among `keys` (a stream in
    /// [`Layout::Keys`]), with what belongs to them in further targets; but not those of which the
    /// matched columns (see [`TablePlan::matched`]) are in `keep`.
    async fn prune(&mut self, table: &TablePlan, keys: Feed<'_>, keep: &[Key]) -> Result<u64>;

    /// Compares the keys of the source (a stream in [`Layout::Keys`]) with the table's own target rows.
    async fn compare_keys(&mut self, table: &TablePlan, keys: Feed<'_>) -> Result<KeyDifferences>;

    /// Makes a keyless target table hold just the rows of the stream (in [`Layout::Plain`]), counting
    /// duplicates; rows that are the same stay untouched.
    async fn replace(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<Applied>;

    /// Moves the target's sequences of the same name to where the source's stand, never backwards
    /// (in the direction of their step). Returns those that moved.
    async fn move_sequences(&mut self, sequences: &[Sequence]) -> Result<Vec<TableName>>;

    /// Commits. An error leaves open whether it happened.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// Keys that stand on one side only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyDifferences {
    /// How many keys the source has.
    pub source_keys: u64,
    /// Keys of the source that have no row on the target, as the source knows them.
    pub source_only: Vec<Key>,
    /// The matched columns (see [`TablePlan::matched`]) of target rows that no key of the source matches.
    pub target_only: Vec<Key>,
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
