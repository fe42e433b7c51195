//! What is measured, in Prometheus' format, under the names that `docs/metrics.md` explains.
//!
//! Counters and the histogram are kept up by the code that does the work; gauges are published once a
//! second from the boards. A gauge that is not published any more vanishes within [`MOST_STALE`]: what
//! can't be measured is absent, never 0.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::{Error, Kind, Result};
use crate::ledger::Exempt;
use crate::model::Applied;
use crate::state::{Phase, TableState};
use crate::status::{DatabaseStatus, Role, TableStatus};

/// How old a gauge may be that is still shown.
pub const MOST_STALE: Duration = Duration::from_secs(10);
/// Between two rounds of the recorder's housekeeping. With [`IDLE`] it adds up to [`MOST_STALE`].
const UPKEEP: Duration = Duration::from_secs(5);
/// A gauge is forgotten once it was not published for this long.
const IDLE: Duration = Duration::from_secs(5);

/// Upper bounds of the buckets of `highwater_batch_apply_seconds`: from a batch of a few rows on one
/// machine to one that fills its limits on a busy target far away.
const BATCH_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const LAG_SECONDS: &str = "highwater_table_lag_seconds";
const LAG_ROWS: &str = "highwater_table_lag_rows";
const PHASE: &str = "highwater_database_phase";
const STATE: &str = "highwater_table_state";
const WATERMARK: &str = "highwater_table_watermark_timestamp_seconds";
const OLDEST_TRANSACTION: &str = "highwater_source_oldest_transaction_seconds";
const OUTAGE: &str = "highwater_outage_seconds";
const ROWS_COPIED: &str = "highwater_rows_copied_total";
const ROWS_APPLIED: &str = "highwater_rows_applied_total";
const BATCH_APPLY: &str = "highwater_batch_apply_seconds";
const PARKED: &str = "highwater_parked_rows";
const WAITING_LOOKUPS: &str = "highwater_waiting_lookups";
const EXEMPT: &str = "highwater_exempt_rows";
const DROPPED: &str = "highwater_dropped_changes";
const ERRORS: &str = "highwater_errors_total";
const LEASE_HELD: &str = "highwater_lease_held";
const UP: &str = "highwater_up";
const BUILD_INFO: &str = "highwater_build_info";

/// Every kind that is counted, so that each counter exists before its first error.
const KINDS: [Kind; 11] = [
    Kind::Usage,
    Kind::Refused,
    Kind::NotConverged,
    Kind::Foreign,
    Kind::Retired,
    Kind::Unavailable,
    Kind::Superseded,
    Kind::Table,
    Kind::Doubtful,
    Kind::Data,
    Kind::Failed,
];

/// The recorder's other end: what was recorded, as text.
#[derive(Debug, Clone)]
pub struct Handle(PrometheusHandle);

/// Installs the recorder for the whole process. To be called inside the tokio runtime, which runs its
/// housekeeping.
///
/// # Errors
/// When a recorder is installed already.
pub fn install() -> Result<Handle> {
    let recorder = builder()?.build_recorder();
    let handle = Handle(recorder.handle());
    metrics::set_global_recorder(recorder)
        .map_err(|e| Error::failed("the metrics can't be recorded").because(e))?;
    describe();
    tokio::spawn(keep_up(handle.clone()));
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder> {
    PrometheusBuilder::new()
        .idle_timeout(MetricKindMask::GAUGE, Some(IDLE))
        .set_buckets_for_metric(Matcher::Full(BATCH_APPLY.to_string()), &BATCH_SECONDS)
        .map_err(|e| Error::failed("the buckets of a histogram can't be set").because(e))
}

async fn keep_up(handle: Handle) {
    let mut round = interval(UPKEEP);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        handle.keep_up();
    }
}

impl Handle {
    /// A handle on a recorder that nothing records to.
    #[cfg(test)]
    pub(crate) fn apart() -> Result<Handle> {
        Ok(Handle(builder()?.build_recorder().handle()))
    }

