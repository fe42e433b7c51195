//! Checkpoints: what the operator, or a preset, says must hold on the upgraded target.
//!
//! They are asked by `highwater verify --checkpoints`, after the upgrade, and by the final sync before it
//! claims anything. They only read.
//!
//! They are asked at a consistent point. While tables replay each at its own pace, a question about two
//! tables can fail although no row is wrong: such a failure decides nothing.

use std::sync::Arc;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::engine::{Lease, Record, Target};
use crate::error::{Error, Kind, Policy, Result};
use crate::ledger::Ledger;
use crate::model::{Schema, TableName};
use crate::pair::{self, Sides};
use crate::point::{self, Made, Reads, Worker};
use crate::settings::{CheckpointSettings, DatabaseSettings, Expectation, Settings};
use crate::status::Board;

/// The rows of an answer that are read: one more than there may be.
const ROWS: usize = 2;

/// What came out of one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What it is called.
    pub name: String,
    /// Whether what it expects holds.
    pub holds: bool,
    /// What is wrong, where it doesn't.
    pub what: Option<String>,
    /// Whether the answer is one about the data: not so where it was given while tables were replayed, and might be
    /// another at a consistent point.
    pub decided: bool,
}

/// The state of the target's rows while checkpoints are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Nothing is replayed: before the copy, during the upgrade, once final.
    AtRest,
    /// Equal to production as it was at that instant.
    At(String),
    /// Replayed meanwhile, as no consistent point could be made; and why.
    Moving(String),
}

/// What came out of the checkpoints of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// One for each.
    pub outcomes: Vec<Outcome>,
    /// What the answers are about.
    pub rows: Rows,
}

/// Asks each of `checkpoints` at a consistent point; without one, where none can be made.
///
/// # Errors
/// When the target can't be reached, or the lease is lost.
pub async fn run_at_point(worker: &mut Worker<'_>, checkpoints: &[CheckpointSettings]) -> Result<Asked> {
    let target = worker.pair.sides.target.clone();
    let made = match point::make(worker, Reads::Dirty).await {
        Err(error) if error.kind() == Kind::NotConverged => {
            return without_point(target.as_ref(), checkpoints, error.summary()).await;
        }
        made => made?,
    };
    let point = match made {
        Made::Point(point) => point,
        Made::No(no) => return without_point(target.as_ref(), checkpoints, no.why).await,
    };
    let rows = Rows::At(point.at.clone());
    let asked = timeout_at(point.until, run(target.as_ref(), checkpoints, &rows)).await;
    point.release().await?;
    match asked {
        Ok(outcomes) => Ok(Asked { outcomes: outcomes?, rows }),
        Err(_) => Err(Error::new(
            Kind::NotConverged,
            "replay.point_timeout was over before every checkpoint was answered",
        )
        .remedy("a longer replay.point_timeout, or checkpoints that read less")),
    }
}

/// Asks the checkpoints of a database whose lease is held: at a consistent point, where rows are replayed.
///
/// # Errors
/// As [`run_at_point`].
pub async fn under_lease(
    (sides, database, settings): (&Sides, &DatabaseSettings, &Arc<Settings>),
    ledger: &Ledger,
    board: &Board,
    lease: &mut dyn Lease,
    (until, stop): (Instant, &CancellationToken),
) -> Result<Asked> {
    let target = sides.target.as_ref();
    let entry = ledger.read().await?;
    if !entry.standing().writes_rows() || entry.tables.iter().all(|t| t.watermark.is_none()) {
        let rows = Rows::AtRest;
        return Ok(Asked { outcomes: run(target, &database.checkpoints, &rows).await?, rows });
    }
    let prepared = pair::prepare_again(sides, database, settings, ledger, board);
    let (pair, generations) = match Box::pin(prepared).await {
        Err(error) if error.ends_command() => {
            return without_point(target, &database.checkpoints, error.summary()).await;
        }
        prepared => prepared?,
    };
    let pair = Arc::new(pair);
    let mut worker = Worker { pair: &pair, generations: &generations, lease, stop, until };
    run_at_point(&mut worker, &database.checkpoints).await
}

/// Asks each of `checkpoints` while tables are replayed, or may be.
///
/// # Errors
/// As [`run`].
pub async fn without_point(
    target: &dyn Target,
    checkpoints: &[CheckpointSettings],
    why: String,
) -> Result<Asked> {
    let rows = Rows::Moving(why);
    Ok(Asked { outcomes: run(target, checkpoints, &rows).await?, rows })
}

/// Asks each of `checkpoints` of the target as it is. What the server refuses is a checkpoint that doesn't hold.
///
/// # Errors
/// When the target can't be reached or its schema not be read.
pub async fn run(
    target: &dyn Target,
    checkpoints: &[CheckpointSettings],
    rows: &Rows,
) -> Result<Vec<Outcome>> {
    let names_tables = |c: &CheckpointSettings| matches!(c.expects, Expectation::Tables(_));
    let schema =
        if checkpoints.iter().any(names_tables) { target.schema().await? } else { Schema::default() };
    let mut outcomes = Vec::with_capacity(checkpoints.len());
    for checkpoint in checkpoints {
        let (what, is_about_rows) = match &checkpoint.expects {
            Expectation::Tables(names) => (tables(&schema, names), false),
            Expectation::Answer { sql, expect } => match target.ask(sql, ROWS).await {
                Ok(rows) => (answer(&rows, expect), true),
                Err(error) if error.policy() == Policy::Retry => return Err(error),
                Err(error) => (Some(format!("the server refuses it: {}", error.summary())), false),
            },
        };
        let decided = !is_about_rows || !matches!(rows, Rows::Moving(_));
        outcomes.push(Outcome { name: checkpoint.name.clone(), holds: what.is_none(), what, decided });
    }
    Ok(outcomes)
}

