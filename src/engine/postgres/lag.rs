//! How much is waiting, in one statement for all tables.

use super::capture::log_of;
use super::ranges::{self, Range};
use super::session::{Session, flag, maybe, number, text};
use super::source::PostgresSource;
use crate::engine::template::fill;
use crate::engine::{Lag, Measures, Watch};
use crate::error::{Error, Result};
use crate::model::Snapshot;

/// As [`Source::poll`](crate::engine::Source::poll).
pub(super) async fn poll(source: &PostgresSource, watch: &[Watch<'_>]) -> Result<Vec<bool>> {
    let mut dirty: Vec<bool> = watch.iter().map(|w| w.watermark.inside().is_some()).collect();
    let mut probes = Vec::new();
    for (number, watched) in watch.iter().enumerate().filter(|(number, _)| !dirty[*number]) {
        let base = ranges::snapshot(watched.watermark.base())?;
        let (log, open, next) = unseen(source, watched, base);
        let probe = include_str!("../../../sql/postgres/probe.sql").trim();
        probes.push(fill(
            probe,
            &[("number", &number.to_string()), ("log", &log), ("open", &open), ("next", &next)],
        ));
    }
    if probes.is_empty() {
        return Ok(dirty);
    }
    let gaps = include_str!("../../../sql/postgres/gaps.sql");
    let mut session = source.session().await?;
    let rows = by_index(&mut session, format!("{gaps}{}", probes.join("\nUNION ALL\n"))).await?;
    session.close();
    for row in &rows {
        if let Some(dirty) = dirty.get_mut(number::<usize>(row, 0)?) {
            *dirty = flag(row, 1);
        }
    }
    Ok(dirty)
}

/// As [`Source::measure`](crate::engine::Source::measure).
pub(super) async fn measure(source: &PostgresSource, watch: &[Watch<'_>]) -> Result<Measures> {
    let mut parts = Vec::new();
    for (number, watched) in watch.iter().enumerate() {
        let (seen, left) = drained(watched)?;
        let (log, open, next) = unseen(source, watched, &seen);
        let left = ranges::values(&left).unwrap_or_else(|| "('1'::xid8, 0, '0'::xid8)".to_string());
        parts.push(fill(
            include_str!("../../../sql/postgres/lag.sql").trim(),
            &[
                ("number", &number.to_string()),
                ("log", &log),
                ("open", &open),
                ("next", &next),
                ("left", &left),
                ("most", &Lag::MOST.to_string()),
            ],
        ));
    }
    let mut session = source.session().await?;
    let mut lags = vec![Lag::default(); watch.len()];
    if !parts.is_empty() {
        let gaps = include_str!("../../../sql/postgres/gaps.sql");
        let parts: Vec<String> = parts.iter().map(|part| format!("({part})")).collect();
        for row in by_index(&mut session, format!("{gaps}{}", parts.join("\nUNION ALL\n"))).await? {
            let seconds = maybe(&row, 2).and_then(|s| s.parse::<f64>().ok()).unwrap_or(0.0);
            if let Some(lag) = lags.get_mut(number::<usize>(&row, 0)?) {
                *lag = Lag { rows: number(&row, 1)?, seconds: seconds.max(0.0) };
            }
        }
    }
    let row = session.row(include_str!("../../../sql/postgres/oldest_transaction.sql")).await?;
    session.close();
    let now = text(&row, 0)?;
    let now = now.parse().map_err(|_| Error::failed(format!("`{now}` is not a time")))?;
    Ok(Measures { lags, oldest_transaction: maybe(&row, 1).and_then(|age| age.parse().ok()), now })
}

/// The snapshot from which on everything is dirty, and what is left of the delta below it.
fn drained(watched: &Watch<'_>) -> Result<(Snapshot, Vec<Range>)> {
    let base = ranges::snapshot(watched.watermark.base())?;
    match watched.watermark.inside() {
        Some(_) => ranges::delta(watched.watermark, base),
        None => Ok((base.clone(), Vec::new())),
    }
}

/// The log, and what `base` did not see: transactions that were open then, and the first one after them.
fn unseen(source: &PostgresSource, watched: &Watch<'_>, base: &Snapshot) -> (String, String, String) {
    let open: Vec<String> = base.open.iter().map(u64::to_string).collect();
    (log_of(&source.schema, &watched.table.source), open.join(","), base.xmax.to_string())
}

/// Runs a query that is to look into logs by their index, whatever the statistics say.
async fn by_index(session: &mut Session, sql: String) -> Result<Vec<crate::engine::Record>> {
    session
        .query(format!(
            "BEGIN READ ONLY; SET LOCAL lock_timeout = '30s'; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; {sql}; COMMIT"
        ))
        .await
}
