//! How a database stands, as shown by the status command, the page, the API and the metrics.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::Measures;
use crate::ledger::{Entry, Exempt, TableEntry};
use crate::model::Plan;
use crate::state::{Phase, TableState};

/// The version of the JSON that reports carry.
pub const SCHEMA_VERSION: u32 = 1;

/// What this process does for a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Not connected yet, or connecting again.
    Connecting,
    /// Another process holds the lease.
    Standby,
    /// It holds the lease and works.
    Active,
    /// It looks on: the `status` command.
    Observer,
}

/// How one database stands.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseStatus {
    /// Its name in the settings.
    pub name: String,
    /// The source, without a password.
    pub source: String,
    /// The target, without a password.
    pub target: String,
    /// What this process does for it.
    pub role: Role,
    /// Where it stands; `None` before anything was copied.
    pub phase: Option<Phase>,
    /// Since when; `None` in the first phase.
    pub phase_since: Option<String>,
    /// Whether the settings name an upgrade that follows the copy.
    #[serde(skip)]
    pub upgrade_follows: bool,
    /// When the target's schema was upgraded, if it is.
    pub upgraded_at: Option<String>,
    /// Since when the change log is held, if it is.
    pub log_held_at: Option<String>,
    /// Who holds the lease.
    pub holder: Option<String>,
    /// What is wrong, if anything.
    pub error: Option<String>,
    /// The age of the oldest open transaction on the source, in seconds.
    pub oldest_transaction_seconds: Option<f64>,
    /// For how long production could not write until the target was final, in seconds.
    pub outage_seconds: Option<f64>,
    /// The instant of production's that the target is equal to, until rows are written again.
    pub consistent_at: Option<String>,
    /// Whether the capture check found nothing wrong, a moment ago.
    pub capture_sound: bool,
    /// Rows that this process has replayed since it began.
    pub rows_replayed: u64,
    /// Its tables.
    pub tables: Vec<TableStatus>,
    /// When lags were measured last.
    #[serde(skip)]
    pub measured_at: Option<Instant>,
    /// When capture was checked last.
    #[serde(skip)]
    pub inspected_at: Option<Instant>,
}

/// How one table stands.
#[derive(Debug, Clone, Serialize)]
pub struct TableStatus {
    /// The label of the source table.
    pub table: String,
    /// Where it stands.
    pub state: TableState,
    /// Why, where that needs saying.
    pub reason: Option<String>,
    /// About how many rows the source holds.
    pub rows: u64,
    /// About how many bytes the source holds.
    pub bytes: u64,
    /// Rows copied.
    pub rows_copied: u64,
    /// Bytes copied.
    pub bytes_copied: u64,
    /// Chunks copied.
    pub chunks_done: u64,
    /// Chunks.
    pub chunks: u64,
    /// Log entries not covered; counting stops at 100,000. `None` when it is not known.
    pub lag_rows: Option<u64>,
    /// Age of the oldest of them in seconds. `None` when it is not known.
    pub lag_seconds: Option<f64>,
    /// What production had committed by then is in the target: seconds since 1970, by the source's
    /// clock. `None` when it is not known.
    pub watermark_time: Option<f64>,
    /// Keys parked.
    pub parked: u64,
    /// Notes of rows whose lookups are to be done again, because what they look up has changed.
    pub waiting_lookups: u64,
    /// What an upgrade made or deleted there.
    #[serde(flatten)]
    pub exempt: Exempt,
}

impl TableStatus {
    fn new(entry: &TableEntry) -> Self {
        let mut status = TableStatus {
            table: entry.label.clone(),
            state: entry.state,
            reason: None,
            rows: 0,
            bytes: 0,
            rows_copied: 0,
            bytes_copied: 0,
            chunks_done: 0,
            chunks: 0,
            lag_rows: None,
            lag_seconds: None,
            watermark_time: None,
            parked: 0,
            waiting_lookups: 0,
            exempt: Exempt::default(),
        };
        status.take(entry);
        status
    }

    fn take(&mut self, entry: &TableEntry) {
        self.state = entry.state;
        self.reason.clone_from(&entry.reason);
        self.rows_copied = entry.rows_copied;
        self.bytes_copied = entry.bytes_copied;
        (self.chunks_done, self.chunks) = entry.chunks;
        self.parked = entry.parked;
        self.waiting_lookups = entry.requeued;
        self.exempt = entry.exempt;
    }
}

impl DatabaseStatus {
    /// A database of which nothing is known yet.
    pub fn unknown(name: &str, source: &impl ToString, target: &impl ToString, role: Role) -> Self {
        DatabaseStatus {
            name: name.to_string(),
            source: source.to_string(),
            target: target.to_string(),
            role,
            phase: None,
            phase_since: None,
            upgrade_follows: false,
            upgraded_at: None,
            log_held_at: None,
            outage_seconds: None,
            consistent_at: None,
            holder: None,
            error: None,
            oldest_transaction_seconds: None,
            capture_sound: false,
            rows_replayed: 0,
            tables: Vec::new(),
            measured_at: None,
            inspected_at: None,
        }
    }

