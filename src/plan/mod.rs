//! What will be done with each table: pure, schemas and settings in, a plan or *all* blockers out.
//!
//! Tables and columns match by name: exactly first, then without case, never ambiguously. Extra
//! target columns keep their defaults.

mod columns;
mod sides;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::engine::Survey;
use crate::model::{
    ColumnPair, Finding, Form, Plan, Schema, Strategy, Table, TableKind, TableName, TablePlan,
};
use crate::settings::{DatabaseSettings, EngineKind, SchemaMode};

/// Decides what is done with each table of the source.
///
/// `unfinished` are the labels of tables that highwater is making: their indexes come after the rows.
pub fn make(
    database: &DatabaseSettings,
    mode: SchemaMode,
    source: &Schema,
    target: &Schema,
    unfinished: &HashSet<String>,
) -> Plan {
    let mut planner = Planner {
        engine: database.source.engine(),
        mode,
        target,
        unfinished,
        blockers: Vec::new(),
        warnings: Vec::new(),
    };
    let wanted: Vec<&Table> =
        source.tables.iter().filter(|t| database.wants(t.name.schema.as_deref(), &t.name.name)).collect();
    let tables: Vec<TablePlan> = wanted.iter().filter_map(|table| planner.table(table)).collect();
    planner.check_shared_targets(&tables);
    planner.check_parents(&wanted, &tables);
    planner.check_settings(database, source, &tables);
    let hash = hash(&tables);
    let excluded =
        source.tables.iter().map(|t| &t.name).filter(|name| !tables.iter().any(|t| &t.source == *name));
    let excluded = excluded.cloned().collect();
    Plan {
        database: database.name.clone(),
        tables,
        excluded,
        blockers: planner.blockers,
        warnings: planner.warnings,
        notes: Vec::new(),
        hash,
    }
}

/// Adds what the surveys of both sides found, and what comes out when they are compared.
pub fn add_surveys(plan: &mut Plan, source: Survey, target: Survey) {
    if let (Some(from), Some(to)) = (&source.manners, &target.manners) {
        sides::compare(plan, from, to);
    }
    for survey in [source, target] {
        plan.blockers.extend(survey.blockers);
        plan.warnings.extend(survey.warnings);
        plan.notes.extend(survey.notes);
    }
}

/// About how long the copy will take: the larger of 150,000 rows and 40 MB a second, which is what one
/// modest machine with both servers was seen to do. A guess to plan by, not a promise.
pub fn estimate(plan: &Plan) -> Duration {
    let sum = |of: fn(&TablePlan) -> u64| plan.tables.iter().map(of).sum::<u64>() as f64;
    let seconds = (sum(|t| t.rows) / 150_000.0).max(sum(|t| t.bytes) / 40e6);
    Duration::from_secs_f64(seconds.max(1.0).round())
}

