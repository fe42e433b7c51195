//! Questions to a source beside the reading of rows: what `plan` tries, which keys hold a value, which
//! keys came or went, and whatever an operator asks.

use super::capture::{log_of, numbered};
use super::changed;
use super::connect::{classify, literal};
use super::copy_out::{Blocks, Rows};
use super::facts::{self, KeyColumn};
use super::ranges;
use super::read::{Reading, typed};
use super::selection::{Selection, from, user_path};
use super::session::{Session, number};
use super::source::PostgresSource;
use crate::engine::template::fill;
use crate::engine::{Record, Watch};
use crate::error::{Error, Kind, Result};
use crate::model::{Block, Extent, Key, Layout, Strategy, TablePlan, quote};

/// Begins a transaction in which nothing can be written.
pub(super) const BEGIN: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '30s'";

/// As [`Source::sample`](crate::engine::Source::sample).
pub(super) async fn sample(source: &PostgresSource, table: &TablePlan, rows: u64) -> Result<Vec<Block>> {
    let mut session = source.session().await?;
    let key = match table.strategy {
        Strategy::Keyed => facts::key_of(&mut session, table).await?,
        Strategy::Whole => Vec::new(),
    };
    let selection = Selection::of(table, &key);
    session.execute(format!("{BEGIN}; {}", selection.path())).await?;
    let layout = if key.is_empty() { Layout::Plain } else { Layout::Staged };
    let select = format!("{} LIMIT {rows}", selection.rows("", layout));
    let read = sampled(&mut session, &select, table).await.map_err(|e| refused(e, table))?;
    session.commit().await?;
    Ok(read)
}

async fn sampled(session: &mut Session, select: &str, table: &TablePlan) -> Result<Vec<Block>> {
    let mut rows = Rows::start(session, select, table.form).await?;
    let mut gathered = Blocks::new(table.form);
    let mut blocks = Vec::new();
    while let Some(row) = rows.next().await? {
        blocks.extend(gathered.add(&row));
    }
    blocks.extend(gathered.finish());
    Ok(blocks)
}

/// What a server says of a statement that holds the operator's SQL is about that.
fn refused(error: Error, table: &TablePlan) -> Error {
    match error.kind() {
        Kind::Data | Kind::Failed => Error::table(error.summary())
            .remedy(format!("look at the filter and the expressions of {}", table.source)),
        _ => error,
    }
}

/// As [`Source::keys_with`](crate::engine::Source::keys_with).
pub(super) async fn keys_with(
    source: &PostgresSource,
    table: &TablePlan,
    column: &str,
    values: &[String],
) -> Result<Vec<Key>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let mut session = source.session().await?;
    let begin = source.begin_read(&mut session).await?;
    session.execute(format!("{begin} SET LOCAL lock_timeout = '30s'")).await?;
    let key = facts::key_of(&mut session, table).await?;
    let asked = TablePlan { key: vec![column.to_string()], strategy: Strategy::Keyed, ..table.clone() };
    let compared = facts::key_of(&mut session, &asked).await?;
    let wanted: Vec<String> =
        values.iter().map(|value| typed(&compared, std::slice::from_ref(value))).collect();
    let path = Selection::of(&asked, &compared).path();
    let keys = super::capture::each(&key, |_, name| format!("t.{name}"));
    session.execute(path).await?;
    let found = session
        .query(format!(
            "SELECT {keys} FROM {} AS t WHERE t.{} = ANY (ARRAY[{}])",
            from(table),
            quote(column),
            wanted.join(", ")
        ))
        .await?;
    session.commit().await?;
    found.into_iter().map(whole_key).collect()
}

fn whole_key(row: Record) -> Result<Key> {
    let key: Option<Key> = row.into_iter().collect();
    key.ok_or_else(|| Error::table("a key of the source holds NULL"))
}