    /// Takes over what the ledger says. Lags stay unknown until they are measured.
    pub fn take_entry(&mut self, entry: &Entry, plan: Option<&Plan>) {
        let is_begun =
            entry.phase == Phase::Upgrading || entry.tables.iter().any(|t| t.state != TableState::Waiting);
        self.phase = is_begun.then_some(entry.phase);
        self.phase_since.clone_from(&entry.phase_since);
        self.log_held_at.clone_from(&entry.log_held_at);
        self.upgraded_at.clone_from(&entry.upgraded_at);
        self.consistent_at.clone_from(&entry.point_at);
        let outage = entry.outage_ms.filter(|_| entry.phase == Phase::Final);
        self.outage_seconds = outage.map(|ms| Duration::from_millis(ms).as_secs_f64());
        self.holder = entry.holder.as_ref().map(|(who, _)| who.clone());
        let before = std::mem::take(&mut self.tables);
        self.tables = entry.tables.iter().map(TableStatus::new).collect();
        for table in &mut self.tables {
            if let Some(planned) = plan.and_then(|p| p.table(&table.table)) {
                table.rows = planned.rows;
                table.bytes = planned.bytes;
            }
            if let Some(old) = before.iter().find(|t| t.table == table.table) {
                table.lag_rows = old.lag_rows;
                table.lag_seconds = old.lag_seconds;
                table.watermark_time = old.watermark_time;
            }
        }
    }

    /// Shows what the copies of tables wait for: the table, and why.
    pub fn take_waiting(&mut self, waiting: &[(String, String)]) {
        for (label, why) in waiting {
            if let Some(table) = self.tables.iter_mut().find(|t| &t.table == label) {
                table.reason = Some(why.clone());
            }
        }
    }

    /// Takes over what the ledger says of one table.
    pub fn take_table(&mut self, entry: &TableEntry) {
        if let Some(table) = self.tables.iter_mut().find(|t| t.table == entry.label) {
            table.take(entry);
        }
    }

    /// Takes over what was measured of the tables named by `labels`.
    pub fn take_measures(&mut self, labels: &[String], measures: &Measures) {
        self.oldest_transaction_seconds = measures.oldest_transaction;
        self.measured_at = Some(Instant::now());
        for (label, lag) in labels.iter().zip(&measures.lags) {
            if let Some(table) = self.tables.iter_mut().find(|t| &t.table == label) {
                table.lag_rows = lag.map(|lag| lag.rows);
                table.lag_seconds = lag.map(|lag| lag.seconds);
                table.watermark_time = lag.map(|lag| measures.now - lag.seconds);
            }
        }
    }

    /// Forgets what can't be measured any more, so that nothing old passes for known.
    pub fn forget_measures(&mut self) {
        self.oldest_transaction_seconds = None;
        self.capture_sound = false;
        for table in &mut self.tables {
            table.lag_rows = None;
            table.lag_seconds = None;
        }
    }

    /// Why the target is not in step with the source within `lag`; empty when it is. Unknown is a no.
    pub fn not_in_sync(&self, lag: Duration) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.role != Role::Active {
            let why =
                self.error.clone().unwrap_or_else(|| "this process does not hold the lease".to_string());
            reasons.push(format!("{}: {why}", self.name));
            return reasons;
        }
        if self.phase == Some(Phase::Upgrading) {
            let since = self.phase_since.as_ref().map(|at| format!(" since {at}")).unwrap_or_default();
            reasons.push(format!("{}: its schema is being upgraded{since}", self.name));
        }
        if self.tables.is_empty() {
            reasons.push(format!("{}: nothing is copied yet", self.name));
        }
        if !is_fresh(self.measured_at) {
            reasons.push(format!("{}: the lag is not known", self.name));
        }
        if !self.capture_sound || !is_fresh(self.inspected_at) {
            reasons.push(format!("{}: capture was not found sound a moment ago", self.name));
        }
        for table in &self.tables {
            reasons
                .extend(table.not_in_sync(lag).map(|why| format!("{}: {}: {why}", self.name, table.table)));
        }
        reasons
    }
}

/// For how long what was measured counts as known.
const FRESH: Duration = Duration::from_secs(5);

fn is_fresh(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at.elapsed() <= FRESH)
}

impl TableStatus {
    fn not_in_sync(&self, most: Duration) -> Option<String> {
        if self.state != TableState::Replaying {
            let why = self.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            return Some(format!("it is {}{why}", self.state));
        }
        if self.parked > 0 {
            return Some(format!("{} rows are parked", self.parked));
        }
        if self.waiting_lookups > 0 {
            return Some("what its rows look up has changed, and they are not equal yet".to_string());
        }
        match self.lag_seconds {
            None => Some("its lag is not known".to_string()),
            Some(lag) if lag >= most.as_secs_f64() => Some(format!("it is {lag:.1} s behind")),
            Some(_) => None,
        }
    }
}

/// Where a database's status is kept for everybody who shows it.
#[derive(Debug, Clone)]
pub struct Board(Arc<watch::Sender<DatabaseStatus>>);

impl Board {
    /// A board that shows `status`.
    pub fn new(status: DatabaseStatus) -> Self {
        Board(Arc::new(watch::Sender::new(status)))
    }

    /// What it shows now. What was measured too long ago is not known any more, and absent.
    pub fn status(&self) -> DatabaseStatus {
        let mut status = self.0.borrow().clone();
        if !is_fresh(status.measured_at) {
            status.forget_measures();
        }
        if !is_fresh(status.inspected_at) {
            status.capture_sound = false;
        }
        status
    }

    /// Changes what it shows.
    pub fn update(&self, change: impl FnOnce(&mut DatabaseStatus)) {
        self.0.send_modify(change);
    }

    /// Adds rows of a chunk that was copied.
    pub fn copied(&self, label: &str, rows: u64, bytes: u64) {
        self.update(|status| {
            if let Some(table) = status.tables.iter_mut().find(|t| t.table == label) {
                table.rows_copied += rows;
                table.bytes_copied += bytes;
                table.chunks_done += 1;
            }
        });
    }

    /// Adds rows of a batch that was applied.
    pub fn replayed(&self, rows: u64) {
        self.update(|status| status.rows_replayed += rows);
    }
}
