//! Questions to either side that are not about the rows of a log: an operator's queries, and what
//! `plan` tries before anything is written.

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr, Statement};

use super::catalog::affinity;
use super::connect::Db;
use super::fault::Doing;
use super::log::{self, Log};
use super::read::{MOST_VARIABLES, key_values, reads};
use super::replaced::MET;
use super::select::enclosed;
use super::source::Inner;
use super::value::{self, decode_all, integer};
use crate::engine::blocks::Blocks;
use crate::engine::digest::of_sums;
use crate::engine::{Record, Watch};
use crate::error::{Error, Kind, Result};
use crate::model::sql::{Word, words};
use crate::model::{Block, Extent, Key, Layout, TablePlan, Value, quote};

/// The rows that a query gives, as texts. The session can't write, and is thrown away: whatever the
/// query has done to it ends with it.
pub(super) async fn ask(db: &Db, sql: &str, most: usize) -> Result<Vec<Record>> {
    let what = "asking a query";
    one_statement(sql)?;
    let mut session = db.reading(what).await?;
    let query = sqlx::query(AssertSqlSafe(sql.to_string())).persistent(false);
    let mut rows = query.fetch(session.connection());
    let mut answer = Vec::new();
    while answer.len() < most
        && let Some(row) = rows.try_next().await.doing(&db.place, what)?
    {
        answer.push(record(&row).doing(&db.place, what)?);
    }
    Ok(answer)
}

/// As [`Target::digest`](crate::engine::Target::digest). SQLite has no function that hashes, and runs here.
pub(super) async fn digest(db: &Db, table: &TablePlan, columns: &[&str]) -> Result<String> {
    let what = format!("comparing the rows of {}", table.target);
    let columns = columns.iter().map(|column| exact(&format!("t.{}", quote(column))));
    let sql = format!(
        "SELECT '' || {} FROM {} AS t",
        value::join(columns, " || ',' || "),
        quote(&table.target.name)
    );
    let mut session = db.reading(&what).await?;
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let mut rows = query.fetch(session.connection());
    let (mut count, mut sums) = (0_u64, [0_u128; 2]);
    while let Some(row) = rows.try_next().await.doing(&db.place, &what)? {
        let text: &str = row.try_get(0).doing(&db.place, &what)?;
        let hash = Sha256::digest(text);
        for (sum, half) in sums.iter_mut().zip(hash.chunks_exact(16)) {
            let half = half.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
            *sum = sum.wrapping_add(half);
        }
        count += 1;
    }
    drop(rows);
    session.end().await.doing(&db.place, &what)?;
    Ok(of_sums(count, sums.map(|sum| sum.to_string())))
}

/// A value as a text that tells every two values apart, storage classes included.
fn exact(column: &str) -> String {
    format!(
        "CASE typeof({column}) WHEN 'null' THEN 'n' WHEN 'real' THEN 'r' || quote({column}) \
         ELSE substr(typeof({column}), 1, 1) || hex({column}) END"
    )
}

fn one_statement(sql: &str) -> Result<()> {
    let words = words(sql);
    let end = words.iter().position(|(_, word)| *word == Word::Sign(';'));
    if end.is_some_and(|end| end + 1 < words.len()) {
        return Err(Error::usage(format!("more than one statement where one query belongs: {sql}")));
    }
    Ok(())
}