/// As [`Source::renewed`](crate::engine::Source::renewed).
pub(super) async fn renewed(source: &PostgresSource, watch: Watch<'_>, keys: &[Key]) -> Result<Vec<Key>> {
    let Watch { table, watermark, origin } = watch;
    let mut reading = Reading::begin(source, table, Some(origin)).await?;
    reading.unpurged(table, watermark)?;
    // Not the delta that is being drained: all that lies beyond the watermark.
    let key = facts::key_of(&mut reading.session, table).await?;
    let ranges = ranges::beyond(watermark, &reading.snapshot)?;
    reading.session.execute(Selection::of(table, &key).path()).await?;
    let found = match ranges::values(&ranges) {
        Some(ranges) if !keys.is_empty() => {
            reading.session.query(renewed_sql(source, table, &key, &ranges, keys)).await?
        }
        _ => Vec::new(),
    };
    reading.end(source).await?;
    let nth = |row: &Record| Ok(keys.get(number::<usize>(row, 0)?).cloned());
    let found: Result<Vec<Option<Key>>> = found.iter().map(nth).collect();
    Ok(found?.into_iter().flatten().collect())
}

/// As [`Source::arrived`](crate::engine::Source::arrived).
pub(super) async fn arrived(source: &PostgresSource, watch: Watch<'_>, extent: &Extent) -> Result<Vec<Key>> {
    let Watch { table, watermark, origin } = watch;
    let mut reading = Reading::begin(source, table, Some(origin)).await?;
    reading.unpurged(table, watermark)?;
    let key = facts::key_of(&mut reading.session, table).await?;
    let ranges = ranges::beyond(watermark, &reading.snapshot)?;
    reading.session.execute(Selection::of(table, &key).path()).await?;
    let found = match ranges::values(&ranges) {
        Some(ranges) => {
            let sql = fill(
                include_str!("../../../sql/postgres/arrived.sql"),
                &[
                    ("ranges", &ranges),
                    ("keys", &numbered(&key)),
                    ("log", &log_of(&source.schema, &table.source)),
                    ("extent", &literal(&ranges::snapshot(extent)?.to_string())),
                ],
            );
            reading.session.query(sql).await?
        }
        None => Vec::new(),
    };
    reading.end(source).await?;
    found.into_iter().map(whole_key).collect()
}

fn renewed_sql(
    source: &PostgresSource,
    table: &TablePlan,
    key: &[KeyColumn],
    ranges: &str,
    keys: &[Key],
) -> String {
    let values: Vec<String> =
        keys.iter().enumerate().map(|(n, values)| format!("({n}, {})", typed(key, values))).collect();
    let same: Vec<String> = (1..=key.len()).map(|n| format!("e.k{n} = w.k{n}")).collect();
    fill(
        include_str!("../../../sql/postgres/renewed.sql"),
        &[
            ("ranges", ranges),
            ("keys", &numbered(key)),
            ("values", &values.join(",\n")),
            ("log", &log_of(&source.schema, &table.source)),
            ("same", &same.join(" AND ")),
        ],
    )
}

/// As [`Source::ask`](crate::engine::Source::ask).
pub(super) async fn ask(source: &PostgresSource, sql: &str, most: usize) -> Result<Vec<Record>> {
    ask_in(source.session().await?, sql, most).await
}

/// Asks in a session that goes back afterwards.
pub(super) async fn ask_in(mut session: Session, sql: &str, most: usize) -> Result<Vec<Record>> {
    session.execute(format!("{BEGIN}; {}", user_path("pg_catalog"))).await?;
    // Prepared: that takes one statement only, so that none can end the transaction and write.
    session.execute_one(format!("DECLARE hw_ask NO SCROLL CURSOR FOR {}", one_statement(sql))).await?;
    let rows = session.query(format!("FETCH {most} FROM hw_ask")).await?;
    session.rollback().await?;
    Ok(rows)
}

/// As [`Target::yields`](crate::engine::Target::yields), in a session that goes back afterwards.
pub(super) async fn yields(mut session: Session, table: &TablePlan, select: &str) -> Result<Vec<String>> {
    let shown = changed::shown(session.connection()?, table).await;
    let shown = shown.map_err(|e| classify(e, session.place()))?;
    session.execute(format!("{BEGIN}; {}", user_path("pg_catalog"))).await?;
    let sql = format!("WITH {} SELECT * FROM ({}\n) AS q", changed::empty(&shown), one_statement(select));
    let columns = session.columns(sql).await;
    session.rollback().await?;
    columns.map_err(|e| match e.kind() {
        Kind::Unavailable => e,
        _ => Error::table(e.summary()).remedy(format!("look at the rule of {}", table.source)),
    })
}

/// A query without the semicolon that may end it.
pub(super) fn one_statement(sql: &str) -> &str {
    sql.trim_end().trim_end_matches(';').trim_end()
}
