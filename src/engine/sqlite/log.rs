//! The change log: its end, what is waiting in it, and whether it is still the one that a watermark
//! refers to.
//!
//! SQLite gives no sign when commits were lost or the file was restored, and then gives the same ids
//! again. So every entry carries a random tag, and each read looks whether the entry at the watermark
//! still carries the one that it had. Purging leaves that entry in place.

use std::collections::HashMap;

use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::capture::Names;
use super::connect::{Db, Session};
use super::fault::{self, Doing};
use super::value::{integer, integers, text, texts};
use crate::engine::{Lag, Measures, Origin, Watch};
use crate::error::{Error, Kind, Result};
use crate::model::{Extent, Mark, TablePlan, Watermark, quote};

/// How many entries one purge removes at most: a few milliseconds of writing.
const PURGE_STEP: i64 = 5_000;

/// How many logs one query looks at; a compound SELECT has at most 500 parts.
const LOGS_AT_ONCE: usize = 300;

/// The end of the log that the watermark covers.
pub(super) fn mark(watermark: &Watermark) -> Result<Mark> {
    match watermark.base() {
        Extent::Sqlite(mark) => Ok(*mark),
        _ => Err(Error::failed("a watermark of another engine can't be used with SQLite")),
    }
}

/// A log whose origin was checked in the session's transaction.
#[derive(Debug)]
pub(super) struct Log {
    /// Its name, in quotes.
    pub(super) name: String,
    purged_to: i64,
}

impl Log {
    /// Finds the log of a table and checks that it is the one of `origin`.
    ///
    /// # Errors
    /// [`Kind::Refused`] in another database, [`Kind::Doubtful`] when the log is gone or a new one.
    pub(super) async fn find(
        session: &mut Session,
        names: &Names,
        table: &TablePlan,
        origin: &Origin,
    ) -> Result<Self> {
        let place = session.place.clone();
        let sql = format!(
            "SELECT m.database, t.log, t.generation, t.purged_to FROM {} AS m LEFT JOIN {} AS t ON t.name = ?1",
            names.meta(),
            names.tables()
        );
        let args = texts(&[&table.source.name]).doing(&place, "looking for the change log")?;
        let rows = match session.all(sql, args).await {
            Err(error) if fault::is_missing(&error) => Vec::new(),
            rows => rows.doing(&place, "looking for the change log")?,
        };
        let label = table.label();
        let Some(row) = rows.first() else {
            return Err(doubtful(&label, "capture was removed from the source"));
        };
        let read = || Ok::<_, sqlx::Error>((text(row, 0)?, text(row, 1)?, text(row, 2)?));
        let (database, log, generation) = read().doing(&place, "looking for the change log")?;
        if database != origin.identity.database {
            return Err(Error::foreign(format!(
                "{place}: this is another database than the one that was copied ({database}, not {})",
                origin.identity.database
            ))
            .remedy("point `source` at the first one, or `highwater clean` and begin anew"));
        }
        if log.is_empty() || generation != origin.generation {
            return Err(doubtful(&label, "its change log was made anew and may have missed something"));
        }
        let purged_to = integer(row, 3).doing(&place, "looking for the change log")?;
        Ok(Log { name: quote(&log), purged_to })
    }

    /// Checks that nothing beyond `mark` was purged, and that the entry at `mark` is the one that was
    /// applied.
    ///
    /// # Errors
    /// [`Kind::Doubtful`] if not.
    pub(super) async fn check(&self, session: &mut Session, label: &str, mark: Mark) -> Result<()> {
        if self.purged_to > mark.id {
            return Err(doubtful(
                label,
                "the target stands before entries that were purged (was it restored from a backup?)",
            ));
        }
        if mark.id == 0 {
            return Ok(());
        }
        let sql = format!("SELECT tag FROM {} WHERE id = ?1", self.name);
        let place = session.place.clone();
        let args = integers(&[mark.id]).doing(&place, "reading the change log")?;
        let rows = session.all(sql, args).await.doing(&place, "reading the change log")?;
        let tag =
            rows.first().map(|row| integer(row, 0)).transpose().doing(&place, "reading the change log")?;
        if tag != Some(mark.tag) {
            return Err(doubtful(
                label,
                "the source has lost commits that were replayed already (was the file restored?)",
            ));
        }
        Ok(())
    }

    /// The end of the log as the session sees it.
    pub(super) async fn end(&self, session: &mut Session) -> Result<Mark> {
        end(session, &self.name).await
    }
}

/// The end of a log, named in quotes, as the session sees it.
pub(super) async fn end(session: &mut Session, log: &str) -> Result<Mark> {
    let place = session.place.clone();
    let sql = format!("SELECT id, tag FROM {log} ORDER BY id DESC LIMIT 1");
    let rows = session.all(sql, SqliteArguments::default()).await.doing(&place, "reading the change log")?;
    let mark =
        rows.first().map(|row| Ok::<_, sqlx::Error>(Mark { id: integer(row, 0)?, tag: integer(row, 1)? }));
    Ok(mark.transpose().doing(&place, "reading the change log")?.unwrap_or(Mark { id: 0, tag: 0 }))
}

