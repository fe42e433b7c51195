//! Shows that the fence refuses writers of every table.

use std::collections::BTreeSet;

use super::capture::{self, REFUSED, Subject};
use super::facts::{self, Facts};
use super::fault::{classify, is_interrupted};
use super::fence;
use super::names::Names;
use super::raise;
use super::session::{Session, maybe, records};
use super::source::Inner;
use crate::engine::Stamp;
use crate::error::{Error, Kind, Result};
use crate::model::{Plan, TableName};

/// By the catalogue (triggers of the fence on every log, of capture on every table), by an entry for each
/// log that is refused, and by the absence of writes whose refusal was caught.
pub(super) async fn prove(source: &Inner, plan: &Plan, stamp: Stamp) -> Result<()> {
    let names = &source.names;
    let mut session = source.server.session().await?;
    let state = fence::state(&mut session, names).await?;
    let Some(state) = state else {
        return Err(unproven(source, "the database", "its row is gone"));
    };
    if !state.stands(stamp.attempt) {
        return Err(fence::superseded(&source.server.place, stamp, &state));
    }
    let mut facts = Facts::read(&mut session, names, source.server.flavour).await?;
    let graph = facts::graph(&mut session, names, source.server.flavour).await?;
    let subjects = capture::subjects(names, plan, &graph);
    let fences = raise::wanted(names, plan, stamp);
    let canary = capture::canary_trigger(names);
    let wanted = subjects.iter().flat_map(|s| &s.triggers).chain(&fences).chain([&canary]);
    facts.look_closer(&mut session, wanted.clone()).await?;
    let known: BTreeSet<&str> = subjects.iter().map(|s| s.table.as_str()).collect();
    if let Some(new) = facts.tables.keys().find(|table| !known.contains(table.as_str())) {
        return Err(unproven(source, &TableName::bare(new).to_string(), "the table is new"));
    }
    for trigger in wanted.filter(|t| t.database != names.database || facts.tables.contains_key(&t.table)) {
        if let Some(fault) = facts.trigger_fault(trigger) {
            return Err(unproven(source, &TableName::bare(&trigger.table).to_string(), &fault));
        }
    }
    for subject in subjects.iter().filter(|s| s.plan.is_some()) {
        let entry = format!(
            "INSERT INTO {} (kind, captured_at) VALUES ('N', UTC_TIMESTAMP(6))",
            names.log(&subject.table)
        );
        refused(&mut session, entry).await?.map_err(|why| unproven(source, &subject.label(), &why))?;
    }
    let entry = names.note_missed("");
    refused(&mut session, entry).await?.map_err(|why| unproven(source, &names.missed_name(), &why))?;
    let entry = format!("INSERT INTO {} (id, beat) VALUES (1, 1)", names.own(&names.canary_name()));
    refused(&mut session, entry).await?.map_err(|why| unproven(source, "its own table", &why))?;
    let passed = passed(&mut session, names, &subjects).await?;
    session.close();
    passed.map_err(|(table, why)| unproven(source, &table, &why))
}

fn unproven(source: &Inner, table: &str, why: &str) -> Error {
    Error::new(
        Kind::NotConverged,
        format!("{}: the fence does not hold on {table}: {why}", source.server.place),
    )
    .remedy("`highwater run` puts it on tables that are new; exclude no table that is written to")
}

/// Tries to write. The inner error says why that shows nothing.
async fn refused(session: &mut Session, sql: String) -> Result<Result<(), String>> {
    session.execute("START TRANSACTION").await?;
    let outcome = match records(session.connection()?, sql).await {
        Ok(_) => Err("a write was not refused".to_string()),
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some(REFUSED) => Ok(()),
        Err(error) => Err(format!("a write failed otherwise: {}", classify(error, &session.place).summary())),
    };
    session.execute("ROLLBACK").await?;
    Ok(outcome)
}

/// How often is looked, for a second each, before a row that is locked counts as that of an open transaction.
const LOOKS: u32 = 3;

/// Whether a write has stayed although it was refused, because a function or trigger of the application caught
/// the error. The read locks, so that one that is still open is not overlooked.
async fn passed(
    session: &mut Session,
    names: &Names,
    subjects: &[Subject<'_>],
) -> Result<Result<(), (String, String)>> {
    session.execute("SET SESSION innodb_lock_wait_timeout = 1; START TRANSACTION").await?;
    let sql = format!(
        "SELECT log FROM {} WHERE database_name = {} LIMIT 1 LOCK IN SHARE MODE",
        names.own("passed"),
        names.database_literal()
    );
    let mut answer = records(session.connection()?, sql.clone()).await;
    for _ in 1..LOOKS {
        // A refusal that is just ending its statement holds the row for a moment, on a busy server for longer.
        if !answer.as_ref().is_err_and(is_interrupted) {
            break;
        }
        answer = records(session.connection()?, sql.clone()).await;
    }
    let found = match answer {
        Ok(rows) => rows.first().and_then(|row| maybe(row, 0)).map(|log| {
            let table = subjects.iter().find(|s| names.log_name(&s.table) == log);
            let why = "a function or trigger of the application caught the refusal, and the write stayed";
            (table.map_or_else(|| log.to_string(), Subject::label), why.to_string())
        }),
        Err(error) if is_interrupted(&error) => {
            let why = "a transaction is open in which a function or trigger caught the refusal";
            Some(("a table".to_string(), why.to_string()))
        }
        Err(error) => return Err(classify(error, &session.place)),
    };
    session.execute("ROLLBACK; SET SESSION innodb_lock_wait_timeout = 10").await?;
    Ok(found.map_or(Ok(()), Err))
}
