//! The report of `highwater status`.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::observe::Observed;
use crate::advice;
use crate::cli::output::{self, Column, Failure, Report, Style};
use crate::model::Finding;
use crate::settings::Settings;
use crate::state::{Phase, TableState};
use crate::status::{Role, SCHEMA_VERSION, TableStatus};

/// How all databases stand.
#[derive(Debug, Serialize)]
pub(super) struct StatusReport {
    schema_version: u32,
    /// When it was made, by this machine's clock (RFC 3339).
    at: String,
    migration: String,
    /// Whether a process is at work and every table is copied, sound, and less than
    /// `replay.in_sync_lag` behind.
    in_sync: bool,
    /// Why not.
    reasons: Vec<String>,
    databases: Vec<Observed>,
    next_steps: Vec<String>,
}

impl StatusReport {
    pub(super) fn new(settings: &Settings, databases: Vec<Observed>) -> Self {
        let lag = settings.replay.in_sync_lag;
        let reasons: Vec<String> = databases.iter().flat_map(|d| not_in_sync(d, lag)).collect();
        StatusReport {
            schema_version: SCHEMA_VERSION,
            at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            migration: settings.migration.clone(),
            in_sync: reasons.is_empty(),
            reasons,
            next_steps: next_steps(&databases, lag),
            databases,
        }
    }

    /// 1 if something could not be found out.
    pub(super) fn exit_code(&self) -> u8 {
        u8::from(self.databases.iter().any(|d| !d.faults.is_empty()))
    }
}

fn not_in_sync(database: &Observed, lag: Duration) -> Vec<String> {
    let name = &database.status.name;
    if let Some(error) = &database.status.error {
        return vec![format!("{name}: {error}")];
    }
    let mut reasons = Vec::new();
    if database.lease_held != Some(true) {
        reasons.push(format!("{name}: no process holds the lease"));
    }
    // What remains is what the one at work would say.
    let mut status = database.status.clone();
    status.role = Role::Active;
    reasons.extend(status.not_in_sync(lag));
    reasons
}

fn next_steps(databases: &[Observed], lag: Duration) -> Vec<String> {
    let (known, faulty): (Vec<_>, Vec<_>) = databases.iter().partition(|d| d.faults.is_empty());
    let mut steps: Vec<String> = faulty.into_iter().flat_map(of_faults).collect();
    // Both sides of a server that is away say the same.
    steps.dedup();
    steps.extend(known.iter().copied().filter_map(of_processes));
    if !known.is_empty() {
        let statuses: Vec<_> = known.iter().map(|d| d.status.clone()).collect();
        steps.extend(advice::next_steps(&statuses, lag));
    }
    steps
}

/// What is to be done about what could not be found out.
fn of_faults(database: &Observed) -> impl Iterator<Item = String> {
    let name = &database.status.name;
    database.faults.iter().map(move |fault| {
        let remedy = fault.remedy.as_ref().unwrap_or(&fault.what);
        format!("{name}: {}", output::one_line(remedy))
    })
}

/// What is to be done about lease and fence.
fn of_processes(database: &Observed) -> Option<String> {
    let name = &database.status.name;
    let phase = database.status.phase?;
    let is_final = phase == Phase::Final;
    if database.fence.is_some_and(|fence| fence.raised) && !is_final {
        return Some(format!(
            "{name}: the fence is up and nothing is final: `highwater final-sync --fence` goes on, \
             `highwater final-sync --lower` lets production write again"
        ));
    }
    (database.lease_held == Some(false) && !is_final)
        .then(|| format!("{name}: no process is at work: start `highwater run`"))
}

impl Report for StatusReport {
    fn text(&self, style: Style) -> String {
        let databases: String = self.databases.iter().map(|database| one(database, style) + "\n").collect();
        databases + &output::next_steps(&self.next_steps)
    }
}