fn doubtful(label: &str, why: &str) -> Error {
    Error::new(Kind::Doubtful, format!("{label}: {why}"))
}

/// A connection that watches the ends of the logs. It never writes, so `PRAGMA data_version` tells it
/// that somebody else did, for a few microseconds.
pub(super) struct Watcher {
    connection: SqliteConnection,
    seen: Option<(i64, HashMap<String, Mark>)>,
}

impl Watcher {
    /// Watches over `connection`.
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Watcher { connection, seen: None }
    }

    /// `PRAGMA data_version`: another one after each commit of somebody else.
    pub(super) async fn data_version(&mut self, place: &str) -> Result<i64> {
        self.pragma("PRAGMA data_version", place).await
    }

    /// `PRAGMA schema_version`: another one after each change of the schema.
    pub(super) async fn schema_version(&mut self, place: &str) -> Result<i64> {
        self.pragma("PRAGMA schema_version", place).await
    }

    async fn pragma(&mut self, sql: &'static str, place: &str) -> Result<i64> {
        let row =
            sqlx::query(sql).fetch_one(&mut self.connection).await.doing(place, "looking for changes")?;
        row.try_get_unchecked(0).doing(place, "looking for changes")
    }

    /// For each table whether its log is dirty; the logs are read only after a commit.
    pub(super) async fn poll(
        &mut self,
        names: &Names,
        watch: &[Watch<'_>],
        place: &str,
    ) -> Result<Vec<bool>> {
        let version = self.data_version(place).await?;
        let logs = logs(names, watch);
        let known = |seen: &(i64, HashMap<String, Mark>)| {
            seen.0 == version && logs.iter().all(|l| seen.1.contains_key(l))
        };
        if !self.seen.as_ref().is_some_and(known) {
            // The version was read first: what is committed from here on changes it again.
            self.seen = Some((version, ends(&mut self.connection, &logs, place).await?));
        }
        match &self.seen {
            Some((_, ends)) => dirty(watch, &logs, ends),
            None => Ok(Vec::new()),
        }
    }
}

