//! AUTO_INCREMENT counters and MariaDB's sequences.

use super::connect::{Flavour, Server};
use super::schema::is_own_table;
use super::session::{Session, maybe, number, text};
use super::value::quote;
use crate::error::Result;
use crate::model::{Sequence, TableName};

/// Where they stand.
pub(super) async fn sequences(server: &Server) -> Result<Vec<Sequence>> {
    let mut session = server.session().await?;
    let found = of(&mut session, server.flavour).await?;
    session.close();
    Ok(found)
}

/// Where they stand, asked on a session: the counters under their tables' names.
pub(super) async fn of(session: &mut Session, flavour: Flavour) -> Result<Vec<Sequence>> {
    if flavour == Flavour::Mysql {
        // Else the server answers from statistics that may be a day old.
        session.execute("SET SESSION information_schema_stats_expiry = 0").await?;
    }
    let mut found = Vec::new();
    for row in session.query(include_str!("../../../sql/mysql/sequences.sql")).await? {
        let name = text(&row, 0)?;
        if maybe(&row, 1) == Some("SEQUENCE") {
            found.push(sequence(session, name).await?);
        } else if !is_own_table(name) {
            let next: u64 = number(&row, 2)?;
            // A counter is unsigned and may stand higher than a number of ours; the rows then push it.
            let last = i64::try_from(next.saturating_sub(1)).unwrap_or(i64::MAX);
            found.push(Sequence { name: TableName::bare(name), last, called: true, increment: 1 });
        }
    }
    Ok(found)
}

/// A sequence stands where its cache ends: what the cache holds may have been given out.
async fn sequence(session: &mut Session, name: &str) -> Result<Sequence> {
    let sql = format!("SELECT next_not_cached_value, increment FROM {}", quote(name));
    let row = session.row(sql).await?;
    let (next, increment): (i64, i64) = (number(&row, 0)?, number(&row, 1)?);
    // An increment of 0 stands for the server's auto_increment_increment.
    let increment = if increment == 0 { 1 } else { increment };
    let last = next.saturating_sub(increment);
    Ok(Sequence { name: TableName::bare(name), last, called: true, increment })
}
