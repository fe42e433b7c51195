//! What the ledger says.

use super::{from_json, integer, text};
use crate::engine::{Arg, Identity, Origin, Stamp, Tx};
use crate::error::Result;
use crate::model::{Bounds, Extent, Key, TablePlan, Watermark};
use crate::state::{AttemptState, Phase, Standing, TableState};

/// What the ledger says of a database.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The leg.
    pub epoch: i64,
    /// Where it stands.
    pub phase: Phase,
    /// Since when; `None` in the first phase.
    pub phase_since: Option<String>,
    /// The source it began with; `None` before the first copy.
    pub identity: Option<Identity>,
    /// The plan last carried out.
    pub plan_hash: Option<String>,
    /// Who took the lease last, and when.
    pub holder: Option<(String, String)>,
    /// Who asks for the lease, and since when (seconds since 1970).
    pub request: Option<(String, i64)>,
    /// The instant that `:as_of` means in rules.
    pub as_of: String,
    /// When the target's schema was upgraded, if it was.
    pub upgraded_at: Option<String>,
    /// The labels of the source tables that the settings excluded when the upgrade was done.
    pub left_out: Vec<String>,
    /// Since when the change log is kept for a restore of the target, if it is.
    pub log_held_at: Option<String>,
    /// The instant of production's that the target is equal to; `None` since rows were written after it.
    pub point_at: Option<String>,
    /// For how long production could not write until the target was final.
    pub outage_ms: Option<u64>,
    /// The last cutover attempt.
    pub attempt: Attempt,
    /// Its tables.
    pub tables: Vec<TableEntry>,
}

impl Entry {
    /// What may be done is asked of this.
    pub fn standing(&self) -> Standing {
        Standing { phase: self.phase, attempt: self.attempt.state }
    }
}

/// A cutover attempt as the target knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its number; attempt 0 if there was none.
    pub stamp: Stamp,
    /// How it stands.
    pub state: AttemptState,
}

/// What the ledger says of a table.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// The table's label.
    pub label: String,
    /// Where it stands.
    pub state: TableState,
    /// Where it was before it stopped; the same as `state` while it is not stopped.
    pub before: TableState,
    /// Why, where that needs saying.
    pub reason: Option<String>,
    /// What is applied; `None` before its copy began.
    pub watermark: Option<Watermark>,
    /// The log that the watermark refers to.
    pub origin: Option<Origin>,
    /// The plan it was last registered under.
    pub plan: Option<TablePlan>,
    /// Of a keyless table what identifies its rows on the target as they were when the upgrade began.
    pub baseline: Option<String>,
    /// What there was of the log when replay was paused for an upgrade: all that stood on the target then
    /// was read before.
    pub paused: Option<Extent>,
    /// Its chunks, done and all.
    pub chunks: (u64, u64),
    /// Rows copied by the chunks that are done.
    pub rows_copied: u64,
    /// Bytes copied by them.
    pub bytes_copied: u64,
    /// Keys parked.
    pub parked: u64,
    /// Entries of rows whose lookups wait to be done again.
    pub requeued: u64,
    /// What is exempt from replay.
    pub exempt: Exempt,
}

/// What of a table is exempt from replay, as an upgrade made or deleted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exempt {
    /// Keys of target rows that the upgrade made.
    pub upgrade_made: u64,
    /// Keys of source rows that the upgrade deleted.
    pub upgrade_deleted: u64,
    /// How many of production's changes to these keys were dropped.
    pub dropped_changes: u64,
}

impl Exempt {
    /// What a person should know of `table`, if there is anything.
    pub fn line(&self, table: &str) -> Option<String> {
        (*self != Exempt::default()).then(|| {
            format!(
                "{table}: rows made by the upgrade: {}, rows deleted by the upgrade: {}, changes of production to \
                 these rows that were not applied: {}",
                self.upgrade_made, self.upgrade_deleted, self.dropped_changes
            )
        })
    }
}

/// A chunk that waits.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Its number.
    pub number: i64,
    /// Its keys.
    pub bounds: Bounds,
}

/// A parked key.
#[derive(Debug, Clone)]
pub struct Parked {
    /// The key.
    pub key: Key,
    /// Why the target refused its row.
    pub reason: String,
    /// Since when.
    pub since: String,
}

/// An event.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Event {
    /// When.
    pub at: String,
    /// By whom, where.
    pub by: String,
    /// What.
    pub what: String,
}

/// The tables of a database, or just the one with that label.
pub(super) async fn table_entries(
    tx: &mut dyn Tx,
    database: &str,
    label: Option<&str>,
) -> Result<Vec<TableEntry>> {
    let args: [Arg; 2] = [database.into(), label.map(str::to_string).into()];
    let rows = tx
        .rows(
            "SELECT t.label, t.state, t.reason, t.watermark, t.origin, \
             (SELECT count(*) FROM {l}chunks c WHERE c.database_name = ?1 AND c.label = t.label \
              AND c.state = 'done'), \
             (SELECT count(*) FROM {l}chunks c WHERE c.database_name = ?1 AND c.label = t.label), \
             (SELECT CAST(coalesce(sum(c.row_count), 0) AS {bigint}) FROM {l}chunks c \
              WHERE c.database_name = ?1 AND c.label = t.label), \
             (SELECT CAST(coalesce(sum(c.byte_count), 0) AS {bigint}) FROM {l}chunks c \
              WHERE c.database_name = ?1 AND c.label = t.label), \
             (SELECT count(*) FROM {l}parked p WHERE p.database_name = ?1 AND p.label = t.label), \
             (SELECT count(*) FROM {l}requeued q WHERE q.database_name = ?1 AND q.label = t.label), t.plan_json, t.baseline, \
             t.paused, t.state_before, t.dropped, \
             (SELECT count(*) FROM {l}native n WHERE n.database_name = ?1 AND n.label = t.label), \
             (SELECT count(*) FROM {l}removed d WHERE d.database_name = ?1 AND d.label = t.label) \
             FROM {l}tables t WHERE t.database_name = ?1 AND t.label = coalesce(?2, t.label) ORDER BY t.label",
            &args,
        )
        .await?;
    rows.iter()
        .map(|r| {
            let count = |i| integer(r, i).map(i64::unsigned_abs);
            Ok(TableEntry {
                label: text(r, 0)?.to_string(),
                state: text(r, 1)?.parse()?,
                before: text(r, 14)?.parse()?,
                reason: r.get(2).cloned().flatten(),
                watermark: r.get(3).and_then(Option::as_deref).map(Watermark::from_text).transpose()?,
                origin: r.get(4).and_then(Option::as_deref).map(from_json).transpose()?,
                chunks: (count(5)?, count(6)?),
                rows_copied: count(7)?,
                bytes_copied: count(8)?,
                parked: count(9)?,
                requeued: count(10)?,
                plan: r.get(11).and_then(Option::as_deref).map(from_json).transpose()?,
                baseline: r.get(12).cloned().flatten(),
                paused: r.get(13).and_then(Option::as_deref).map(from_json).transpose()?,
                exempt: Exempt {
                    dropped_changes: count(15)?,
                    upgrade_made: count(16)?,
                    upgrade_deleted: count(17)?,
                },
            })
        })
        .collect()
}
