//! Raising the fence: a trigger on each change log, one log at a time, each in a short transaction that is
//! sent as one message (docs/how-it-works.md, "the fence is lowered by data").
//!
//! Crash story: the row says `raised` before the first trigger is made. A process that finds triggers finds the row,
//! and lowering is one update of it; a trigger that arrives after that is inert.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::connect::{classify, literal};
use super::fence::{self, is_lock};
use super::inspect::inspect;
use super::install::holders;
use super::session::{Session, flag, maybe, number, text};
use super::source::PostgresSource;
use crate::engine::template::fill;
use crate::engine::{Fault, Stamp};
use crate::error::{Error, Kind, Result};
use crate::model::{Plan, quote};

/// The pause between two attempts on a log: writers that queued up get through.
const PAUSE: Duration = Duration::from_millis(200);

/// How long the server may need to say that a lock could not be had.
const GRACE: Duration = Duration::from_secs(2);

/// The age, in seconds, of a transaction that is waited for before the first trigger is made.
const OLD: f64 = 3.0;

/// A table on which the fence stands while it is raised.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) name: String,
    relid: u32,
}

/// As [`Source::raise_fence`](crate::engine::Source::raise_fence).
pub(super) async fn raise(source: &PostgresSource, plan: &Plan, stamp: Stamp, until: Instant) -> Result<()> {
    is_intact(source, plan).await?;
    let mut session = source.session().await?;
    has_standby(source, &mut session).await?;
    wait_for_old_writers(source, &mut session, until).await?;
    fence::begin(source, &mut session, stamp).await?;
    // A log that is made after this list was read gets the fence from the process that makes it.
    for log in logs(source, &mut session).await? {
        let raised = tokio::time::timeout_at(
            (until + GRACE).into(),
            raise_on(source, &mut session, &log, stamp, until),
        );
        raised.await.unwrap_or_else(|_| Err(late(source, &log.name, "the server did not answer")))?;
    }
    session.close();
    Ok(())
}

/// The change logs, and the table where capture notes what it can't log: a write that can't be logged must be
/// refused too.
pub(super) async fn logs(source: &PostgresSource, session: &mut Session) -> Result<Vec<Log>> {
    let s = quote(&source.schema);
    let sql = format!(
        "SELECT t.log, t.log_relid FROM {s}.tables AS t WHERE t.captured \
         UNION ALL SELECT 'broken', {}::regclass::oid",
        literal(&format!("{s}.broken"))
    );
    let rows = session.query(sql).await?;
    rows.iter().map(|row| Ok(Log { name: text(row, 0)?.to_string(), relid: number(row, 1)? })).collect()
}

/// A commit waits for a synchronous standby: without one it would hold the lock on a log for as long.
async fn has_standby(source: &PostgresSource, session: &mut Session) -> Result<()> {
    let row = session.row(include_str!("../../../sql/postgres/standbys.sql")).await?;
    if !flag(&row, 0) || flag(&row, 1) {
        return Ok(());
    }
    let (what, remedy) = match maybe(&row, 1) {
        Some(_) => ("no synchronous standby is attached", "attach it, or change synchronous_standby_names"),
        None => (
            "whether a synchronous standby is attached can't be seen",
            "GRANT pg_monitor to the user of the URL",
        ),
    };
    Err(Error::refused(format!("{}: {what}, so a commit may never end", source.place)).remedy(remedy))
}

/// A log that is not intact can't carry the fence; capture that is silenced is a fence that is silenced.
pub(super) async fn is_intact(source: &PostgresSource, plan: &Plan) -> Result<()> {
    let faults: Vec<String> = inspect(source, plan)
        .await?
        .into_iter()
        .filter_map(|verdict| {
            let (Fault::Mend(what) | Fault::Stop { what, .. }) = verdict.fault?;
            Some(format!("{}: {what}", verdict.label))
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!("{}: capture is not intact: {}", source.place, faults.join("; ")))
        .remedy("let `highwater run` repair it, or exclude the table"))
}

/// Waits, without any lock, for transactions that wrote a log long ago: behind the DDL that waits for such a
/// one, every writer of the table would queue.
async fn wait_for_old_writers(source: &PostgresSource, session: &mut Session, until: Instant) -> Result<()> {
    let sql = fill(
        include_str!("../../../sql/postgres/log_writers.sql"),
        &[("schema_name", &literal(&source.schema))],
    );
    let mut waited_for: Option<HashSet<String>> = None;
    loop {
        let rows = session.query(sql.as_str()).await?;
        // Of one whose age can't be seen nothing is known. Later looks need not ask about age: who was
        // young at the first one is not waited for, or there would be no end on a busy server.
        let is_old = |row: &&crate::engine::Record| match &waited_for {
            None => maybe(row, 2).and_then(|age| age.parse::<f64>().ok()).is_none_or(|age| age > OLD),
            Some(known) => maybe(row, 0).is_some_and(|id| known.contains(id)),
        };
        let old: Vec<_> = rows.iter().filter(is_old).collect();
        if old.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            let who: Vec<String> =
                old.iter().map(|row| maybe(row, 1).unwrap_or_default().to_string()).collect();
            return Err(late(source, text(old[0], 3)?, &who.join("; ")));
        }
        waited_for = Some(old.iter().filter_map(|row| maybe(row, 0).map(str::to_string)).collect());
        pause(until).await;
    }
}

async fn raise_on(
    source: &PostgresSource,
    session: &mut Session,
    log: &Log,
    stamp: Stamp,
    until: Instant,
) -> Result<()> {
    let s = quote(&source.schema);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let holders = holders(session, &[log.relid]).await?;
            return Err(late(source, &log.name, &holders));
        }
        let sql = fill(
            include_str!("../../../sql/postgres/raise_fence.sql"),
            &[
                ("log", &format!("{s}.{}", quote(&log.name))),
                ("left", &left.as_millis().max(1).to_string()),
                ("lock_timeout", &source.lock_timeout.min(left).as_millis().max(1).to_string()),
                ("s", &s),
                ("log_name", &literal(&log.name)),
                ("attempt", &stamp.attempt.to_string()),
            ],
        );
        match session.attempt(sql).await? {
            Ok(()) => return Ok(()),
            Err(error) if is_lock(&error) => pause(until).await,
            Err(error) => return Err(classify(error, &source.place)),
        }
    }
}

async fn pause(until: Instant) {
    tokio::time::sleep(PAUSE.min(until.saturating_duration_since(Instant::now()))).await;
}

fn late(source: &PostgresSource, log: &str, holders: &str) -> Error {
    Error::new(
        Kind::NotConverged,
        format!("{}: the fence could not be raised on {log} in time: {holders}", source.place),
    )
    .remedy("end these transactions, or allow a longer --timeout")
}
