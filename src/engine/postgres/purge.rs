//! Removing log entries that nobody needs any more, in steps that no writer notices.

use super::capture::log_of;
use super::connect::literal;
use super::ranges::{self, between};
use super::session::{Session, maybe, number};
use super::source::PostgresSource;
use crate::engine::template::fill;
use crate::error::{Error, Kind, Result};
use crate::model::{Snapshot, TablePlan, Watermark, quote};

/// How many entries one step removes.
const STEP: u64 = 20_000;

/// How far a log is empty: up to a snapshot, and of the delta from it to another one up to a position.
/// Without it every step would walk over what the steps before have removed.
#[derive(Debug, Clone, Default)]
pub(super) struct Purged {
    up_to: Option<Snapshot>,
    inside: Option<(Snapshot, (u64, i64))>,
}

/// As [`Source::purge`](crate::engine::Source::purge).
pub(super) async fn purge(source: &PostgresSource, table: &TablePlan, watermark: &Watermark) -> Result<u64> {
    let base = ranges::snapshot(watermark.base())?;
    let label = table.label();
    let purged = source.notes().purged.get(&label).cloned().unwrap_or_default();
    let (extent, after) = match purged.inside {
        Some((extent, after)) if base.covers(&extent) => (extent, Some(after)),
        _ => (base.clone(), None),
    };
    let nothing = Snapshot { xmin: 1, xmax: 1, open: Vec::new() };
    let from = purged.up_to.filter(|from| extent.covers(from)).unwrap_or(nothing);
    let Some(ranges) = ranges::values(&between(&from, &extent, after)) else { return Ok(0) };
    let mut session = source.session().await?;
    allow(source, &mut session, table, base).await?;
    let (limit, log) = (STEP.to_string(), log_of(&source.schema, &table.source));
    let sql = fill(
        include_str!("../../../sql/postgres/purge.sql"),
        &[("ranges", &ranges), ("log", &log), ("limit", &limit)],
    );
    let row = session.row(sql).await?;
    let removed: u64 = number(&row, 0)?;
    if removed == 0 {
        session.rollback().await?;
    } else {
        session.commit().await?;
    }
    let now = match (removed, maybe(&row, 1)) {
        (STEP, Some(_)) => {
            Purged { up_to: Some(from), inside: Some((extent, (number(&row, 1)?, number(&row, 2)?))) }
        }
        _ => Purged { up_to: Some(extent), inside: None },
    };
    source.notes().purged.insert(label, now);
    Ok(removed)
}

/// Begins the transaction: stores how far the log will be purged, never back and never beyond what an
/// applied watermark covers.
async fn allow(
    source: &PostgresSource,
    session: &mut Session,
    table: &TablePlan,
    base: &Snapshot,
) -> Result<()> {
    let (s, label) = (quote(&source.schema), literal(&table.label()));
    let rows = session
        .query(format!(
            "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
             SELECT t.purged_to FROM {s}.tables AS t
             WHERE t.label = {label} AND EXISTS (
                SELECT FROM {s}.meta AS m, pg_control_system() AS c WHERE m.cluster = c.system_identifier::text)
             FOR UPDATE OF t"
        ))
        .await?;
    let Some(row) = rows.first() else {
        return Err(Error::table(format!("{}: there is no log of {} to purge", source.place, table.label())));
    };
    match maybe(row, 0).map(str::parse::<Snapshot>).transpose()? {
        Some(stored) if stored.covers(base) => return Ok(()),
        Some(stored) if !base.covers(&stored) => {
            return Err(Error::new(
                Kind::Doubtful,
                format!("the log of {} was purged beyond what the target has", table.label()),
            ));
        }
        _ => {}
    }
    session.execute(format!("UPDATE {s}.tables SET purged_to = '{base}' WHERE label = {label}")).await?;
    Ok(())
}
