//! Whether capture and fence are in force.
//!
//! Nothing tells when a trigger was dropped or a table rebuilt, so the schema itself must. Its rows
//! stand in the order in which things were made, and VACUUM keeps that order among tables and among
//! triggers and views: a log is made after its table, the seal, a view, after the triggers. A table that stands
//! *behind* its log was rebuilt, a trigger behind the seal was dropped and made again: with the same text even,
//! as a DBA following the manual's twelve steps would, but the log may have missed something.

use std::collections::BTreeMap;

use super::capture::{Capture, Names, Statement};
use super::catalog::{Catalog, Entry, Shape, Sort};
use super::connect::Session;
use super::fault::{self, Doing};
use super::fence::Standing;
use super::install::Meta;
use super::read::has_key;
use super::source::Inner;
use super::value::text;
use crate::engine::{Fault, Verdict};
use crate::error::Result;
use crate::model::{Plan, TableName, TablePlan, sql};

/// A captured table as the source has it registered.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    /// Its log's generation.
    pub(super) generation: String,
    /// Its text when capture was installed.
    definition: String,
}

/// The captured tables by name; none where nothing is installed.
pub(super) async fn registered(
    session: &mut Session,
    names: &Names,
) -> Result<BTreeMap<String, Registered>, sqlx::Error> {
    let sql = format!("SELECT name, generation, definition FROM {}", names.tables());
    let rows = match session.all(sql, Default::default()).await {
        Err(error) if fault::is_missing(&error) => return Ok(BTreeMap::new()),
        rows => rows?,
    };
    rows.iter()
        .map(|row| Ok((text(row, 0)?, Registered { generation: text(row, 1)?, definition: text(row, 2)? })))
        .collect()
}

/// What the last full look found, for which schema and plan.
pub(super) struct Look {
    schema_version: i64,
    plan_hash: String,
    verdicts: Vec<Verdict>,
}

/// Looks at everything, unless nothing in the schema has changed since the last look that found all in
/// order.
pub(super) async fn inspect(source: &Inner, plan: &Plan) -> Result<Vec<Verdict>> {
    source.db.check_file()?;
    let schema_version = source.watcher.lock().await.schema_version(&source.db.place).await?;
    let mut last = source.look.lock().await;
    if let Some(look) = last.as_ref()
        && look.schema_version == schema_version
        && look.plan_hash == plan.hash
        && look.verdicts.len() == plan.tables.len()
    {
        return Ok(look.verdicts.clone());
    }
    let verdicts = look(source, plan).await?;
    let sound = verdicts.iter().all(|v| v.fault.is_none());
    *last = sound.then(|| Look { schema_version, plan_hash: plan.hash.clone(), verdicts: verdicts.clone() });
    Ok(verdicts)
}

async fn look(source: &Inner, plan: &Plan) -> Result<Vec<Verdict>> {
    let (db, names, what) = (&source.db, &source.names, "checking capture");
    let mut session = db.reading(what).await?;
    let catalog = db.catalog(&mut session).await?;
    let registered = registered(&mut session, names).await.doing(&db.place, what)?;
    let fence = Standing::read(&mut session, &catalog, names).await.doing(&db.place, what)?;
    let base = base_fault(&mut session, names, fence).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    let mut verdicts: Vec<Verdict> = plan
        .tables
        .iter()
        .map(|table| {
            let known = registered.get(&table.source.name);
            let fault = table_fault(&catalog, names, table, known)
                .or_else(|| base.clone().map(Fault::Mend))
                .or_else(|| raised_fault(&catalog, names, &table.source, fence));
            Verdict { label: table.label(), generation: known.map(|k| k.generation.clone()), fault }
        })
        .collect();
    // An excluded table has the fence only; it is spoken of when that is wrong.
    for name in &plan.excluded {
        if let Some(fault) = fence_fault(&catalog, names, name) {
            verdicts.push(Verdict { label: name.to_string(), generation: None, fault: Some(fault) });
        }
    }
    Ok(verdicts)
}

async fn base_fault(
    session: &mut Session,
    names: &Names,
    fence: Standing,
) -> Result<Option<String>, sqlx::Error> {
    if Meta::read(session, names).await?.is_none() {
        return Ok(Some("capture is not installed".to_string()));
    }
    let lost = "the fence has lost its table or its row: writes to excluded tables may fail";
    Ok((!fence.has_row()).then(|| lost.to_string()))
}

