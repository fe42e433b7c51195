//! Showing that the fence refuses, and that it could be raised.

use super::connect::{classify, literal};
use super::fence::{self, FenceTrigger};
use super::raise::{is_intact, logs};
use super::session::{Session, text};
use super::source::PostgresSource;
use super::sqlstate::code;
use crate::engine::Stamp;
use crate::engine::template::fill;
use crate::error::{Error, Kind, Result};
use crate::model::{Plan, quote};

/// What the fence's triggers raise.
const REFUSED: &str = "HW001";

/// As [`Source::prove_fence`](crate::engine::Source::prove_fence).
pub(super) async fn prove(source: &PostgresSource, plan: &Plan, stamp: Stamp) -> Result<()> {
    is_intact(source, plan).await?;
    let mut session = source.session().await?;
    let found = fence::state(source, &mut session).await?;
    let n = stamp.attempt;
    if !found.row.is_some_and(|row| row.raised == n && row.stamp <= n) {
        return Err(Error::refused(format!("{}: the fence of attempt {stamp} is not raised", source.place)));
    }
    no_table_is_open(source, &mut session).await?;
    for log in logs(source, &mut session).await? {
        let stands = |t: &FenceTrigger| t.log == log.name && t.attempt == n && t.always;
        if !found.triggers.iter().any(stands) {
            return Err(Error::refused(format!(
                "{}: the fence of attempt {stamp} does not stand on change log {}, or not for every session",
                source.place, log.name
            ))
            .remedy("run the final sync again: it raises the fence again"));
        }
        let table = format!("{}.{}", quote(&source.schema), quote(&log.name));
        must_refuse(&mut session, &format!("INSERT INTO {table} DEFAULT VALUES")).await?;
    }
    session.close();
    Ok(())
}

/// Every user table has capture, or the fence's flag where it is excluded.
async fn no_table_is_open(source: &PostgresSource, session: &mut Session) -> Result<()> {
    let sql = fill(
        include_str!("../../../sql/postgres/unfenced_tables.sql"),
        &[("s", &quote(&source.schema)), ("schema_name", &literal(&source.schema))],
    );
    let open = session.query(sql).await?;
    if open.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = open.iter().map(|row| text(row, 0)).collect::<Result<_>>()?;
    Err(Error::refused(format!("{}: the fence does not stand on {}", source.place, names.join(", ")))
        .remedy("`highwater plan` shows what is missing; highwater puts the fence on when it runs"))
}

async fn must_refuse(session: &mut Session, statement: &str) -> Result<()> {
    let place = session.place().to_string();
    match session.attempt(format!("BEGIN; {statement}; ROLLBACK")).await? {
        Err(error) if code(&error).as_deref() == Some(REFUSED) => Ok(()),
        Err(error) => {
            let error = classify(error, &place).at("the write that proves the fence failed otherwise");
            // Refused for what it holds, and not by the fence: it would have passed.
            Err(if error.kind() == Kind::Data { Error::refused(error.summary()) } else { error })
        }
        Ok(()) => Err(Error::refused(format!("{place}: the fence let a write pass: {statement}"))
            .remedy("`highwater plan` shows what is wrong with capture")),
    }
}

/// As [`Source::try_fence`](crate::engine::Source::try_fence). Before capture is installed there is nothing to
/// try: what is made then will be our own.
pub(super) async fn try_fence(source: &PostgresSource) -> Result<()> {
    let mut session = source.session().await?;
    let standing = source.standing(&mut session).await?;
    if !standing.installed {
        session.close();
        return Ok(());
    }
    let s = quote(&source.schema);
    let role = quote(text(&session.row("SELECT current_user").await?, 0)?);
    let sql = fill(include_str!("../../../sql/postgres/try_fence.sql"), &[("s", &s)]);
    if let Err(error) = session.attempt(format!("{sql}; ROLLBACK")).await? {
        let lacks = code(&error).as_deref() == Some("42501");
        let error = classify(error, &source.place);
        if error.kind() == Kind::Unavailable {
            return Err(error);
        }
        let remedy = if lacks {
            format!(
                "let {} run: GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {s} TO {role}; \
                 GRANT INSERT, DELETE ON {s}.canary, {s}.broken TO {role}",
                standing.owner
            )
        } else {
            format!("let CREATE TRIGGER, ALTER TABLE and DROP TRIGGER on tables of schema {s} pass")
        };
        return Err(Error::refused(format!("the fence can't be raised: {}", error.summary())).remedy(remedy));
    }
    let missing = session
        .query(format!(
            "SELECT t.log FROM {s}.tables AS t WHERE t.captured AND NOT (\
             has_table_privilege(t.log_relid, 'INSERT') AND has_table_privilege(t.log_relid, 'DELETE'))"
        ))
        .await?;
    session.close();
    let missing: Vec<String> =
        missing.iter().map(|row| Ok(format!("{s}.{}", quote(text(row, 0)?)))).collect::<Result<_>>()?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{}: the fence can't be raised or proved on {}",
        source.place,
        missing.join(", ")
    ))
    .remedy(format!(
        "let {} run: GRANT INSERT, DELETE ON {} TO {role}",
        standing.owner,
        missing.join(", ")
    )))
}
