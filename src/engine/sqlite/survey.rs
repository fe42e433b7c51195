//! What forbids the work, and what an operator should know, of either side.

use std::collections::HashSet;

use super::capture::Names;
use super::catalog::{Catalog, Shape, Sort};
use super::connect::{Db, Session};
use super::fault::{self, Doing};
use super::install::{self, Meta};
use super::value::text;
use crate::engine::Survey;
use crate::error::{Error, Kind, Result};
use crate::model::{Finding, Plan, TablePlan, quote};

const EXCLUDE: &str = "add the table to `exclude`";

/// Of a source.
pub(super) async fn source(db: &Db, names: &Names, plan: &Plan) -> Result<Survey> {
    let what = "looking at the source";
    let mut survey = Survey::default();
    writable(db, "install capture", &mut survey).await?;
    let mut session = db.reading(what).await?;
    let catalog = db.catalog(&mut session).await?;
    if let Some(meta) = Meta::read(&mut session, names).await.doing(&db.place, what)?
        && let Err(error) = install::check_meta(db, names, &meta)
    {
        survey.blockers.push(finding(None, &error));
    }
    if !db.is_wal(&mut session).await? {
        survey.warnings.push(Finding::general(
            "the journal mode of the source is not WAL: while rows are read nobody can commit",
            "`PRAGMA journal_mode=WAL` on the source, if the application bears it; else expect short waits",
        ));
    }
    survey.warnings.push(Finding::general(
        "writes by sqlite3_blob_write, and of a connection that has triggers switched off \
         (SQLITE_DBCONFIG_ENABLE_TRIGGER), leave no trace: they are not captured, and the fence does not stop them",
        "make sure that the application does neither, until the migration is over",
    ));
    let collations = collations(&mut session).await.doing(&db.place, what)?;
    for table in &plan.tables {
        let Some(shape) = catalog.table(&table.source.name) else { continue };
        if let Err(error) = names.capture(table, shape) {
            survey.blockers.push(finding(Some(table), &error));
        }
        if let Some(unknown) = unknown_collation(shape, &collations) {
            let what = format!("an index compares by {unknown}, which only the application knows");
            survey.blockers.push(Finding::of(&table.source, what, EXCLUDE));
            continue;
        }
        let columns = source_columns(table);
        compiles(&mut session, table, read(shape, &columns), "rows can't be read", &mut survey).await;
        // The target's table will be like this one.
        if table.create && catalog.user_triggers(&shape.name).next().is_none() {
            compiles(&mut session, table, written(shape, &columns), "rows can't be written", &mut survey)
                .await;
        }
    }
    for name in &plan.excluded {
        if catalog.table(&name.name).is_some_and(|t| t.sort == Sort::Virtual) {
            let what = "a virtual table takes no triggers: writes to it are not fenced";
            survey.warnings.push(Finding::of(name, what, "stop its writers by hand before the final sync"));
        }
    }
    session.end().await.doing(&db.place, what)?;
    Ok(survey)
}

/// Of a target.
pub(super) async fn target(db: &Db, plan: &Plan) -> Result<Survey> {
    let what = "looking at the target";
    let mut survey = Survey::default();
    writable(db, "write the rows", &mut survey).await?;
    let mut session = db.reading(what).await?;
    let catalog = db.catalog(&mut session).await?;
    for table in plan.tables.iter().filter(|t| !t.create) {
        let Some(shape) = catalog.table(&table.target.name) else { continue };
        target_table(&mut session, &catalog, table, shape, &mut survey).await?;
    }
    session.end().await.doing(&db.place, what)?;
    Ok(survey)
}