struct Planner<'a> {
    engine: EngineKind,
    mode: SchemaMode,
    target: &'a Schema,
    unfinished: &'a HashSet<String>,
    blockers: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl<'a> Planner<'a> {
    fn block(&mut self, table: &TableName, what: impl Into<String>, remedy: impl Into<String>) {
        self.blockers.push(Finding::of(table, what, remedy));
    }

    fn warn(&mut self, table: &TableName, what: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.push(Finding::of(table, what, remedy));
    }

    fn table(&mut self, source: &Table) -> Option<TablePlan> {
        if !self.can_be_carried(source) {
            return None;
        }
        let found = self.find(&source.name)?;
        let target = match found {
            Found::Table(target) => target,
            Found::Missing => return Some(self.made(source)),
        };
        if !matches!(target.kind, TableKind::Ordinary | TableKind::Partitioned | TableKind::Unlogged) {
            self.block(&source.name, format!("{} on the target is no ordinary table", target.name), EXCLUDE);
            return None;
        }
        let columns = columns::pair(source, target, &mut self.blockers);
        let key = self.key(source, target, &columns);
        Some(TablePlan {
            target_id: target.id.clone(),
            ..self.plan(source, target.name.clone(), key, columns)
        })
    }

    fn can_be_carried(&mut self, table: &Table) -> bool {
        match table.kind {
            TableKind::Ordinary | TableKind::Partitioned => true,
            TableKind::Unlogged => {
                let what = "an UNLOGGED table is empty after a crash of the source, which no trigger sees";
                self.block(&table.name, what, "ALTER TABLE .. SET LOGGED, or add it to `exclude`");
                false
            }
            TableKind::Foreign => {
                let what = "a foreign table is not carried: its rows live on another server";
                self.warn(&table.name, what, "create it on the target with its own server");
                false
            }
            TableKind::Virtual => {
                let what = "a virtual table is not carried: its module keeps the rows";
                self.warn(&table.name, what, "rebuild it on the target");
                false
            }
        }
    }

    fn find(&mut self, name: &TableName) -> Option<Found<'a>> {
        let target = self.target;
        if let Some(table) = target.table(name) {
            return Some(Found::Table(table));
        }
        let alike: Vec<&Table> = target.tables.iter().filter(|t| same_without_case(&t.name, name)).collect();
        match (alike.as_slice(), self.mode) {
            ([table], _) => Some(Found::Table(table)),
            ([], SchemaMode::Create) => Some(Found::Missing),
            ([], SchemaMode::Expect) => {
                let remedy = "create it there, add it to `exclude`, or set copy.schema = \"create\"";
                self.block(name, "the target has no such table", remedy);
                None
            }
            _ => {
                let names: Vec<String> = alike.iter().map(|t| t.name.to_string()).collect();
                let what =
                    format!("more than one target table has that name without case: {}", names.join(", "));
                self.block(name, what, "rename all but one");
                None
            }
        }
    }

    /// A table that will be made like the source's.
    fn made(&self, source: &Table) -> TablePlan {
        let columns = source
            .columns
            .iter()
            .filter(|c| c.generation != crate::model::Generation::Computed)
            .map(|c| ColumnPair {
                source: c.name.clone(),
                target: c.name.clone(),
                source_type: c.type_name.clone(),
                target_type: c.type_name.clone(),
            })
            .collect();
        TablePlan { create: true, ..self.plan(source, source.name.clone(), source.key().to_vec(), columns) }
    }

    /// The key, where the target can find rows by it too.
    fn key(&mut self, source: &Table, target: &Table, columns: &[ColumnPair]) -> Vec<String> {
        let key = source.key();
        if key.is_empty() {
            let what = "it has no key: whenever it changes it is read and compared as a whole";
            self.warn(&source.name, what, "give it a primary key, or expect one full read of it each time");
            return Vec::new();
        }
        let Some(wanted) = key
            .iter()
            .map(|k| columns.iter().find(|c| &c.source == k).map(|c| c.target.as_str()))
            .collect::<Option<Vec<&str>>>()
        else {
            // A key column without a place on the target is a blocker already.
            return key.to_vec();
        };
        let fits = |index: &[String]| {
            index.len() == wanted.len() && index.iter().all(|column| wanted.contains(&column.as_str()))
        };
        let unfinished = self.unfinished.contains(&source.name.to_string());
        if !unfinished
            && !fits(&target.primary_key)
            && !target.unique.iter().any(|index| fits(&index.columns))
        {
            let list = wanted.join(", ");
            let what = format!("the target has no unique index on ({list}), by which rows are found again");
            let remedy = format!("CREATE UNIQUE INDEX ON {} ({list})", target.name);
            self.block(&source.name, what, remedy);
        }
        key.to_vec()
    }

    fn plan(
        &self,
        source: &Table,
        target: TableName,
        key: Vec<String>,
        columns: Vec<ColumnPair>,
    ) -> TablePlan {
        // A reg* value is a number that means another object in another cluster: its name travels.
        let same =
            columns.iter().all(|c| c.source_type == c.target_type && !c.source_type.starts_with("reg"));
        TablePlan {
            source: source.name.clone(),
            target,
            target_id: String::new(),
            strategy: if key.is_empty() { Strategy::Whole } else { Strategy::Keyed },
            key,
            columns,
            form: match (self.engine, same) {
                (EngineKind::Postgres, true) => Form::CopyBinary,
                (EngineKind::Postgres, false) => Form::CopyText,
                (EngineKind::Mysql | EngineKind::Sqlite, _) => Form::Values,
            },
            partitioned: source.kind == TableKind::Partitioned,
            create: false,
            rows: source.rows,
            bytes: source.bytes,
        }
    }

    fn check_shared_targets(&mut self, tables: &[TablePlan]) {
        let mut seen: HashMap<&TableName, &TablePlan> = HashMap::new();
        for table in tables {
            if let Some(other) = seen.insert(&table.target, table) {
                let what = format!("{} and it would both go to {}", other.source, table.target);
                self.block(&table.source, what, EXCLUDE);
            }
        }
    }

    fn check_parents(&mut self, wanted: &[&Table], tables: &[TablePlan]) {
        for table in wanted {
            for foreign in &table.foreign_keys {
                let carried = tables.iter().any(|t| t.source == foreign.parent);
                if !carried && tables.iter().any(|t| t.source == table.name) {
                    let what = format!("it refers to {}, which is not carried", foreign.parent);
                    self.warn(&table.name, what, "make sure the target's rows there fit");
                }
            }
        }
    }

    fn check_settings(&mut self, database: &DatabaseSettings, source: &Schema, tables: &[TablePlan]) {
        for rule in &database.tables {
            let known = |t: &&Table| t.name.to_string() == rule.name || t.name.name == rule.name;
            if !source.tables.iter().any(|t| known(&t)) {
                let names: Vec<String> = source.tables.iter().map(|t| t.name.to_string()).collect();
                let what =
                    format!("the settings name a table `{}`, which the source does not have", rule.name);
                self.blockers.push(Finding::general(what, nearest(&rule.name, &names)));
            }
        }
        if tables.is_empty() && self.blockers.is_empty() {
            let what = "no table of the source is to be carried";
            self.blockers.push(Finding::general(what, "look at `include` and `exclude`"));
        }
    }
}

const EXCLUDE: &str = "rename one, or add it to `exclude`";

enum Found<'a> {
    Table(&'a Table),
    Missing,
}

fn same_without_case(one: &TableName, other: &TableName) -> bool {
    let lower = |n: &TableName| (n.schema.as_ref().map(|s| s.to_lowercase()), n.name.to_lowercase());
    lower(one) == lower(other)
}

fn nearest(name: &str, names: &[String]) -> String {
    let best = names.iter().max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
    best.map_or_else(|| "the source has no tables".to_string(), |best| format!("did you mean `{best}`?"))
}

fn hash(tables: &[TablePlan]) -> String {
    let decisions: Vec<u8> = tables.iter().flat_map(TablePlan::decision).collect();
    hex::encode(&Sha256::digest(decisions)[..8])
}

#[cfg(test)]
mod tests;
