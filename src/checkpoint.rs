//! Checkpoints: what the operator, or a preset, says must hold on the upgraded target.
//!
//! They are asked by `highwater verify --checkpoints`, after the upgrade, and by the final sync before it
//! claims anything. They only read.

use serde::Serialize;

use crate::engine::{Record, Target};
use crate::error::{Error, Kind, Policy, Result};
use crate::model::{Schema, TableName};
use crate::settings::{CheckpointSettings, Expectation};

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
}

/// Asks each of `checkpoints` of the target. What the server refuses is a checkpoint that doesn't hold.
///
/// # Errors
/// When the target can't be reached or its schema not be read.
pub async fn run(target: &dyn Target, checkpoints: &[CheckpointSettings]) -> Result<Vec<Outcome>> {
    let names_tables = |c: &CheckpointSettings| matches!(c.expects, Expectation::Tables(_));
    let schema =
        if checkpoints.iter().any(names_tables) { target.schema().await? } else { Schema::default() };
    let mut outcomes = Vec::with_capacity(checkpoints.len());
    for checkpoint in checkpoints {
        let what = match &checkpoint.expects {
            Expectation::Tables(names) => tables(&schema, names),
            Expectation::Answer { sql, expect } => match target.ask(sql, ROWS).await {
                Ok(rows) => answer(&rows, expect),
                Err(error) if error.policy() == Policy::Retry => return Err(error),
                Err(error) => Some(format!("the server refuses it: {}", error.summary())),
            },
        };
        outcomes.push(Outcome { name: checkpoint.name.clone(), holds: what.is_none(), what });
    }
    Ok(outcomes)
}

/// The error that names every checkpoint of the database that doesn't hold, if there is one.
pub fn failure(database: &str, outcomes: &[Outcome]) -> Option<Error> {
    let failed = failures(outcomes);
    (!failed.is_empty()).then(|| {
        Error::new(Kind::NotConverged, format!("database {database}: {}", failed.join("; ")))
            .remedy("mend it on the target, then `highwater verify --checkpoints`")
    })
}

/// What is wrong with each that doesn't hold.
pub fn failures(outcomes: &[Outcome]) -> Vec<String> {
    let said = |o: &Outcome| {
        let what = o.what.as_deref()?;
        Some(format!("checkpoint {:?} fails: {what}", o.name))
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
        };
        assert!(failure("a", &[outcome("x", None)]).is_none());
        let error =
            failure("a", &[outcome("x", Some("1")), outcome("y", None), outcome("z", Some("2"))]).unwrap();
        assert_eq!(error.exit_code(), 4);
        let text = error.to_string();
        assert!(text.contains("checkpoint \"x\" fails: 1; checkpoint \"z\" fails: 2"), "{text}");
    }
}
