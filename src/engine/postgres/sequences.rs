//! Moves the target's sequences to where the source's stand.

use sqlx::{PgConnection, Row};

use super::catalog::{self, FoundSequence};
use super::connect::classify;
use super::lease::lock_number;
use super::target::Shared;
use crate::error::{Error, Result};
use crate::model::{Sequence, TableName};

/// Moves the target's sequences of the same names, never backwards. Returns those that moved. Moves
/// are not undone by a rollback: they only ever go forward.
pub(super) async fn move_all(
    connection: &mut PgConnection,
    shared: &Shared,
    wanted: &[Sequence],
) -> Result<Vec<TableName>> {
    let failed = |e| classify(e, &shared.place);
    // Two that read and then set would undo each other.
    sqlx::query("SELECT pg_catalog.pg_advisory_xact_lock($1)")
        .bind(lock_number(&["highwater", &shared.migration, "sequences"]))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let found = catalog::list_sequences(connection, &shared.own_schemas).await.map_err(failed)?;
    let mut moved = Vec::new();
    for wish in wanted {
        if let Some(found) = matching(&found, &wish.name)
            && move_one(connection, shared, wish, found).await?
        {
            moved.push(found.name.clone());
        }
    }
    Ok(moved)
}

/// The sequence of exactly that name, else the only one of that name when case is left out.
fn matching<'a>(found: &'a [FoundSequence], name: &TableName) -> Option<&'a FoundSequence> {
    if let Some(exact) = found.iter().find(|s| &s.name == name) {
        return Some(exact);
    }
    let folded = |name: &TableName| (name.schema.as_deref().map(str::to_lowercase), name.name.to_lowercase());
    let mut alike = found.iter().filter(|s| folded(&s.name) == folded(name));
    alike.next().filter(|_| alike.next().is_none())
}

async fn move_one(
    connection: &mut PgConnection,
    shared: &Shared,
    wish: &Sequence,
    found: &FoundSequence,
) -> Result<bool> {
    let failed = |e| classify(e, &format!("{}, sequence {}", shared.place, found.name));
    if !found.readable {
        return Err(Error::table(format!("{}: no right to read sequence {}", shared.place, found.name))
            .remedy(format!("GRANT SELECT, UPDATE ON SEQUENCE {} TO {};", found.name.sql(), shared.user)));
    }
    let only = std::slice::from_ref(found);
    let stands = catalog::read_sequences(connection, only).await.map_err(failed)?;
    let Some(stands) = stands.first() else { return Ok(false) };
    if !is_ahead(wish, stands) {
        return Ok(false);
    }
    within_limits(connection, shared, wish, found).await?;
    sqlx::query("SELECT pg_catalog.setval($1::text::pg_catalog.regclass, $2, $3)")
        .bind(found.name.sql())
        .bind(wish.last)
        .bind(wish.called)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(true)
}

/// Whether `wish` lies beyond `stands`, in the direction in which the target's sequence counts.
fn is_ahead(wish: &Sequence, stands: &Sequence) -> bool {
    if wish.last == stands.last {
        return wish.called && !stands.called;
    }
    (wish.last > stands.last) == (stands.increment > 0)
}

async fn within_limits(
    connection: &mut PgConnection,
    shared: &Shared,
    wish: &Sequence,
    found: &FoundSequence,
) -> Result<()> {
    let failed = |e| classify(e, &format!("{}, sequence {}", shared.place, found.name));
    let row = sqlx::query(include_str!("../../../sql/postgres/sequence_limits.sql"))
        .bind(found.name.sql())
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    let least: i64 = row.try_get("seqmin").map_err(failed)?;
    let most: i64 = row.try_get("seqmax").map_err(failed)?;
    let trouble = if wish.increment.signum() != found.increment.signum() {
        format!("counts the other way (step {} there, {} here)", wish.increment, found.increment)
    } else if !(least..=most).contains(&wish.last) {
        format!("can't stand at {}: its limits are {least} and {most}", wish.last)
    } else {
        return Ok(());
    };
    Err(Error::table(format!("{}: sequence {} {trouble}", shared.place, found.name))
        .remedy(format!("ALTER SEQUENCE {} to agree with the source's", found.name.sql())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(last: i64, called: bool, increment: i64) -> Sequence {
        Sequence { name: TableName::new("public", "s"), last, called, increment }
    }

    #[test]
    fn a_sequence_never_goes_backwards() {
        assert!(is_ahead(&sequence(10, true, 1), &sequence(9, true, 1)));
        assert!(is_ahead(&sequence(1, true, 1), &sequence(1, false, 1)));
        assert!(!is_ahead(&sequence(1, false, 1), &sequence(1, true, 1)));
        assert!(!is_ahead(&sequence(9, true, 1), &sequence(10, false, 1)));
        assert!(is_ahead(&sequence(-10, true, -1), &sequence(-9, true, -1)));
        assert!(!is_ahead(&sequence(-9, true, -1), &sequence(-10, true, -1)));
        assert!(!is_ahead(&sequence(i64::MIN, true, 1), &sequence(i64::MAX, true, 1)));
    }
}