/// The error that names every checkpoint of the database of which it is known that it doesn't hold, if there is
/// one.
pub fn failure(database: &str, outcomes: &[Outcome]) -> Option<Error> {
    let decided: Vec<Outcome> = outcomes.iter().filter(|o| o.decided).cloned().collect();
    let failed = failures(&decided);
    (!failed.is_empty()).then(|| {
        Error::new(Kind::NotConverged, format!("database {database}: {}", failed.join("; ")))
            .remedy("correct it on the target, then `highwater verify --checkpoints`")
    })
}

/// What is wrong with each that doesn't hold, or is not known to.
pub fn failures(outcomes: &[Outcome]) -> Vec<String> {
    let said = |o: &Outcome| {
        let what = o.what.as_deref()?;
        let fails = if o.decided { "fails" } else { "is not decided, as there is no consistent point" };
        Some(format!("checkpoint {:?} {fails}: {what}", o.name))
    };
    outcomes.iter().filter_map(said).collect()
}

/// What is wrong with the tables, if anything is.
fn tables(schema: &Schema, names: &[String]) -> Option<String> {
    let there: Vec<&TableName> =
        schema.tables.iter().flat_map(|table| std::iter::once(&table.name).chain(&table.parts)).collect();
    let faults: Vec<String> = names.iter().filter_map(|name| table(&there, name)).collect();
    (!faults.is_empty()).then(|| faults.join(", "))
}

/// What is wrong with one table, if anything is: the name is matched without case where that is clear.
fn table(there: &[&TableName], name: &str) -> Option<String> {
    let (schema, bare) = match name.split_once('.') {
        Some((schema, bare)) => (Some(schema), bare),
        None => (None, name),
    };
    let is = |table: &TableName, same: fn(&str, &str) -> bool| {
        let in_schema = match (schema, table.schema.as_deref()) {
            (Some(wanted), Some(found)) => same(wanted, found),
            (Some(_), None) => false,
            (None, _) => true,
        };
        // A table's own name may have a dot.
        in_schema && same(bare, &table.name) || same(name, &table.name)
    };
    if there.iter().any(|table| is(table, |a, b| a == b)) {
        return None;
    }
    let alike: Vec<String> = there
        .iter()
        .filter(|table| is(table, |a, b| a.to_lowercase() == b.to_lowercase()))
        .map(ToString::to_string)
        .collect();
    match alike.as_slice() {
        [] => Some(format!("there is no table {name}")),
        [_] => None,
        _ => Some(format!("table {name} may be any of {}", alike.join(", "))),
    }
}

/// What is wrong with an answer, if anything is.
fn answer(rows: &[Record], expect: &str) -> Option<String> {
    match rows {
        [] => Some(format!("it gives no row, {expect:?} is expected")),
        [row] => match row.first().and_then(Option::as_deref) {
            Some(found) if found.trim() == expect.trim() => None,
            Some(found) => Some(format!("it gives {found:?}, {expect:?} is expected")),
            None => Some(format!("it gives NULL, {expect:?} is expected")),
        },
        _ => Some("it gives more than one row".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], wanted: &str) -> Option<String> {
        let names: Vec<TableName> = names
            .iter()
            .map(|name| match name.split_once('.') {
                Some((schema, table)) => TableName::new(schema, table),
                None => TableName { schema: None, name: (*name).to_string() },
            })
            .collect();
        table(&names.iter().collect::<Vec<_>>(), wanted)
    }

    #[test]
    fn a_table_is_found_by_name_and_without_case_where_that_is_clear() {
        let there = ["public.um_domain", "public.UM_USER", "public.T", "public.t", "other.X", "public.x"];
        for good in ["um_domain", "UM_DOMAIN", "public.um_domain", "PUBLIC.um_domain", "um_user", "t", "T"] {
            assert_eq!(found(&there, good), None, "{good}");
        }
        assert_eq!(found(&["Um_Domain"], "um_domain"), None);
        assert_eq!(found(&there, "um_dom").unwrap(), "there is no table um_dom");
        assert_eq!(found(&there, "other.um_domain").unwrap(), "there is no table other.um_domain");
        assert!(found(&["public.Ab", "public.aB"], "ab").unwrap().contains("may be any of"));
    }

    #[test]
    fn an_answer_is_the_only_row_that_was_expected() {
        let row = |text: Option<&str>| vec![text.map(str::to_string)];
        assert_eq!(answer(&[row(Some("0"))], "0"), None);
        assert_eq!(answer(&[row(Some("3"))], "0").unwrap(), "it gives \"3\", \"0\" is expected");
        assert!(answer(&[row(None)], "0").unwrap().contains("NULL"));
        assert!(answer(&[], "0").unwrap().contains("no row"));
        assert!(answer(&[row(Some("0")), row(Some("0"))], "0").unwrap().contains("more than one row"));
    }

    #[test]
    fn a_failure_names_every_checkpoint_that_fails() {
        let outcome = |name: &str, what: Option<&str>| Outcome {
            name: name.to_string(),
            holds: what.is_none(),
            what: what.map(str::to_string),
            decided: true,
        };
        assert!(failure("a", &[outcome("x", None)]).is_none());
        let error =
            failure("a", &[outcome("x", Some("1")), outcome("y", None), outcome("z", Some("2"))]).unwrap();
        assert_eq!(error.exit_code(), 4);
        let text = error.to_string();
        assert!(text.contains("checkpoint \"x\" fails: 1; checkpoint \"z\" fails: 2"), "{text}");
        let open = Outcome { decided: false, ..outcome("w", Some("3")) };
        assert!(failure("a", std::slice::from_ref(&open)).is_none(), "no failure of the data");
        assert!(failures(&[open])[0].contains("is not decided"));
    }
}