    /// Everything recorded, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Moves the histograms' samples into their buckets, so that they don't pile up where nobody
    /// scrapes, and forgets idle gauges, which the exporter does only when it renders.
    fn keep_up(&self) {
        self.0.run_upkeep();
        if let Err(error) = self.0.render_to_write(&mut std::io::sink()) {
            tracing::debug!(%error, "the metrics can't be rendered");
        }
    }
}

/// Records a batch of `table` that was applied in the target within `took`.
pub fn batch_applied(database: &str, table: &str, applied: &Applied, took: Duration) {
    for (op, rows) in [("insert", applied.inserted), ("update", applied.updated), ("delete", applied.deleted)]
    {
        rows_applied(database, table, op).increment(rows);
    }
    batch_apply(database, table).record(took);
}

/// Records an error of that kind.
pub fn error(kind: Kind) {
    errors(kind).increment(1);
}

/// Records for how long production could not write until the target was final.
pub fn outage(database: &str, seconds: f64) {
    gauge!(OUTAGE, "database" => database.to_string()).set(seconds);
}

/// Records rows of `table` that were copied.
pub fn rows_copied(database: &str, table: &str, rows: u64) {
    copied(database, table).increment(rows);
}

/// Publishes how the databases stand, to be called once a second.
pub fn publish(databases: &[DatabaseStatus]) {
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics_process::Collector::default().collect();
    for kind in KINDS {
        errors(kind).increment(0);
    }
    for database in databases {
        publish_database(database);
    }
}

fn publish_database(database: &DatabaseStatus) {
    let name = &database.name;
    let reached = database.role != Role::Connecting;
    let measured = database.measured_at.is_some_and(|at| at.elapsed() <= MOST_STALE);
    gauge!(UP, "database" => name.clone()).set(flag(reached));
    gauge!(LEASE_HELD, "database" => name.clone()).set(flag(database.role == Role::Active));
    if let Some(phase) = database.phase.filter(|_| reached) {
        for one in Phase::ALL {
            gauge!(PHASE, "database" => name.clone(), "phase" => one.name()).set(flag(one == phase));
        }
    }
    if let Some(seconds) = database.oldest_transaction_seconds.filter(|_| measured) {
        gauge!(OLDEST_TRANSACTION, "database" => name.clone()).set(seconds);
    }
    if let Some(seconds) = database.outage_seconds.filter(|_| reached) {
        outage(name, seconds);
    }
    for table in &database.tables {
        begin_counters(name, &table.table);
        // What was known before the connection broke may have changed since.
        if reached {
            publish_state(name, table);
        }
        if reached && measured {
            publish_lag(name, table);
        }
    }
}

