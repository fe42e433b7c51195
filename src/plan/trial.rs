//! Tries rules on both servers: the SQL that only they can judge, on real rows, rolled back.

use std::collections::BTreeSet;

use super::further::on_target;
use super::links::relations;
use super::rules::{find_table, quoted, quoted_table};
use super::types::{Fit, fit};
use crate::engine::{Feed, Source, Target};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Block, ColumnPair, Finding, Into, IntoColumn, Plan, Schema, Strategy, Table, TablePlan, sql,
};
use crate::settings::{DatabaseSettings, EngineKind};
use crate::transform;

/// How many rows a rule is tried on.
const SAMPLE_ROWS: u64 = 100;
/// How many examples are shown of what forbids something.
const EXAMPLES: usize = 3;

/// Tries the rules of a plan, finds out what the selects of further targets yield, and adds what
/// forbids it. Of tables without rules nothing is asked, unless a column has another type.
///
/// # Errors
/// When a side can't be reached.
pub async fn try_rules(
    plan: &mut Plan,
    database: &DatabaseSettings,
    sides: (&dyn Source, &dyn Target),
    schemas: (&Schema, &Schema),
) -> Result<()> {
    let engine = database.source.engine();
    let mut tables = std::mem::take(&mut plan.tables);
    for table in &mut tables {
        let blocked = plan.blockers.iter().any(|b| b.table.as_deref() == Some(&table.label()));
        if blocked || table.create {
            continue;
        }
        let mut trial = Trial { engine, sides, found: Vec::new(), warnings: Vec::new() };
        if let Some(source) = schemas.0.table(&table.source) {
            trial.key(source, table).await?;
        }
        if is_ruled(table) || changes_types(table) {
            trial.table(table, schemas.1).await?;
        }
        plan.blockers.append(&mut trial.found);
        plan.warnings.append(&mut trial.warnings);
    }
    plan.tables = tables;
    Ok(())
}

fn is_ruled(table: &TablePlan) -> bool {
    table.rule.filter.is_some()
        || !table.rule.loads_directly()
        || table.columns.iter().any(|c| c.expression.is_some())
}

/// Whether values become values of another type, which may take none of them.
fn changes_types(table: &TablePlan) -> bool {
    let is_other = |c: &ColumnPair| fit(&c.source_type, &c.target_type) == Fit::Other;
    table.columns.iter().any(is_other)
}

