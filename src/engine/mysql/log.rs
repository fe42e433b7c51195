//! The change log: what is seen of it, what is waiting in it, and whether it is still the one that a
//! watermark refers to.
//!
//! Numbers don't come in the order of commits: a transaction may commit below others that were read
//! already. A batch therefore reads `seq > high OR seq BETWEEN gap`, and what lies between the numbers
//! that it saw becomes gaps (`docs/how-it-works.md`, "position order is not commit order").

use super::pin::Reader;
use super::session::{Session, maybe, number, text};
use super::source::Inner;
use super::value::{join, literal};
use super::{catalog, flush};
use crate::engine::{Lag, Measures, Origin, Record, Watch};
use crate::error::{Error, Kind, Result};
use crate::model::{Extent, Seen, TablePlan, Watermark};

/// How many entries one purge removes at most: a few milliseconds of writing.
const PURGE_STEP: u64 = 5_000;

/// How many gaps a statement names one by one.
pub(super) const MOST_RANGES: usize = 2_000;

/// A log that does not exist.
const MISSING: [u16; 2] = [1049, 1146];

/// The extent of this engine that the watermark covers.
pub(super) fn seen(watermark: &Watermark) -> Result<&Seen> {
    match watermark.base() {
        Extent::Mysql(seen) => Ok(seen),
        _ => Err(Error::failed("a watermark of another engine can't be used with MySQL")),
    }
}

/// The conditions under which a log row is not held by `seen`, on a column `seq`, in ascending order of
/// what they find: one, unless there are very many gaps.
pub(super) fn beyond(seen: &Seen) -> Vec<String> {
    let range = |gap: &(u64, u64)| format!("seq BETWEEN {} AND {}", gap.0, gap.1);
    let parts = seen.gaps.chunks(MOST_RANGES).map(|gaps| join(gaps.iter().map(range), " OR "));
    let mut parts: Vec<String> = parts.collect();
    let above = format!("seq > {}", seen.high);
    match parts.last_mut() {
        Some(last) => last.push_str(&format!(" OR {above}")),
        None => parts.push(above),
    }
    parts.iter().map(|part| format!("({part})")).collect()
}

/// A condition that finds no other rows than those beyond `seen`, and misses some only when there are
/// very many gaps; those are read even when nothing seems dirty, from time to time.
fn nearly_beyond(seen: &Seen) -> String {
    let parts = beyond(seen);
    match parts.as_slice() {
        [first, _, ..] => format!("({first} OR seq > {})", seen.high),
        _ => parts.concat(),
    }
}

/// A transaction that reads, on one snapshot, in which the log was found to be the one of the watermark.
pub(super) struct Opened {
    /// The transaction.
    pub(super) session: Reader,
    /// The log.
    pub(super) log: Log,
    /// How far the redo log stood when the snapshot was there (see [`flush`]).
    pub(super) position: Option<flush::Position>,
}

/// A log whose origin was checked in a session's transaction.
#[derive(Debug)]
pub(super) struct Log {
    /// The log, as SQL.
    pub(super) name: String,
    purged_to: u64,
}

/// Begins a transaction that reads, and checks in its snapshot that the log is the one of the watermark's
/// origin, that nothing beyond the watermark was purged, and that the row at its end is the one that was
/// seen. One round trip.
///
/// # Errors
/// [`Kind::Refused`] in another database, [`Kind::Doubtful`] when the log is gone, a new one, or has lost
/// something.
pub(super) async fn open(source: &Inner, watch: Watch<'_>) -> Result<Opened> {
    let (names, seen) = (&source.names, seen(watch.watermark)?);
    let log = names.log(&watch.table.source.name);
    let (mut session, begin) = Reader::of(source).await?;
    let sql = format!(
        "{begin}; SELECT m.database_id, t.generation, t.purged_to, (SELECT captured_at FROM {log} WHERE seq = {}), 'log' \
         FROM {} AS m LEFT JOIN {} AS t ON t.database_name = m.database_name AND t.table_name = {} \
         WHERE m.database_name = {}; {}",
        seen.high,
        names.own("meta"),
        names.own("tables"),
        literal(&watch.table.source.name),
        names.database_literal(),
        flush::POSITION
    );
    let label = watch.table.label();
    let gone = || doubtful(&label, "capture was removed from the source");
    let rows = match session.query(sql).await {
        Err(error) if matches!(error.kind(), Kind::Table | Kind::Refused) => {
            return Err(gone().because(error));
        }
        rows => rows?,
    };
    let (row, status) = rows.split_first().filter(|(row, _)| maybe(row, 4).is_some()).ok_or_else(gone)?;
    let position = flush::position(status)?;
    let log = Log::found(log, row, watch.origin, &label, &session.place)?;
    log.check(&label, seen, maybe(row, 3))?;
    Ok(Opened { session, log, position })
}