fn one(database: &Observed, style: Style) -> String {
    let status = &database.status;
    let phase = match status.phase {
        Some(phase) => phase.name(),
        None if database.faults.is_empty() => "nothing is copied yet",
        None => "not known",
    };
    let mut text = format!(
        "database {}: {phase}\n  source: {}\n  target: {}\n",
        status.name, status.source, status.target
    );
    for fact in facts(database) {
        text += &format!("  {fact}\n");
    }
    if !status.tables.is_empty() {
        text += &tables(&status.tables, style);
    }
    let reason = |t: &TableStatus| {
        t.reason.as_ref().map(|r| format!("{} is {}: {}", t.table, t.state, output::one_line(r)))
    };
    text += &output::list("reasons", &status.tables.iter().filter_map(reason).collect::<Vec<_>>());
    let exempt = status.tables.iter().filter_map(|t| t.exempt.line(&t.table));
    text += &output::list("exempt from replay", &exempt.collect::<Vec<_>>());
    text += &output::list("capture", &database.capture_faults.iter().map(fault).collect::<Vec<_>>());
    text += &output::list("parked, for example", &parked(database));
    text + &database.faults.iter().map(Failure::text).collect::<String>()
}

fn facts(database: &Observed) -> Vec<String> {
    let status = &database.status;
    let mut facts = Vec::new();
    match (database.lease_held, &status.holder) {
        // A daemon that finds a final target does not record its name there.
        (Some(true), Some(holder)) if status.phase == Some(Phase::Final) => facts
            .push(format!("a process holds the lease; the last process that recorded its name: {holder}")),
        (Some(true), Some(holder)) => facts.push(format!("at work: {holder}{}", since(database))),
        (Some(true), None) => facts.push("at work: a process that is not named yet".to_string()),
        (Some(false), Some(holder)) => facts.push(format!("no process is at work; the last was {holder}")),
        (Some(false), None) => facts.push("no process is at work".to_string()),
        (None, _) => {}
    }
    if let Some(fence) = database.fence.filter(|fence| fence.raised) {
        facts.push(format!("THE FENCE IS UP (attempt {}): production can't write", fence.stamp));
    }
    if let Some(since) = status.phase_since.as_ref().filter(|_| status.phase == Some(Phase::Upgrading)) {
        facts.push(format!(
            "upgrading since {since}: nothing is written to the target, the change log is kept"
        ));
    }
    if let Some(at) = &status.upgraded_at {
        facts.push(format!("its schema was upgraded at {at}"));
    }
    if let Some(since) = &status.log_held_at {
        facts.push(format!("the change log is held since {since}: `highwater upgrade --release` ends that"));
    }
    if let Some(seconds) = status.oldest_transaction_seconds {
        facts.push(format!("oldest transaction on the source: {}", advice::duration(seconds)));
    }
    facts
}

fn since(database: &Observed) -> String {
    database.held_since.as_ref().map(|at| format!(", since {at}")).unwrap_or_default()
}

fn tables(tables: &[TableStatus], style: Style) -> String {
    let columns = [
        Column::Text("table"),
        Column::Text("state"),
        Column::Number("rows copied"),
        Column::Number("lag, rows"),
        Column::Number("lag, time"),
        Column::Text("in the target up to"),
        Column::Number("parked"),
    ];
    output::table(&columns, tables.iter().map(row), style)
}

fn row(table: &TableStatus) -> Vec<String> {
    let replaying = table.state == TableState::Replaying;
    let unknown = if replaying { "not known" } else { "" };
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| unknown.to_string());
    vec![
        table.table.clone(),
        table.state.to_string(),
        copied(table),
        or_unknown(table.lag_rows.map(output::number)),
        or_unknown(table.lag_seconds.map(advice::duration)),
        or_unknown(table.watermark_time.and_then(time)),
        output::number(table.parked),
    ]
}

fn copied(table: &TableStatus) -> String {
    let rows = output::number(table.rows_copied);
    if table.chunks_done < table.chunks {
        return format!("{rows} ({} of {} chunks)", table.chunks_done, table.chunks);
    }
    rows
}

fn time(seconds: f64) -> Option<String> {
    let since_1970 = Duration::try_from_secs_f64(seconds).ok()?;
    let at = DateTime::from_timestamp(i64::try_from(since_1970.as_secs()).ok()?, 0)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn fault(finding: &Finding) -> String {
    let table = finding.table.as_deref().unwrap_or("all tables");
    format!("{table}: {}\n    to do: {}", output::one_line(&finding.what), finding.remedy)
}

fn parked(database: &Observed) -> Vec<String> {
    let line = |p: &super::observe::ParkedKey| {
        format!("{} ({}): {}", p.table, output::one_line(&p.key.join(", ")), output::one_line(&p.reason))
    };
    database.parked_examples.iter().map(line).collect()
}
