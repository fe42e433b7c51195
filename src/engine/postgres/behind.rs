//! The sequences by what they feed, against the values that are in use
//! (docs/how-it-works.md, "sequences are checked by what they feed").

use super::selection::user_path;
use super::session::{Session, flag, maybe, number, text};
use crate::engine::{Record, SequenceUse};
use crate::error::{Error, Result};
use crate::model::{Plan, TableName, quote};

/// As [`Target::sequence_uses`](crate::engine::Target::sequence_uses).
pub(super) async fn uses(mut session: Session, plan: &Plan) -> Result<Vec<SequenceUse>> {
    let mut found = Vec::new();
    for row in session.query(include_str!("../../../sql/postgres/sequence_uses.sql")).await? {
        let table = TableName::new(text(&row, 2)?, text(&row, 3)?);
        let column = text(&row, 4)?;
        let carried = plan.tables.iter().filter(|t| t.target == table);
        if carried.flat_map(|t| &t.columns).any(|c| c.target == column) {
            found.push(one(&mut session, &row, table, column).await?);
        }
    }
    session.close();
    Ok(found)
}

async fn one(session: &mut Session, row: &Record, table: TableName, column: &str) -> Result<SequenceUse> {
    let sequence = TableName::new(text(row, 0)?, text(row, 1)?);
    if !flag(row, 6) {
        let what = format!("{}: no right to read sequence {sequence}", session.place());
        return Err(Error::table(what).remedy(format!("GRANT SELECT ON SEQUENCE {} TO ..;", sequence.sql())));
    }
    let increment: i64 = number(row, 5)?;
    let ascending = increment > 0;
    let farthest = if ascending { "max" } else { "min" };
    let sql = format!(
        "SELECT s.last_value, s.is_called, (SELECT pg_catalog.trunc(pg_catalog.{farthest}(t.{}))::text FROM {} t) \
         FROM {} s",
        quote(column),
        table.sql(),
        sequence.sql()
    );
    let stands = session.row(format!("{}; {sql}", user_path("pg_catalog"))).await?;
    let last: i64 = number(&stands, 0)?;
    let next = i128::from(last) + if flag(&stands, 1) { i128::from(increment) } else { 0 };
    let farthest = SequenceUse::whole(maybe(&stands, 2))?;
    let is_behind =
        farthest.is_some_and(|farthest| if ascending { next <= farthest } else { next >= farthest });
    let remedy = farthest.map_or_else(String::new, |farthest| {
        let name = sequence.sql().replace('\'', "''");
        format!("SELECT pg_catalog.setval('{name}', {farthest});")
    });
    Ok(SequenceUse { sequence, table, column: column.to_string(), next, farthest, is_behind, remedy })
}
