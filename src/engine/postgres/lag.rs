//! How much is waiting, in one statement for all tables.

use super::capture::log_of;
use super::ranges::{self, Range};
use super::session::{Session, maybe, number, text};
use super::source::PostgresSource;
use crate::engine::template::fill;
use crate::engine::{Lag, Measures, Record, Watch};
use crate::error::{Error, Result};
use crate::model::Snapshot;

/// Up to how many ranges of a table are probed one by one.
const FEW: usize = 3;

/// As [`Source::poll`](crate::engine::Source::poll).
pub(super) async fn poll(source: &PostgresSource, watch: &[Watch<'_>]) -> Result<Vec<bool>> {
    let mut session = source.session().await?;
    let now = begin(source, &mut session).await?;
    let dirty = probe(source, &mut session, watch, &now).await?;
    session.commit().await?;
    Ok(dirty)
}

/// As [`Source::measure`](crate::engine::Source::measure).
pub(super) async fn measure(source: &PostgresSource, watch: &[Watch<'_>]) -> Result<Measures> {
    let mut session = source.session().await?;
    let now = begin(source, &mut session).await?;
    let dirty = probe(source, &mut session, watch, &now).await?;
    let mut parts = Vec::new();
    for (number, watched) in watch.iter().enumerate().filter(|(number, _)| dirty[*number]) {
        let Some(ranges) = ranges::values(&unapplied(watched, &now)?) else { continue };
        let pairs = [
            ("number", number.to_string()),
            ("log", log_of(&source.schema, &watched.table.source)),
            ("ranges", ranges),
            ("most", Lag::MOST.to_string()),
        ];
        parts.push(filled(include_str!("../../../sql/postgres/lag.sql"), &pairs));
    }
    let mut lags = vec![Some(Lag::default()); watch.len()];
    for row in together(&mut session, &parts).await? {
        let seconds = maybe(&row, 2).and_then(|s| s.parse::<f64>().ok()).unwrap_or(0.0);
        if let Some(lag) = lags.get_mut(number::<usize>(&row, 0)?) {
            *lag = Some(Lag { rows: number(&row, 1)?, seconds: seconds.max(0.0) });
        }
    }
    let row = session.row(include_str!("../../../sql/postgres/oldest_transaction.sql")).await?;
    session.commit().await?;
    let now = text(&row, 0)?;
    let now = now.parse().map_err(|_| Error::failed(format!("`{now}` is not a time")))?;
    Ok(Measures { lags, oldest_transaction: maybe(&row, 1).and_then(|age| age.parse().ok()), now })
}

/// Begins to look at logs, by their index whatever the statistics say. Returns what is seen.
async fn begin(source: &PostgresSource, session: &mut Session) -> Result<Snapshot> {
    let begin = source.begin_read(session).await?;
    let row = session
        .row(format!(
            "{begin} SET LOCAL lock_timeout = '30s'; \
             SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SELECT pg_current_snapshot()"
        ))
        .await?;
    let now = text(&row, 0)?.parse()?;
    source.sees_pin(&now)?;
    Ok(now)
}

/// For each table whether its log holds an entry that is not applied.
async fn probe(
    source: &PostgresSource,
    session: &mut Session,
    watch: &[Watch<'_>],
    now: &Snapshot,
) -> Result<Vec<bool>> {
    let mut probes = Vec::new();
    for (number, watched) in watch.iter().enumerate() {
        let log = log_of(&source.schema, &watched.table.source);
        let ranges = unapplied(watched, now)?;
        if ranges.len() <= FEW {
            probes.extend(ranges.iter().map(|range| quick_probe(number, &log, range)));
        } else if let Some(ranges) = ranges::values(&ranges) {
            let pairs = [("number", number.to_string()), ("log", log), ("ranges", ranges)];
            probes.push(filled(include_str!("../../../sql/postgres/probe.sql"), &pairs));
        }
    }
    // A delta that is being drained is ended by a batch, even if nothing is left in it.
    let mut dirty: Vec<bool> = watch.iter().map(|w| w.watermark.inside().is_some()).collect();
    for row in together(session, &probes).await? {
        if let Some(dirty) = dirty.get_mut(number::<usize>(&row, 0)?) {
            *dirty = true;
        }
    }
    Ok(dirty)
}

/// A probe of one range. Hundreds of tables are asked at once, so what it costs to plan counts.
fn quick_probe(number: usize, log: &str, range: &Range) -> String {
    let Range { low, after, high } = range;
    format!(
        "(SELECT {number} FROM {log} AS l \
         WHERE (l.xid, l.id) > ('{low}'::xid8, {after}) AND l.xid <= '{high}'::xid8 LIMIT 1)"
    )
}

async fn together(session: &mut Session, parts: &[String]) -> Result<Vec<Record>> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    session.query(parts.join("\nUNION ALL\n")).await
}

/// What of the log is not applied, as far as `now` sees it: the rest of the delta that is being drained,
/// and all beyond it.
fn unapplied(watched: &Watch<'_>, now: &Snapshot) -> Result<Vec<Range>> {
    let (base, inside) = (ranges::snapshot(watched.watermark.base())?, watched.watermark.inside());
    let Some((extent, _)) = inside else { return Ok(ranges::between(base, now, None)) };
    let (extent, mut ranges) = (ranges::snapshot(extent)?, ranges::delta(watched.watermark, now)?.1);
    ranges.extend(ranges::between(extent, now, None));
    Ok(ranges)
}

fn filled(sql: &str, pairs: &[(&str, String)]) -> String {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fill(sql.trim(), &pairs)
}