struct Trial<'a> {
    engine: EngineKind,
    sides: (&'a dyn Source, &'a dyn Target),
    found: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Trial<'_> {
    fn block(&mut self, table: &TablePlan, what: String, remedy: &str) {
        self.found.push(Finding::of(&table.source, what, remedy));
    }

    /// That a key which no index vouches for is one.
    async fn key(&mut self, source: &Table, table: &TablePlan) -> Result<()> {
        let part_of = |index: &[String]| !index.is_empty() && index.iter().all(|c| table.key.contains(c));
        let not_null = |c: &String| source.column(c).is_some_and(|c| c.not_null);
        let vouched = part_of(&source.primary_key)
            || source
                .unique
                .iter()
                .any(|index| part_of(&index.columns) && index.columns.iter().all(not_null));
        if table.key.is_empty() || (vouched && table.key.iter().all(not_null)) {
            return Ok(());
        }
        let columns: Vec<String> = table.key.iter().map(|k| quoted(self.engine, k)).collect();
        let (list, name) = (columns.join(", "), quoted_table(self.engine, &table.source));
        let nulls: Vec<String> = columns.iter().map(|c| format!("{c} IS NULL")).collect();
        let sql = format!("SELECT {list} FROM {name} WHERE {} LIMIT {EXAMPLES}", nulls.join(" OR "));
        if !self.sides.0.ask(&sql, EXAMPLES).await?.is_empty() {
            let what = format!(
                "the rule's `key` ({}) is NULL in some rows, which could not be found again",
                table.key.join(", ")
            );
            self.block(table, what, "name columns that are never NULL");
        }
        if vouched {
            return Ok(());
        }
        let sql = format!("SELECT {list} FROM {name} GROUP BY {list} HAVING count(*) > 1 LIMIT {EXAMPLES}");
        let twice = self.sides.0.ask(&sql, EXAMPLES).await?;
        if !twice.is_empty() {
            let examples: Vec<String> = twice
                .iter()
                .map(|row| row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(", "))
                .map(|row| format!("({row})"))
                .collect();
            let what = format!(
                "the rule's `key` ({}) is not unique: several rows have {}",
                table.key.join(", "),
                examples.join(", ")
            );
            self.block(table, what, "name columns that are unique, or take `key` out");
        }
        Ok(())
    }

    async fn table(&mut self, table: &mut TablePlan, target: &Schema) -> Result<()> {
        let rows = match self.sides.0.sample(table, SAMPLE_ROWS).await {
            Ok(rows) => rows,
            Err(error) => return self.refused(table, "the rule's SQL on the source is refused", error),
        };
        let rows = match transform::blocks(table, rows).await {
            Ok(rows) => rows,
            Err(error) => return self.refused(table, "the rule's `transform` fails", error),
        };
        for lookup in table.rule.lookups.clone() {
            let select = format!("SELECT ({}) AS x FROM changed", lookup.expression);
            if let Err(error) = self.sides.1.yields(table, &select).await {
                self.refused(
                    table,
                    &format!("the rule for {} is refused by the target", lookup.target),
                    error,
                )?;
            }
        }
        for number in 0..table.rule.into.len() {
            self.into(table, number, target).await?;
        }
        self.relations(table, target).await?;
        if self.found.is_empty() { self.rows(table, &rows).await } else { Ok(()) }
    }

    /// That the rule reads tables: what shows behind a view or a partition changes unnoticed.
    async fn relations(&mut self, table: &TablePlan, target: &Schema) -> Result<()> {
        let is_table = |relation: &&str| {
            target.tables.iter().any(|t| !sql::mentioned(relation, [t.name.name.as_str()]).is_empty())
        };
        let read: BTreeSet<&str> =
            on_target(&table.rule).into_iter().flat_map(relations).filter(|r| !is_table(r)).collect();
        for relation in read {
            // What is no relation, such as a name within WITH, is refused.
            match self.sides.1.yields(table, &format!("SELECT 1 AS x FROM {relation} WHERE 1 = 0")).await {
                Err(error) if error.kind() == Kind::Unavailable => return Err(error),
                Err(_) => {}
                Ok(_) => self.block(
                    table,
                    format!(
                        "its rule reads {relation}, which is no table of its own: what changes behind it would not \
                         be noticed, and leave rows stale"
                    ),
                    "name the tables themselves in the rule's SQL",
                ),
            }
        }
        Ok(())
    }

    /// Finds out what a further target's select yields.
    async fn into(&mut self, table: &mut TablePlan, number: usize, target: &Schema) -> Result<()> {
        let Some(into) = table.rule.into.get(number).cloned() else { return Ok(()) };
        let place = format!("the rule's `into` {}", into.target);
        for (column, expression) in &into.matches {
            let select = format!("SELECT ({expression}) AS x FROM changed");
            if let Err(error) = self.sides.1.yields(table, &select).await {
                self.refused(table, &format!("{place}: `match` for {column} is refused"), error)?;
            }
        }
        let names = match self.sides.1.yields(table, &into.select).await {
            Ok(names) => names,
            Err(error) => return self.refused(table, &format!("{place}: `select` is refused"), error),
        };
        let Some(found) = find_table(target, &into.target) else { return Ok(()) };
        let mut columns = Vec::new();
        for name in &names {
            match super::columns::find_column(found, name) {
                Some(c) => columns.push(IntoColumn { name: c.name.clone(), type_name: c.type_name.clone() }),
                None => {
                    let what = format!("{place}: `select` yields {name}, which the table does not have");
                    self.block(table, what, "name each result after a column: SELECT .. AS column");
                }
            }
        }
        for (column, _) in &into.matches {
            if !columns.iter().any(|c| &c.name == column) {
                let what =
                    format!("{place}: `select` does not yield {column}, by which `match` finds its rows");
                self.block(table, what, "let the select yield the matched columns too");
            }
        }
        let is_yielded = |c: &String| columns.iter().any(|y| &y.name == c);
        let not_null = |c: &String| found.column(c).is_some_and(|c| c.not_null);
        let key = std::iter::once(&found.primary_key)
            .chain(found.unique.iter().map(|u| &u.columns))
            .find(|index| !index.is_empty() && index.iter().all(|c| is_yielded(c) && not_null(c)))
            .cloned()
            .unwrap_or_default();
        if let Some(place) = table.rule.into.get_mut(number) {
            *place = Into { columns, key, ..into };
        }
        Ok(())
    }

    /// Does the act itself with some rows, and takes it back.
    async fn rows(&mut self, table: &TablePlan, rows: &[Block]) -> Result<()> {
        let mut tx = self.sides.1.begin().await?;
        let tried = async {
            match table.strategy {
                Strategy::Keyed => {
                    tx.stage(table, Feed::Read(rows)).await?;
                    tx.equalise(table, None).await?;
                }
                Strategy::Whole => {
                    tx.load(table, Feed::Read(rows)).await?;
                }
            }
            Ok::<(), Error>(())
        };
        match tried.await {
            Ok(()) => Ok(()),
            // The rows may only lack parents or be in each other's way: copy and replay see to those.
            Err(error) if error.kind() == Kind::Data => {
                let what = format!(
                    "of the first {SAMPLE_ROWS} rows some are refused as the target is now: {}",
                    error.summary()
                );
                let remedy = "see whether that is what you expect; rows that stay refused are parked";
                self.warnings.push(Finding::of(&table.source, what, remedy));
                Ok(())
            }
            Err(error) => self.refused(table, "the rule can't be carried out", error),
        }
    }

    /// What a server says against a rule is a blocker; that it can't be reached is an error.
    fn refused(&mut self, table: &TablePlan, what: &str, error: Error) -> Result<()> {
        match error.kind() {
            Kind::Table | Kind::Data | Kind::Failed => {
                let remedy = "correct the expression, or grant what it lacks: on the source it sees the row's columns, \
                              on the target the table `changed` with the source's columns";
                self.block(table, format!("{what}: {}", error.summary()), remedy);
                Ok(())
            }
            _ => Err(error),
        }
    }
}
