//! Moves the target's sequences to where the source's are.
//!
//! A person may be trying the target out: a value that `nextval` gives between our look and our `setval` would be
//! given twice. ALTER SEQUENCE keeps `nextval` out until our transaction ends. Where we may not do that, `nextval`
//! itself is called as often as it takes, which can't go backwards; only where that would be too often is
//! the sequence set, by a statement that looks first.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::catalog::{self, FoundSequence};
use super::connect::classify;
use super::lease::lock_number;
use super::target::Shared;
use crate::error::{Error, Result};
use crate::model::{Sequence, TableName};

/// Moves the target's sequences of the same names, never backwards. Returns those that moved.
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
    let Some(stands) = read(connection, found).await.map_err(failed)? else { return Ok(false) };
    if !is_ahead(wish, &stands) {
        return Ok(false);
    }
    within_limits(connection, shared, wish, found).await?;
    let is_locked = lock(connection, found).await.map_err(failed)?;
    let Some(stands) = read(connection, found).await.map_err(failed)? else { return Ok(false) };
    let steps = steps(wish, &stands);
    if is_locked || steps > MOST_STEPS {
        set(connection, wish, &stands).await.map_err(failed)?;
    } else if steps > 0 {
        sqlx::query(
            "SELECT pg_catalog.count(pg_catalog.nextval($1::text::pg_catalog.regclass)) \
             FROM pg_catalog.generate_series(1, $2)",
        )
        .bind(found.name.sql())
        .bind(steps)
        .execute(connection)
        .await
        .map_err(failed)?;
    }
    Ok(true)
}

/// How often `nextval` is called at most.
const MOST_STEPS: i64 = 100_000;

async fn read(connection: &mut PgConnection, found: &FoundSequence) -> Result<Option<Sequence>, sqlx::Error> {
    Ok(catalog::read_sequences(connection, std::slice::from_ref(found)).await?.pop())
}

/// How many values have to be given for the sequence to be where `wish` is.
fn steps(wish: &Sequence, stands: &Sequence) -> i64 {
    if !is_ahead(wish, stands) {
        return 0;
    }
    let step = i128::from(stands.increment).abs().max(1);
    let far = (i128::from(wish.last) - i128::from(stands.last)).abs();
    let steps = (far + step - 1) / step + i128::from(!stands.called) - i128::from(!wish.called);
    i64::try_from(steps.max(0)).unwrap_or(i64::MAX)
}

/// Keeps `nextval` out until the transaction ends. False where we may not, or where a transaction that has used
/// the sequence does not end.
async fn lock(connection: &mut PgConnection, found: &FoundSequence) -> Result<bool, sqlx::Error> {
    // As it is already: that is enough for the lock, which waits for every session that has called nextval.
    let alter = format!(
        "SAVEPOINT hw_sequence; SET LOCAL lock_timeout = '1s'; ALTER SEQUENCE {} INCREMENT BY {}; \
         RELEASE SAVEPOINT hw_sequence",
        found.name.sql(),
        found.increment
    );
    match sqlx::raw_sql(AssertSqlSafe(alter)).execute(&mut *connection).await {
        Ok(_) => Ok(true),
        Err(error) if error.as_database_error().is_some() => {
            let undo = "ROLLBACK TO SAVEPOINT hw_sequence; RELEASE SAVEPOINT hw_sequence";
            sqlx::raw_sql(undo).execute(connection).await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Sets the sequence if it is still where it was seen.
async fn set(connection: &mut PgConnection, wish: &Sequence, stands: &Sequence) -> Result<(), sqlx::Error> {
    if !is_ahead(wish, stands) {
        return Ok(());
    }
    let sql = format!(
        "SELECT pg_catalog.setval($1::text::pg_catalog.regclass, $2, $3) FROM {} WHERE last_value = $4",
        stands.name.sql()
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(stands.name.sql());
    query.bind(wish.last).bind(wish.called).bind(stands.last).execute(connection).await?;
    Ok(())
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
    fn as_many_values_are_given_as_it_takes() {
        assert_eq!(steps(&sequence(10, true, 1), &sequence(7, true, 1)), 3);
        assert_eq!(steps(&sequence(10, true, 1), &sequence(1, false, 1)), 10);
        assert_eq!(steps(&sequence(10, false, 1), &sequence(7, true, 1)), 2);
        assert_eq!(steps(&sequence(-10, true, -3), &sequence(-1, true, -3)), 3);
        assert_eq!(steps(&sequence(10, true, 4), &sequence(1, true, 4)), 3, "beyond it");
        assert_eq!(steps(&sequence(7, true, 1), &sequence(7, true, 1)), 0);
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