/// For each table whether its log is dirty in the session's snapshot.
pub(super) async fn poll(session: &mut Session, names: &Names, watch: &[Watch<'_>]) -> Result<Vec<bool>> {
    let (place, logs) = (session.place.clone(), logs(names, watch));
    let ends = ends(session.connection(), &logs, &place).await?;
    dirty(watch, &logs, &ends)
}

fn logs(names: &Names, watch: &[Watch<'_>]) -> Vec<String> {
    watch.iter().map(|w| names.log(&w.table.source.name)).collect()
}

/// Whether each log's end is another than the watermark's. An end *before* the watermark counts: reading the log
/// will tell what happened.
fn dirty(watch: &[Watch<'_>], logs: &[String], ends: &HashMap<String, Mark>) -> Result<Vec<bool>> {
    watch.iter().zip(logs).map(|(w, log)| Ok(ends.get(log) != Some(&mark(w.watermark)?))).collect()
}

/// The ends of the logs that exist.
async fn ends(
    connection: &mut SqliteConnection,
    logs: &[String],
    place: &str,
) -> Result<HashMap<String, Mark>> {
    let mut ends = HashMap::new();
    for some in logs.chunks(LOGS_AT_ONCE) {
        match some_ends(connection, some).await {
            Ok(found) => ends.extend(found),
            // One is missing: the others still count.
            Err(error) if fault::is_missing(&error) => {
                for log in some {
                    ends.extend(some_ends(connection, std::slice::from_ref(log)).await.unwrap_or_default());
                }
            }
            Err(error) => return Err(fault::classify(error, place, "looking for changes")),
        }
    }
    Ok(ends)
}

async fn some_ends(
    connection: &mut SqliteConnection,
    logs: &[String],
) -> Result<HashMap<String, Mark>, sqlx::Error> {
    if logs.is_empty() {
        return Ok(HashMap::new());
    }
    let parts = logs.iter().enumerate().map(|(i, log)| {
        format!("SELECT * FROM (SELECT {i}, id, tag FROM {} ORDER BY id DESC LIMIT 1)", quote(log))
    });
    let sql = super::value::join(parts, " UNION ALL ");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let mut ends: HashMap<String, Mark> = logs.iter().map(|l| (l.clone(), Mark { id: 0, tag: 0 })).collect();
    for row in &rows {
        let log = usize::try_from(integer(row, 0)?).ok().and_then(|i| logs.get(i));
        ends.extend(
            log.map(|l| {
                Ok::<_, sqlx::Error>((l.clone(), Mark { id: integer(row, 1)?, tag: integer(row, 2)? }))
            })
            .transpose()?,
        );
    }
    Ok(ends)
}

/// How far behind the tables are. Only the log that a watermark belongs to tells: of another one, and of one that
/// lost the entry at the watermark, the lag is not known.
pub(super) async fn measure(db: &Db, names: &Names, watch: &[Watch<'_>]) -> Result<Measures> {
    let what = "measuring the lag";
    db.check_file()?;
    let mut session = db.reading(what).await?;
    let now = session.one("SELECT (julianday('now') - 2440587.5) * 86400.0").await.doing(&db.place, what)?;
    let now: f64 = now.try_get_unchecked(0).doing(&db.place, what)?;
    let origins = origins(&mut session, names).await.doing(&db.place, what)?;
    let mut lags = Vec::with_capacity(watch.len());
    for w in watch {
        let origin = (w.origin.identity.database.as_str(), w.origin.generation.as_str());
        let found = origins.get(&w.table.source.name);
        if found.is_none_or(|(database, generation)| (database.as_str(), generation.as_str()) != origin) {
            lags.push(None);
            continue;
        }
        let mark = mark(w.watermark)?;
        let log = quote(&names.log(&w.table.source.name));
        let sql = format!(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM {log} WHERE id > ?1 LIMIT {})), \
             (SELECT captured_at FROM {log} WHERE id > ?1 ORDER BY id LIMIT 1), \
             ?1 = 0 OR EXISTS (SELECT 1 FROM {log} WHERE id = ?1 AND tag = ?2)",
            Lag::MOST
        );
        let args = integers(&[mark.id, mark.tag]).doing(&db.place, what)?;
        lags.push(match session.all(sql, args).await {
            Ok(rows) => rows.first().map_or(Ok(None), |row| lag(row, now)).doing(&db.place, what)?,
            Err(error) if fault::is_missing(&error) => None,
            Err(error) => return Err(fault::classify(error, &db.place, what)),
        });
    }
    session.end().await.doing(&db.place, what)?;
    Ok(Measures { lags, oldest_transaction: None, now })
}

/// Database and generation of each captured table; none where capture is not installed.
async fn origins(
    session: &mut Session,
    names: &Names,
) -> Result<HashMap<String, (String, String)>, sqlx::Error> {
    let sql = format!(
        "SELECT t.name, m.database, t.generation FROM {} AS m, {} AS t",
        names.meta(),
        names.tables()
    );
    let rows = match session.all(sql, SqliteArguments::default()).await {
        Err(error) if fault::is_missing(&error) => return Ok(HashMap::new()),
        rows => rows?,
    };
    rows.iter().map(|row| Ok((text(row, 0)?, (text(row, 1)?, text(row, 2)?)))).collect()
}

fn lag(row: &sqlx::sqlite::SqliteRow, now: f64) -> Result<Option<Lag>, sqlx::Error> {
    let oldest: Option<f64> = row.try_get_unchecked(1)?;
    let lag =
        Lag { rows: integer(row, 0)?.unsigned_abs(), seconds: oldest.map_or(0.0, |at| (now - at).max(0.0)) };
    Ok((integer(row, 2)? != 0).then_some(lag))
}

/// Removes some entries below the watermark, never the one at it: by that one it is noticed when
/// commits were lost. As that one stays, so does the highest id.
pub(super) async fn purge(db: &Db, names: &Names, table: &TablePlan, watermark: &Watermark) -> Result<u64> {
    let what = "purging the change log";
    let log = quote(&names.log(&table.source.name));
    let mark = mark(watermark)?;
    let sql = format!(
        "SELECT max(id) FROM (SELECT id FROM {log} WHERE id < min(?1, (SELECT max(id) FROM {log})) ORDER BY id \
         LIMIT {PURGE_STEP})"
    );
    // Most of the time there is nothing to do: look without the writers' lock.
    let mut session = db.reading(what).await?;
    let rows = session.all(sql, integers(&[mark.id]).doing(&db.place, what)?).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    let to: Option<i64> =
        rows.first().map(|r| r.try_get_unchecked(0)).transpose().doing(&db.place, what)?.flatten();
    let Some(to) = to else { return Ok(0) };
    let mut session = db.writing(what).await?;
    // The log may have been made anew since: its ids begin again, and nothing of it was applied.
    let sql = format!("SELECT count(*) FROM {log} WHERE id = ?1 AND tag = ?2");
    let args = integers(&[mark.id, mark.tag]).doing(&db.place, what)?;
    let same = session.all(sql, args).await.doing(&db.place, what)?;
    let same = same.first().map(|row| integer(row, 0)).transpose().doing(&db.place, what)?;
    if same != Some(1) {
        session.undo().await.doing(&db.place, what)?;
        return Ok(0);
    }
    let sql = format!("DELETE FROM {log} WHERE id <= ?1");
    let args = integers(&[to]).doing(&db.place, what)?;
    let removed = session.run_with(sql, args).await.doing(&db.place, what)?;
    let sql = format!("UPDATE {} SET purged_to = max(purged_to, {to}) WHERE log = ?1", names.tables());
    let args = texts(&[&names.log(&table.source.name)]).doing(&db.place, what)?;
    session.run_with(sql, args).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    Ok(removed)
}