fn labels(database: &str, table: &TableStatus) -> [(&'static str, String); 2] {
    [("database", database.to_string()), ("table", table.table.clone())]
}

fn publish_state(database: &str, table: &TableStatus) {
    let labels = labels(database, table);
    for state in TableState::ALL {
        let [database, table_label] = labels.clone();
        let labels = [database, table_label, ("state", state.name().to_string())];
        gauge!(STATE, &labels).set(flag(state == table.state));
    }
    gauge!(PARKED, &labels).set(approximate(table.parked));
    gauge!(WAITING_LOOKUPS, &labels).set(approximate(table.waiting_lookups));
    let Exempt { upgrade_made, upgrade_deleted, dropped_changes } = table.exempt;
    for (by_upgrade, rows) in [("made", upgrade_made), ("deleted", upgrade_deleted)] {
        let [database, table_label] = labels.clone();
        gauge!(EXEMPT, &[database, table_label, ("upgrade", by_upgrade.to_string())]).set(approximate(rows));
    }
    gauge!(DROPPED, &labels).set(approximate(dropped_changes));
    if let Some(time) = table.watermark_time {
        gauge!(WATERMARK, &labels).set(time);
    }
}

fn publish_lag(database: &str, table: &TableStatus) {
    let labels = labels(database, table);
    if let Some(rows) = table.lag_rows {
        gauge!(LAG_ROWS, &labels).set(approximate(rows));
    }
    if let Some(seconds) = table.lag_seconds {
        gauge!(LAG_SECONDS, &labels).set(seconds);
    }
}

/// Makes the counters of a table exist before anything is counted: `rate()` misses the first increase
/// of a counter that appears with it.
fn begin_counters(database: &str, table: &str) {
    copied(database, table).increment(0);
    for op in ["insert", "update", "delete"] {
        rows_applied(database, table, op).increment(0);
    }
    let _ = batch_apply(database, table);
}

fn copied(database: &str, table: &str) -> metrics::Counter {
    counter!(ROWS_COPIED, "database" => database.to_string(), "table" => table.to_string())
}

fn rows_applied(database: &str, table: &str, op: &'static str) -> metrics::Counter {
    counter!(ROWS_APPLIED, "database" => database.to_string(), "table" => table.to_string(), "op" => op)
}

fn batch_apply(database: &str, table: &str) -> metrics::Histogram {
    histogram!(BATCH_APPLY, "database" => database.to_string(), "table" => table.to_string())
}

fn errors(kind: Kind) -> metrics::Counter {
    counter!(ERRORS, "kind" => kind.label())
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn approximate(count: u64) -> f64 {
    count as f64
}

fn describe() {
    describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "Now minus the capture time of the oldest change of the table that is not applied, in seconds; 0 if \
         there is none; absent while it is not known."
    );
    describe_gauge!(
        LAG_ROWS,
        Unit::Count,
        "Change log entries of the table that are not applied; counting stops at 100000; absent while it is \
         not known."
    );
    describe_gauge!(PHASE, Unit::Count, "1 for the phase that the database is in, 0 for the others.");
    describe_gauge!(STATE, Unit::Count, "1 for the state that the table is in, 0 for the others.");
    describe_gauge!(
        WATERMARK,
        Unit::Seconds,
        "What the source had committed by this time, in seconds since 1970 by the source's clock, is in the \
         target."
    );
    describe_gauge!(
        OLDEST_TRANSACTION,
        Unit::Seconds,
        "Age of the oldest open transaction on the source, in seconds; absent while it is not known."
    );
    describe_gauge!(
        OUTAGE,
        Unit::Seconds,
        "For how long production could not write, from the first trigger of the fence until the target was final; \
         absent unless it is final."
    );
    describe_counter!(ROWS_COPIED, Unit::Count, "Rows copied since this process began.");
    describe_counter!(
        ROWS_APPLIED,
        Unit::Count,
        "Rows that replay inserted, updated or deleted in the target since this process began, by `op`."
    );
    describe_histogram!(BATCH_APPLY, Unit::Seconds, "Time to apply a batch in the target, in seconds.");
    describe_gauge!(PARKED, Unit::Count, "Keys whose rows the target refused; they are tried again.");
    describe_gauge!(
        WAITING_LOOKUPS,
        Unit::Count,
        "Notes of rows whose lookups are to be done again, because what they look up has changed."
    );
    describe_gauge!(
        EXEMPT,
        Unit::Count,
        "Rows that replay leaves alone, because the upgrade made or deleted them, by `upgrade`."
    );
    describe_gauge!(
        DROPPED,
        Unit::Count,
        "Changes of production to exempt rows that were not applied, since the upgrade."
    );
    describe_counter!(ERRORS, Unit::Count, "Errors since this process began, by `kind`.");
    describe_gauge!(
        LEASE_HELD,
        Unit::Count,
        "1 if this process holds the database's lease and works, 0 if it stands by or connects."
    );
    describe_gauge!(UP, Unit::Count, "1 if source and target are reached, 0 if not.");
    describe_gauge!(BUILD_INFO, Unit::Count, "1, with the version of this highwater as a label.");
    metrics_process::Collector::default().describe();
}

#[cfg(test)]
mod tests;