impl Log {
    /// The log by its registration, if that is the one of `origin`.
    fn found(name: String, row: &Record, origin: &Origin, label: &str, place: &str) -> Result<Self> {
        let database = text(row, 0)?;
        if database != origin.identity.database {
            return Err(Error::foreign(format!(
                "{place}: this is another database than the one that was copied ({database}, not {})",
                origin.identity.database
            ))
            .remedy("point `source` at the first one, or `highwater clean` and begin anew"));
        }
        if maybe(row, 1) != Some(&origin.generation) {
            return Err(doubtful(label, "its change log was made anew and may have missed something"));
        }
        Ok(Log { name, purged_to: number(row, 2)? })
    }

    /// Checks that nothing beyond `seen` was purged, and that the row at its end has the tag that it had.
    fn check(&self, label: &str, seen: &Seen, tag: Option<&str>) -> Result<()> {
        if self.purged_to > 0 && !seen.covers(&Seen { high: self.purged_to, ..Seen::default() }) {
            let why = "the target stands before entries that were purged (was it restored from a backup?)";
            return Err(doubtful(label, why));
        }
        if seen.high > 0 && tag != Some(&seen.tag) {
            let why = "the source has lost commits that were replayed already (was it restored?)";
            return Err(doubtful(label, why));
        }
        Ok(())
    }

    /// All that the session's snapshot sees of the log. It reads the log's numbers, all of them.
    pub(super) async fn extent(&self, session: &mut Session) -> Result<Seen> {
        extent_of(session, &self.name, self.purged_to).await
    }
}

async fn extent_of(session: &mut Session, log: &str, purged_to: u64) -> Result<Seen> {
    let last = session.query(format!("SELECT seq, captured_at FROM {log} ORDER BY seq DESC LIMIT 1")).await?;
    let Some(last) = last.first() else { return Ok(Seen { high: purged_to, ..Seen::default() }) };
    let high: u64 = number(last, 0)?;
    let whole = Seen { high, tag: text(last, 1)?.to_string(), gaps: Vec::new() };
    let rows: u64 = number(&session.row(format!("SELECT COUNT(*) FROM {log}")).await?, 0)?;
    // Counting is quicker than looking for what is missing, and mostly nothing is.
    if rows == high.saturating_sub(purged_to) {
        return Ok(whole);
    }
    let gaps = format!(
        "SELECT low + 1, seq - 1 FROM (SELECT seq, COALESCE(LAG(seq) OVER (ORDER BY seq), {purged_to}) AS low FROM {log}) AS s \
         WHERE seq > low + 1 ORDER BY seq"
    );
    let gaps = session.query(gaps).await?;
    let gap = |row: &Record| Ok((number(row, 0)?, number(row, 1)?));
    Ok(Seen { gaps: gaps.iter().map(gap).collect::<Result<_>>()?, ..whole })
}

fn doubtful(label: &str, why: &str) -> Error {
    Error::new(Kind::Doubtful, format!("{label}: {why}"))
}

/// Ends a transaction that has read, once the source can't lose any more what it saw. Where the server
/// does not tell, it must at least be the same life of it.
pub(super) async fn settle(
    source: &Inner,
    session: Reader,
    position: Option<flush::Position>,
    origin: &Origin,
    label: &str,
) -> Result<()> {
    if position.is_none()
        && catalog::identity(&source.server, &source.names).await?.life != origin.identity.life
    {
        return Err(doubtful(label, "the source was restarted and may have lost commits"));
    }
    session.end(source, position).await
}

/// What can be seen of a table's log now.
pub(super) async fn extent(source: &Inner, table: &TablePlan) -> Result<Extent> {
    let (mut session, begin) = Reader::of(source).await?;
    session.execute(begin).await?;
    let (tables, database) = (source.names.own("tables"), source.names.database_literal());
    let sql = format!(
        "SELECT log, purged_to FROM {tables} WHERE database_name = {database} AND table_name = {}",
        literal(&table.source.name)
    );
    let rows = session.query(sql).await?;
    let row = rows.first().ok_or_else(|| doubtful(&table.label(), "its changes are not captured"))?;
    let seen = extent_of(&mut session, &source.names.own(text(row, 0)?), number(row, 1)?).await?;
    session.end(source, None).await?;
    Ok(Extent::Mysql(seen))
}

