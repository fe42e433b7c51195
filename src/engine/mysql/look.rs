//! Looking at a database beside the reading of chunks and batches.

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Either};

use super::connect::Server;
use super::fault::{classify, code};
use super::log::{self, Opened, beyond, seen, settle};
use super::pin::Reader;
use super::read::KeyColumns;
use super::select::Reading;
use super::session::{Session, flag, record, records};
use super::source::Inner;
use super::value::{join, quote};
use crate::engine::blocks::Blocks;
use crate::engine::{Definition, Record, Watch};
use crate::error::{At, Error, Kind, Result};
use crate::model::{Block, Extent, Finding, Key, Layout, Strategy, TablePlan, Value};

/// How many keys or values one statement looks for.
const AT_ONCE: usize = 200;

/// What the server says of an operator's SQL is about the table's rule, whatever the number of the error.
pub(super) fn of_rule(error: Error) -> Error {
    match error.kind() {
        Kind::Failed | Kind::Data => Error::table(error.summary()),
        _ => error,
    }
}

/// The first rows of a table as they would be staged.
pub(super) async fn sample(source: &Inner, table: &TablePlan, rows: u64) -> Result<Vec<Block>> {
    let layout = if table.strategy == Strategy::Whole { Layout::Plain } else { Layout::Staged };
    let reading = Reading::of(table);
    let selection = reading.layout(layout);
    let sql = reading.rows(&selection, &source.names.table(&table.source.name), &[]);
    let mut session = source.server.session().await?;
    session.execute("START TRANSACTION READ ONLY").await?;
    let found = sqlx::raw_sql(AssertSqlSafe(format!("{sql} LIMIT {rows}"))).fetch_all(session.connection()?);
    let found = found.await.map_err(|e| of_rule(session.failed(e)))?;
    let (mut all, mut blocks) = (Vec::new(), Blocks::default());
    for row in &found {
        let mut values = Vec::with_capacity(selection.columns.len() + 2);
        if layout == Layout::Staged {
            let number = i64::try_from(blocks.rows + 1).unwrap_or(i64::MAX);
            values.extend([Value::Integer(number), Value::Integer(1)]);
        }
        selection.values(row, 1, &mut values)?;
        all.extend(blocks.push(values));
    }
    session.commit().await?;
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
    let key = KeyColumns::of(table);
    let (mut session, begin) = Reader::of(source).await?;
    session.execute(begin).await?;
    let mut found = Vec::new();
    for some in values.chunks(AT_ONCE) {
        let same = some.iter().map(|value| format!("t.{} = {value}", quote(column)));
        let sql = format!(
            "SELECT DISTINCT {} FROM {} AS t WHERE {}",
            key.read("t"),
            source.names.table(&table.source.name),
            join(same, " OR ")
        );
        found.extend(key.fetch(&mut session, sql).await?);
    }
    session.end(source, None).await?;
    found.sort();
    found.dedup();
    Ok(found)
}

/// Those of `keys` of which the log beyond the watermark holds an insert or a delete.
pub(super) async fn renewed(source: &Inner, watch: Watch<'_>, keys: &[Key]) -> Result<Vec<Key>> {
    let table = watch.table;
    if keys.is_empty() || table.strategy == Strategy::Whole {
        return Ok(Vec::new());
    }
    let Opened { mut session, log, position } = log::open(source, watch).await?;
    let key = KeyColumns::of(table);
    let mut found = Vec::new();
    for some in keys.chunks(AT_ONCE) {
        let mut is_found = vec![false; some.len()];
        for part in beyond(seen(watch.watermark)?) {
            let each = some.iter().map(|k| format!("MAX({})", key.is_in_log("l", k)));
            let sql = format!(
                "SELECT {} FROM {} AS l WHERE {part} AND l.kind IN ('I', 'D')",
                join(each, ", "),
                log.name
            );
            let row = session.row(sql).await?;
            for (i, is_found) in is_found.iter_mut().enumerate() {
                *is_found |= flag(&row, i);
            }
        }
        let those = some.iter().zip(is_found).filter(|(_, is_found)| *is_found);
        found.extend(those.map(|(key, _)| key.clone()));
    }
    settle(source, session, position, watch.origin, &table.label()).await?;
    Ok(found)
}

/// As [`Source::arrived`](crate::engine::Source::arrived).
pub(super) async fn arrived(source: &Inner, watch: Watch<'_>, extent: &Extent) -> Result<Vec<Key>> {
    let Extent::Mysql(held) = extent else {
        return Err(Error::failed("an extent of another engine can't be used with MySQL"));
    };
    let table = watch.table;
    let Opened { mut session, log, position } = log::open(source, watch).await?;
    let key = KeyColumns::in_log(table);
    let (unapplied, unheld) = (beyond(seen(watch.watermark)?).join(" OR "), beyond(held).join(" OR "));
    // Numbers are in the order in which the transactions had a key: each holds it until it ends.
    let sql = format!(
        "SELECT {} FROM {} AS l WHERE ({unapplied}) AND l.kind IN ('I', 'U', 'D') GROUP BY {} \
         HAVING MIN({unheld}) AND MIN(seq) = MIN(CASE l.kind WHEN 'I' THEN seq END)",
        key.read("l"),
        log.name,
        key.list("l")
    );
    let found = key.fetch(&mut session, sql).await?;
    settle(source, session, position, watch.origin, &table.label()).await?;
    Ok(found)
}

/// The rows that a query gives, as texts, at most `most`. The session is one that can't write, whatever the
/// query says, and is not used again.
pub(super) async fn ask(server: &Server, sql: &str, most: usize) -> Result<Vec<Record>> {
    let mut session: Session = server.session().await?;
    let begin = "SET SESSION character_set_results = utf8mb4; SET SESSION TRANSACTION READ ONLY; \
                 START TRANSACTION READ ONLY";
    session.execute(begin).await?;
    let place = session.place.clone();
    let failed = |e| classify(e, &place);
    let mut rows = Vec::new();
    let mut answer = sqlx::raw_sql(AssertSqlSafe(sql.to_string())).fetch_many(session.connection()?);
    while rows.len() < most {
        match answer.try_next().await.map_err(failed).at("asking")? {
            Some(Either::Right(row)) => rows.push(record(&row).map_err(failed)?),
            Some(Either::Left(_)) => {}
            None => break,
        }
    }
    drop(answer);
    drop(session);
    Ok(rows)
}

/// What a server does not know or want of another's tables: syntax, character set, collation, engine, no primary key.
const REFUSED: [u16; 5] = [1064, 1115, 1273, 1286, 3750];

/// As [`Target::try_definitions`](crate::engine::Target::try_definitions). DDL can't be undone here, so the tables are
/// made as temporary ones, which are the session's own. What temporary tables can't have says nothing.
pub(super) async fn try_definitions(server: &Server, definitions: &[Definition]) -> Result<Vec<Finding>> {
    let mut session = server.session().await?;
    let mut found = Vec::new();
    for definition in definitions {
        let Some(table) = definition.sql.strip_prefix("CREATE TABLE ") else { continue };
        let sql = format!("CREATE TEMPORARY TABLE {table}");
        let Err(error) = records(session.connection()?, sql).await else { continue };
        if code(&error).is_some_and(|code| REFUSED.contains(&code)) {
            let what = classify(error, &session.place).summary();
            let table = definition.table.as_deref().unwrap_or("a table");
            found.push(Finding::general(
                format!("{table} can't be made on the target: {what}"),
                "make the table on the target yourself (copy.schema = \"expect\"), or exclude it",
            ));
        }
    }
    // The session is dropped with its tables.
    drop(session);
    Ok(found)
}