fn table_fault(
    catalog: &Catalog,
    names: &Names,
    table: &TablePlan,
    known: Option<&Registered>,
) -> Option<Fault> {
    let stop =
        |what: &str, remedy: &str| Some(Fault::Stop { what: what.to_string(), remedy: remedy.to_string() });
    const AGAIN: &str = "put it back, or take the table's new shape into the target and the plan";
    let Some(shape) = catalog.table(&table.source.name) else {
        return stop("the table was dropped or renamed on the source", AGAIN);
    };
    if let Some(what) = columns_fault(shape, table, known) {
        return stop(&what, AGAIN);
    }
    if !has_key(shape, table) {
        return stop("a column of its key is gone from the source", AGAIN);
    }
    let capture = match names.capture(table, shape) {
        Ok(capture) => capture,
        Err(error) => return stop(&error.summary(), error.remedy_text().unwrap_or(AGAIN)),
    };
    match known {
        None => Some(Fault::Mend("its changes are not captured".to_string())),
        Some(known) => capture_fault(catalog, shape, &capture, known).map(Fault::Mend),
    }
}

fn columns_fault(shape: &Shape, table: &TablePlan, known: Option<&Registered>) -> Option<String> {
    let carried = table.columns.iter().filter(|c| c.expression.is_none());
    let carried = carried.map(|c| (c.source.as_str(), Some(&c.source_type)));
    let also = table.rule.also.iter().map(|c| (c.name.as_str(), Some(&c.type_name)));
    let read = table.rule.reads.iter().map(|name| (name.as_str(), None));
    let used: Vec<(&str, Option<&String>)> = carried.chain(also).chain(read).collect();
    for (name, kind) in &used {
        match (shape.column(name), kind) {
            (None, _) => return Some(format!("column {name} was dropped or renamed on the source")),
            (Some(found), Some(before)) if shape.type_name(found) != **before => {
                let now = shape.type_name(found);
                return Some(format!("column {name} was `{before}` and is `{now}` on the source"));
            }
            (Some(_), _) => {}
        }
    }
    // What was there when capture was installed may be left behind on purpose.
    let was_there = |name: &str| known.is_none_or(|k| !sql::mentioned(&k.definition, [name]).is_empty());
    let used = |name: &str| used.iter().any(|(used, _)| *used == name);
    let added = shape.written_columns().find(|c| !used(&c.name) && !was_there(&c.name))?;
    Some(format!("column {} was added on the source", added.name))
}

/// While a fence is up, each log has its trigger.
fn raised_fault(catalog: &Catalog, names: &Names, table: &TableName, fence: Standing) -> Option<Fault> {
    triggers_fault(catalog, &names.log_fence(&table.name, fence.up()?)).map(Fault::Mend)
}

/// The fence of a table that is not captured.
fn fence_fault(catalog: &Catalog, names: &Names, table: &TableName) -> Option<Fault> {
    // A module's table takes no triggers.
    let shape = catalog.table(&table.name).filter(|t| t.sort == Sort::Ordinary)?;
    triggers_fault(catalog, &names.table_fence(&shape.name)).map(Fault::Mend)
}

/// Why the log of a table may have missed something, or may miss something from now on.
pub(super) fn log_fault(
    catalog: &Catalog,
    names: &Names,
    table: &TablePlan,
    known: Option<&Registered>,
) -> Option<String> {
    let Some(shape) = catalog.table(&table.source.name) else {
        return Some("the table is gone from the source".to_string());
    };
    match (names.capture(table, shape), known) {
        (Err(error), _) => Some(error.summary()),
        (Ok(_), None) => Some("its changes are not captured".to_string()),
        (Ok(capture), Some(known)) => capture_fault(catalog, shape, &capture, known),
    }
}

/// What is wrong with the log of a table or its triggers: it may have missed something.
pub(super) fn capture_fault(
    catalog: &Catalog,
    shape: &Shape,
    capture: &Capture,
    known: &Registered,
) -> Option<String> {
    let Some(log) = catalog.table(&capture.log) else {
        return Some("its change log is gone: writers fail until it is there again".to_string());
    };
    if shape.order > log.order {
        return Some("the table was rebuilt".to_string());
    }
    if known.definition != shape.sql {
        return Some("the table was altered".to_string());
    }
    let fault = triggers_fault(catalog, &capture.triggers).or_else(|| triggers_fault(catalog, &capture.seal));
    if fault.is_some() {
        return fault;
    }
    let order = |s: &Statement| catalog.entry(&s.name).map(|e| e.order);
    let sealed = capture.seal.first().and_then(order);
    let broken = capture.triggers.iter().find(|t| order(t) > sealed)?;
    Some(format!("trigger {} was dropped and made again", broken.name))
}

/// What is wrong with some triggers or seals.
pub(super) fn triggers_fault(catalog: &Catalog, wanted: &[Statement]) -> Option<String> {
    wanted.iter().find_map(|Statement { name, sql }| {
        let sort = if sql.starts_with("CREATE VIEW") { "view" } else { "trigger" };
        match catalog.entry(name) {
            None => Some(format!("{sort} {name} is missing")),
            Some(found) if !is_same(found, sql) => Some(format!("{sort} {name} was altered")),
            Some(_) => None,
        }
    })
}

/// As the shell or an editor may have broken the lines otherwise.
fn is_same(found: &Entry, wanted: &str) -> bool {
    found.sql.split_whitespace().eq(wanted.split_whitespace())
}