/// For each table whether its log holds a row beyond the watermark. One query for all.
pub(super) async fn poll(source: &Inner, watch: &[Watch<'_>]) -> Result<Vec<bool>> {
    let mut asked = Vec::with_capacity(watch.len());
    for (i, w) in watch.iter().enumerate() {
        let log = source.names.log(&w.table.source.name);
        let beyond = nearly_beyond(seen(w.watermark)?);
        asked.push(format!("SELECT {i}, EXISTS (SELECT 1 FROM {log} WHERE {beyond})"));
    }
    exists(source, &asked).await
}

/// The answers to some questions. A log that is missing counts as dirty: reading it tells what happened.
async fn exists(source: &Inner, asked: &[String]) -> Result<Vec<bool>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let (mut session, begin) = Reader::of(source).await?;
    session.execute(begin).await?;
    let answer = session.query(asked.join(" UNION ALL ")).await;
    let mut dirty = vec![true; asked.len()];
    match answer {
        Ok(rows) => {
            for row in &rows {
                if let Some(dirty) = dirty.get_mut(number::<usize>(row, 0)?) {
                    *dirty = text(row, 1)? == "1";
                }
            }
        }
        Err(error) if is_missing(&error) => {
            for (sql, dirty) in asked.iter().zip(&mut dirty) {
                match session.row(sql.as_str()).await {
                    Err(error) if is_missing(&error) => {}
                    row => *dirty = text(&row?, 1)? == "1",
                }
            }
        }
        Err(error) => return Err(error),
    }
    session.end(source, None).await?;
    Ok(dirty)
}

fn is_missing(error: &Error) -> bool {
    MISSING.iter().any(|number| error.summary().ends_with(&format!("[error {number}]")))
}

/// How far behind the tables are.
pub(super) async fn measure(source: &Inner, watch: &[Watch<'_>]) -> Result<Measures> {
    let mut session = source.server.session().await?;
    let mut lags = Vec::with_capacity(watch.len());
    for w in watch {
        let log = source.names.log(&w.table.source.name);
        let beyond = nearly_beyond(seen(w.watermark)?);
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM {log} WHERE {beyond} LIMIT {}) AS waiting), \
             (SELECT TIMESTAMPDIFF(MICROSECOND, captured_at, UTC_TIMESTAMP(6)) FROM {log} WHERE {beyond} \
              ORDER BY seq LIMIT 1)",
            Lag::MOST
        );
        lags.push(match session.row(sql).await {
            Ok(row) => Some(lag(&row)?),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(error),
        });
    }
    let now = session.row("SELECT UNIX_TIMESTAMP(NOW(6))").await?;
    let oldest = session
        .query("SELECT TIMESTAMPDIFF(SECOND, MIN(TRX_STARTED), CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) FROM information_schema.INNODB_TRX WHERE TRX_MYSQL_THREAD_ID <> CONNECTION_ID()")
        .await;
    session.close();
    // Without PROCESS it can't be seen, and on MySQL not at every moment. The server shows when a transaction
    // began in its own time zone, not in the session's.
    let oldest = oldest.ok().map(|rows| rows.first().and_then(|row| number(row, 0).ok()).unwrap_or(0.0));
    Ok(Measures { lags, oldest_transaction: oldest, now: number(&now, 0)? })
}

fn lag(row: &Record) -> Result<Lag> {
    let microseconds: f64 = maybe(row, 1).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    Ok(Lag { rows: number(row, 0)?, seconds: (microseconds / 1e6).max(0.0) })
}

/// Removes some entries below the watermark and all its gaps; never the row at its end, by which it is
/// noticed when commits were lost, and which keeps the log's counter where it is.
pub(super) async fn purge(source: &Inner, table: &TablePlan, watermark: &Watermark) -> Result<u64> {
    let seen = seen(watermark)?;
    let log = source.names.log(&table.source.name);
    let end = seen.gaps.first().map_or(seen.high, |gap| gap.0.min(seen.high));
    let mut session = source.server.session().await?;
    // Most of the time there is nothing to do: look without locks.
    let step = format!(
        "SELECT MAX(seq), COUNT(*) FROM (SELECT seq FROM {log} WHERE seq < {end} ORDER BY seq LIMIT {PURGE_STEP}) \
         AS step"
    );
    let step = session.row(step).await?;
    let Some((to, rows)) = maybe(&step, 0).zip(maybe(&step, 1)) else {
        session.close();
        return Ok(0);
    };
    session.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION").await?;
    let same = session.query(format!("SELECT captured_at FROM {log} WHERE seq = {}", seen.high)).await?;
    if same.first().and_then(|row| maybe(row, 0)) != Some(&seen.tag) {
        // The log was made anew since: its numbers begin again, and nothing of it was applied.
        session.rollback().await?;
        return Ok(0);
    }
    let stored = format!(
        "UPDATE {} SET purged_to = GREATEST(purged_to, {to}) WHERE database_name = {} AND table_name = {}",
        source.names.own("tables"),
        source.names.database_literal(),
        literal(&table.source.name)
    );
    session.execute(stored).await?;
    // The limit ends the scan before the next row, which a writer may hold.
    let delete = format!("DELETE FROM {log} WHERE seq <= {to} ORDER BY seq LIMIT {rows}");
    let removed = session.execute(delete).await?;
    session.commit().await?;
    Ok(removed)
}