/// A row as texts.
pub(super) fn record(row: &SqliteRow) -> Result<Record, sqlx::Error> {
    let column = |i| {
        Ok(match value::decode(row, i)? {
            Value::Null => None,
            Value::Integer(number) => Some(number.to_string()),
            Value::Real(number) => Some(number.to_string()),
            Value::Text(bytes) | Value::Blob(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        })
    };
    (0..row.len()).map(column).collect()
}

/// What the server refuses in an operator's SQL is a fault of the table's rule.
pub(super) fn of_rule<T>(table: &TablePlan, done: Result<T>) -> Result<T> {
    done.map_err(|error| match error.kind() {
        Kind::Unavailable | Kind::Table => error,
        _ => Error::table(format!("{}: {}", table.label(), error.summary())),
    })
}

/// The first rows of a table as they would be staged.
pub(super) async fn sample(source: &Inner, table: &TablePlan, rows: u64) -> Result<Vec<Block>> {
    let what = format!("trying the rules of {}", table.source);
    let place = &source.db.place;
    let mut session = source.db.reading(&what).await?;
    let reads = reads(&source.db, &mut session, table).await?;
    let (sql, width) = reads.rows(Layout::Staged, &[]);
    let found = session.all(format!("{sql} LIMIT {rows}"), SqliteArguments::default()).await;
    let found = of_rule(table, found.doing(place, &what))?;
    session.end().await.doing(place, &what)?;
    let mut blocks = Blocks::default();
    let mut all = Vec::new();
    for row in &found {
        let number = i64::try_from(blocks.rows + 1).unwrap_or(i64::MAX);
        let values = decode_all(row, 0..width).doing(place, &what)?;
        let staged = [Value::Integer(number), Value::Integer(1)].into_iter().chain(values).collect();
        all.extend(blocks.push(staged));
    }
    all.extend(blocks.rest());
    all.push(blocks.end());
    Ok(all)
}

/// The keys of the rows whose `column` has one of the values.
pub(super) async fn keys_with(
    source: &Inner,
    table: &TablePlan,
    column: &str,
    values: &[String],
) -> Result<Vec<Key>> {
    let what = format!("looking for rows of {}", table.source);
    let place = &source.db.place;
    let mut session = source.db.reading(&what).await?;
    let reads = reads(&source.db, &mut session, table).await?;
    let values = values.iter().map(|v| value::from_literal(v)).collect::<Result<Vec<_>>>()?;
    let mut keys = Vec::new();
    for some in values.chunks(MOST_VARIABLES) {
        let places = value::join(some.iter().map(|v| format!("({})", value::placeholder(v))), ", ");
        let condition = format!("{}.{} IN (VALUES {places})", reads.table, quote(column));
        let (sql, _) = reads.rows(Layout::Keys, &[condition]);
        let mut args = SqliteArguments::default();
        for part in some {
            value::bind(&mut args, part.clone()).doing(place, &what)?;
        }
        let rows = session.all(sql, args).await.doing(place, &what)?;
        for row in &rows {
            keys.push(value::to_key(&decode_all(row, 0..reads.key.len()).doing(place, &what)?));
        }
    }
    session.end().await.doing(place, &what)?;
    Ok(keys)
}

/// Those of `keys` of which the log beyond the watermark holds more than updates.
pub(super) async fn renewed(source: &Inner, watch: Watch<'_>, keys: &[Key]) -> Result<Vec<Key>> {
    let table = watch.table;
    let what = format!("reading what changed in {}", table.source);
    let place = &source.db.place;
    let mut session = source.db.reading(&what).await?;
    let from = log::mark(watch.watermark)?;
    let log = Log::find(&mut session, &source.names, table, watch.origin).await?;
    log.check(&mut session, &table.label(), from).await?;
    let key = reads(&source.db, &mut session, table).await?.key;
    let same = key.iter().enumerate().map(|(i, k)| format!("l.k{} = f.column{}{}", i + 1, i + 2, k.collate));
    let same = value::join(same, " AND ");
    let mut renewed = Vec::new();
    for some in keys.chunks(MOST_VARIABLES / key.len().max(1)) {
        let (list, args) = key_values(some, 0)?;
        let sql = format!(
            "SELECT DISTINCT f.column1 FROM {} AS l JOIN ({list}) AS f ON {same} \
             WHERE l.id > {} AND l.kind NOT IN ('U', '{MET}') ORDER BY 1",
            log.name, from.id
        );
        for row in &session.all(sql, args).await.doing(place, &what)? {
            let number = usize::try_from(integer(row, 0).doing(place, &what)?).unwrap_or_default();
            renewed.extend(number.checked_sub(1).and_then(|n| some.get(n)).cloned());
        }
    }
    session.end().await.doing(place, &what)?;
    Ok(renewed)
}

/// As [`Source::arrived`](crate::engine::Source::arrived).
pub(super) async fn arrived(source: &Inner, watch: Watch<'_>, extent: &Extent) -> Result<Vec<Key>> {
    let table = watch.table;
    let what = format!("reading what changed in {}", table.source);
    let place = &source.db.place;
    let mut session = source.db.reading(&what).await?;
    let from = log::mark(watch.watermark)?;
    let Extent::Sqlite(mark) = extent else {
        return Err(Error::failed("an extent of another engine can't be used with SQLite"));
    };
    let log = Log::find(&mut session, &source.names, table, watch.origin).await?;
    log.check(&mut session, &table.label(), from).await?;
    let key = reads(&source.db, &mut session, table).await?.key;
    let names = value::join((1..=key.len()).map(|n| format!("l.k{n}")), ", ");
    let same = value::join(key.iter().enumerate().map(|(i, k)| format!("l.k{}{}", i + 1, k.collate)), ", ");
    let sql = format!(
        "SELECT {names} FROM {} AS l WHERE l.id > {} GROUP BY {same} \
         HAVING min(l.id) > {} AND min(l.id) = min(CASE l.kind WHEN 'I' THEN l.id END)",
        log.name, from.id, mark.id
    );
    let rows = session.all(sql, SqliteArguments::default()).await.doing(place, &what)?;
    let found: Result<Vec<Key>> = rows
        .iter()
        .map(|row| Ok(value::to_key(&decode_all(row, 0..key.len()).doing(place, &what)?)))
        .collect();
    session.end().await.doing(place, &what)?;
    found
}

/// The names of the columns that `select` yields over `changed`.
pub(super) async fn yields(db: &Db, table: &TablePlan, select: &str) -> Result<Vec<String>> {
    let what = format!("trying the rules of {}", table.source);
    let columns = table.changed().into_iter();
    let columns = columns.map(|(name, kind, _)| format!("CAST(NULL AS {}) AS {}", bare(kind), quote(name)));
    let columns = value::join(columns, ", ");
    let sql = format!("WITH changed AS (SELECT {columns} WHERE 0) SELECT * FROM {}", enclosed(select));
    let mut session = db.reading(&what).await?;
    let prepared = session.connection().prepare(AssertSqlSafe(sql).into_sql_str()).await;
    let prepared = of_rule(table, prepared.doing(&db.place, &what))?;
    let names = prepared.columns().iter().map(|c| c.name().to_string()).collect();
    session.end().await.doing(&db.place, &what)?;
    Ok(names)
}

/// What a declared type, with its collation, makes of values.
pub(super) fn bare(declared: &str) -> &'static str {
    let kind = declared.rsplit_once("COLLATE ").map_or(declared, |(kind, _)| kind).trim();
    // In a STRICT table it leaves all as it is; in others all is done already.
    if kind.eq_ignore_ascii_case("ANY") { "BLOB" } else { affinity(kind) }
}
