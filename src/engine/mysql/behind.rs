//! Counters and sequences by what they feed, against the values that are in use
//! (docs/how-it-works.md, "sequences are checked by what they feed").

use std::collections::HashMap;

use super::connect::{Flavour, Server};
use super::session::{Session, flag, maybe, text};
use super::value::quote;
use crate::engine::{Record, SequenceUse};
use crate::error::Result;
use crate::model::{Plan, TableName};

/// As [`Target::sequence_uses`](crate::engine::Target::sequence_uses).
pub(super) async fn uses(server: &Server, plan: &Plan) -> Result<Vec<SequenceUse>> {
    let mut session = server.session().await?;
    if server.flavour == Flavour::Mysql {
        // Else the numbers are those of a day ago.
        session.execute("SET SESSION information_schema_stats_expiry = 0").await?;
    }
    let mut found = Vec::new();
    let counters = session.query(include_str!("../../../sql/mysql/counters.sql")).await?;
    let counters: HashMap<&str, Option<&str>> =
        counters.iter().filter_map(|row| Some((maybe(row, 0)?, maybe(row, 2)))).collect();
    for row in session.query(include_str!("../../../sql/mysql/sequence_uses.sql")).await? {
        let (table, column) = (text(&row, 0)?, text(&row, 1)?);
        let carried = plan.tables.iter().filter(|t| t.target.name == table);
        if !carried.flat_map(|t| &t.columns).any(|c| c.target == column) {
            continue;
        }
        if flag(&row, 2) {
            let next = SequenceUse::whole(counters.get(table).copied().flatten())?.unwrap_or(1);
            found.push(counter(&mut session, table, column, next).await?);
        } else {
            found.extend(sequence(&mut session, &row).await?);
        }
    }
    session.close();
    Ok(found)
}

async fn farthest(session: &mut Session, table: &str, column: &str, which: &str) -> Result<Option<i128>> {
    let sql = format!("SELECT CAST({which}({}) AS DECIMAL(30, 0)) FROM {}", quote(column), quote(table));
    SequenceUse::whole(maybe(&session.row(sql).await?, 0))
}

async fn counter(session: &mut Session, table: &str, column: &str, next: i128) -> Result<SequenceUse> {
    let farthest = farthest(session, table, column, "MAX").await?;
    let remedy = farthest.map_or_else(String::new, |farthest| {
        format!("ALTER TABLE {} AUTO_INCREMENT = {};", quote(table), farthest + 1)
    });
    Ok(SequenceUse {
        sequence: TableName::bare(table),
        table: TableName::bare(table),
        column: column.to_string(),
        next,
        farthest,
        // No counter gives negative values.
        is_behind: farthest.is_some_and(|farthest| next <= farthest),
        remedy,
    })
}

/// What comes next of a sequence can't be asked for, as values are cached. SETVAL never moves it backwards, and
/// answers NULL where it would: so it is moved beyond the values in use here, and can't be behind any more.
async fn sequence(session: &mut Session, row: &Record) -> Result<Option<SequenceUse>> {
    let (table, column) = (text(row, 0)?, text(row, 1)?);
    let Some(name) = maybe(row, 3).and_then(named) else { return Ok(None) };
    let quoted = quote(&name);
    let stands = session.row(format!("SELECT next_not_cached_value, increment < 0 FROM {quoted}")).await?;
    let which = if flag(&stands, 1) { "MIN" } else { "MAX" };
    let farthest = farthest(session, table, column, which).await?;
    if let Some(farthest) = farthest {
        session.query(format!("SELECT SETVAL({quoted}, {farthest}, 1)")).await?;
    }
    let stands = session.row(format!("SELECT next_not_cached_value FROM {quoted}")).await?;
    Ok(Some(SequenceUse {
        sequence: TableName::bare(name),
        table: TableName::bare(table),
        column: column.to_string(),
        next: SequenceUse::whole(maybe(&stands, 0))?.unwrap_or_default(),
        farthest,
        is_behind: false,
        remedy: String::new(),
    }))
}

/// The sequence that a default names: nextval(`database`.`sequence`).
fn named(default: &str) -> Option<String> {
    let inside = default.split_once("nextval(")?.1.split_once(')')?.0;
    let name = inside.rsplit_once("`.`").map_or(inside, |(_, name)| name);
    Some(name.trim_matches('`').replace("``", "`"))
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_default_names_its_sequence() {
        assert_eq!(named("nextval(`shop`.`order_ids`)").as_deref(), Some("order_ids"));
        assert_eq!(named("nextval(`ids`)").as_deref(), Some("ids"));
        assert_eq!(named("uuid()"), None);
    }
}
