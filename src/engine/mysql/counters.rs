//! Moving the counters of AUTO_INCREMENT columns, and MariaDB's sequences.
//!
//! Moving a counter is DDL, which commits: it is done on a connection of its own, while the transaction
//! that asks for it holds the epoch. So it stays done when that transaction is rolled back, which is
//! harmless, as counters only move forward.

use std::collections::HashSet;

use sqlx::MySqlConnection;

use super::connect::{Flavour, Server, farewell};
use super::fault::classify;
use super::session::{flag, maybe, number, records, text};
use super::value::quote;
use crate::engine::Record;
use crate::error::{Error, Result};
use crate::model::{Sequence, TableName};

/// What has a counter on the target.
struct Counter {
    name: String,
    /// One of MariaDB's sequences.
    sequence: bool,
    /// What an AUTO_INCREMENT column gets next.
    next: i128,
}

/// Moves the counters of the same name to where the source's stand, never backwards. Returns those that
/// moved.
pub(super) async fn advance(server: &Server, sequences: &[Sequence]) -> Result<Vec<TableName>> {
    let mut connection = server.apart().await?;
    let failed = |e| classify(e, &server.place);
    if server.flavour == Flavour::Mysql {
        // Else the numbers are those of a day ago.
        let exact = "SET SESSION information_schema_stats_expiry = 0";
        records(&mut connection, exact).await.map_err(failed)?;
    }
    let counters = counters(&mut connection, &server.place).await?;
    let mut moved = Vec::new();
    for sequence in sequences {
        let Some(counter) = find(&counters, &sequence.name.name) else { continue };
        let has = if counter.sequence {
            move_sequence(&mut connection, counter, sequence, &server.place).await?
        } else {
            move_counter(&mut connection, counter, sequence).await.map_err(failed)?
        };
        if has {
            moved.push(TableName::bare(&counter.name));
        }
    }
    farewell(connection).await;
    Ok(moved)
}

/// Asked in two steps: joining these views, some servers open every table for every row.
async fn counters(connection: &mut MySqlConnection, place: &str) -> Result<Vec<Counter>> {
    let failed = |e| classify(e, place);
    let tables = include_str!("../../../sql/mysql/counters.sql");
    let tables = records(connection, tables).await.map_err(failed)?;
    let counted = include_str!("../../../sql/mysql/counted.sql");
    let counted = records(connection, counted).await.map_err(failed)?;
    let counted: HashSet<&str> = counted.iter().filter_map(|row| maybe(row, 0)).collect();
    let has_counter =
        |row: &&Record| flag(row, 1) || maybe(row, 0).is_some_and(|name| counted.contains(name));
    tables.iter().filter(has_counter).map(counter).collect()
}

fn counter(row: &Record) -> Result<Counter> {
    let next = maybe(row, 2).unwrap_or("1");
    let next = next.parse().map_err(|_| Error::failed(format!("`{next}` is not a counter's value")))?;
    Ok(Counter { name: text(row, 0)?.to_string(), sequence: flag(row, 1), next })
}

/// By its exact name, else without case if that names only one.
fn find<'a>(counters: &'a [Counter], name: &str) -> Option<&'a Counter> {
    let mut alike = counters.iter().filter(|c| c.name.to_lowercase() == name.to_lowercase());
    counters.iter().find(|c| c.name == name).or_else(|| alike.next().filter(|_| alike.next().is_none()))
}

async fn move_counter(
    connection: &mut MySqlConnection,
    counter: &Counter,
    sequence: &Sequence,
) -> Result<bool, sqlx::Error> {
    let next = i128::from(sequence.last) + i128::from(sequence.called);
    if next <= counter.next {
        return Ok(false);
    }
    let sql = format!("ALTER TABLE {} AUTO_INCREMENT = {next}", quote(&counter.name));
    records(connection, sql).await?;
    Ok(true)
}

/// SETVAL moves a sequence forward in the direction of its step, and answers NULL where it would move it
/// backwards. What comes next can't be asked for, as values are cached: one less can be set just when it
/// is not there yet.
async fn move_sequence(
    connection: &mut MySqlConnection,
    counter: &Counter,
    sequence: &Sequence,
    place: &str,
) -> Result<bool> {
    let failed = |e| classify(e, place);
    let name = quote(&counter.name);
    let limits = format!("SELECT minimum_value, maximum_value, increment FROM {name}");
    let limits = records(connection, limits).await.map_err(failed)?.pop().unwrap_or_default();
    let limit = |column| number::<i64>(&limits, column);
    let (least, most, step) = (limit(0)?, limit(1)?, limit(2)?);
    if !(least..=most).contains(&sequence.last) {
        let what = format!("{place}: sequence {name} can't be moved to {}", sequence.last);
        return Err(Error::failed(format!("{what}: its limits are {least} and {most}"))
            .remedy("ALTER SEQUENCE on the target to the limits that it has on the source"));
    }
    let next = sequence.last.saturating_add(if sequence.called { step } else { 0 });
    let before = next.saturating_sub(step.signum());
    let set = async |connection: &mut MySqlConnection, value: i64, used: bool| {
        let sql = format!("SELECT SETVAL({name}, {value}, {})", i32::from(used));
        let set = records(connection, sql).await.map_err(failed)?;
        Ok::<_, Error>(set.first().is_some_and(|row| maybe(row, 0).is_some()))
    };
    let behind = set(connection, before, false).await?;
    Ok(set(connection, sequence.last, sequence.called).await? && behind)
}