async fn target_table(
    session: &mut Session,
    catalog: &Catalog,
    table: &TablePlan,
    shape: &Shape,
    survey: &mut Survey,
) -> Result<()> {
    let triggers: Vec<&str> = catalog.user_triggers(&shape.name).map(|t| t.name.as_str()).collect();
    if !triggers.is_empty() {
        let what =
            format!("{} has triggers ({}), which must not fire on replay", table.target, triggers.join(", "));
        let remedy = "nothing: each transaction of highwater drops them and makes them again as they were";
        survey.warnings.push(Finding::of(&table.source, what, remedy));
    }
    // What an expression yields is told apart as the target likes.
    let plain = || table.key_columns().filter(|c| c.expression.is_none());
    let key: Vec<&str> = plain().map(|c| c.target.as_str()).collect();
    let same = shape.key_columns(&key).is_none_or(|columns| {
        let wanted = plain().map(|c| collation_of(&c.source_type));
        wanted
            .zip(&columns)
            .all(|(wanted, c)| wanted.eq_ignore_ascii_case(collation_of(&c.collate).trim_matches('"')))
    });
    if !key.is_empty() && !same {
        let what = format!("{} tells keys apart by another collation than the source", table.target);
        survey.blockers.push(Finding::of(&table.source, what, "give the key's columns the same collation"));
    }
    let columns: Vec<String> = table.columns.iter().map(|c| quote(&c.target)).collect();
    let known = columns.iter().all(|c| shape.columns.iter().any(|k| quote(&k.name) == *c));
    if triggers.is_empty() && known && !columns.is_empty() {
        compiles(session, table, written(shape, &columns), "rows can't be written", survey).await;
    }
    Ok(())
}

/// Compiles a statement without running it: finds functions and collations that only the application knows.
async fn compiles(session: &mut Session, table: &TablePlan, sql: String, what: &str, survey: &mut Survey) {
    if let Err(error) = session.compile(sql).await {
        let error = fault::classify(error, &session.place.clone(), what);
        survey.blockers.push(finding(Some(table), &error));
    }
}

/// The carried columns as the source has them, as SQL.
fn source_columns(table: &TablePlan) -> Vec<String> {
    table.columns.iter().filter(|c| c.expression.is_none()).map(|c| quote(&c.source)).collect()
}

/// Reads rows of a table.
fn read(shape: &Shape, columns: &[String]) -> String {
    let columns = if columns.is_empty() { "1".to_string() } else { columns.join(", ") };
    format!("SELECT {columns} FROM {}", quote(&shape.name))
}

/// Writes a row of a table.
fn written(shape: &Shape, columns: &[String]) -> String {
    let nulls = vec!["NULL"; columns.len()].join(", ");
    format!("INSERT INTO {} ({}) VALUES ({nulls})", quote(&shape.name), columns.join(", "))
}

/// The collation that a type or a ` COLLATE ".."` names.
fn collation_of(text: &str) -> &str {
    text.rsplit_once("COLLATE ").map_or("BINARY", |(_, collation)| collation)
}

/// Writes something that is never committed: BEGIN IMMEDIATE alone succeeds where nothing can be
/// written.
async fn writable(db: &Db, purpose: &str, survey: &mut Survey) -> Result<()> {
    let what = format!("highwater must {purpose}");
    let tried = async {
        let mut session = db.writing(&what).await?;
        session.define("CREATE TABLE highwater_ledger_probe (a)").await.doing(&db.place, &what)?;
        session.undo().await.doing(&db.place, &what)
    };
    match tried.await {
        Err(error) if error.kind() == Kind::Refused => survey.blockers.push(finding(None, &error)),
        done => done?,
    }
    Ok(())
}

/// The collations that are known here.
async fn collations(session: &mut Session) -> Result<HashSet<String>, sqlx::Error> {
    let rows = session.all("SELECT upper(name) FROM pragma_collation_list", Default::default()).await?;
    rows.iter().map(|row| text(row, 0)).collect()
}

fn unknown_collation<'a>(shape: &'a Shape, known: &HashSet<String>) -> Option<&'a str> {
    let collations = shape.unique.iter().flat_map(|u| &u.terms).map(|t| t.collation.as_str());
    collations.into_iter().find(|c| !known.contains(&c.to_ascii_uppercase()))
}

fn finding(table: Option<&TablePlan>, error: &Error) -> Finding {
    Finding {
        table: table.map(TablePlan::label),
        what: error.summary(),
        remedy: error.remedy_text().unwrap_or(EXCLUDE).to_string(),
    }
}
