//! What will be done with each table: pure, schemas and settings in, a plan or *all* blockers out.
//!
//! Tables and columns match by name: exactly first, then without case, never ambiguously. What doesn't
//! match needs a rule. Extra target columns keep their defaults.

mod checks;
mod columns;
mod conditions;
mod diff;
mod foreseen;
mod further;
mod links;
mod rules;
mod sides;
mod trial;
mod types;
mod values;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::engine::Survey;
use crate::model::{
    ColumnPair, Finding, Form, Generation, Plan, Rule, Schema, Strategy, Table, TableKind, TableName,
    TablePlan, Transfer, Transform,
};
use crate::settings::{DatabaseSettings, EngineKind, SchemaMode, TableSettings};
use columns::{Paired, Pairing};
use rules::{Force, Rules};

pub use checks::count_misfits;
pub use diff::{Change, CheckConstraints, Standing, TableDiff, diff, toml_text};
pub use foreseen::foresee;
pub use rules::{origin_share, quoted, quoted_table};
pub use trial::try_rules;

/// What a plan depends on besides schemas and rules.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// What is done about tables that the target lacks.
    pub mode: SchemaMode,
    /// The labels of tables that highwater is making: their indexes come after the rows.
    pub unfinished: HashSet<String>,
    /// The labels of tables whose copy was begun: the target had them.
    pub begun: HashSet<String>,
    /// Whether the target's schema has been upgraded.
    pub upgraded: bool,
    /// The instant that `:as_of` means in rules, as `2026-01-31T12:00:00.000000Z`.
    pub as_of: String,
}

/// Decides what is done with each table of the source.
pub fn make(
    database: &DatabaseSettings,
    circumstances: &Circumstances,
    source: &Schema,
    target: &Schema,
) -> Plan {
    let mut planner = Planner {
        engine: database.source.engine(),
        circumstances,
        rules: Rules::new(database, circumstances),
        target,
        blockers: Vec::new(),
        warnings: Vec::new(),
    };
    let wanted: Vec<&Table> =
        source.tables.iter().filter(|t| database.wants(t.name.schema.as_deref(), &t.name.name)).collect();
    let mut tables: Vec<TablePlan> = wanted.iter().filter_map(|table| planner.table(table)).collect();
    further::tie(&mut tables, target, &mut planner.blockers);
    planner.check_shared_targets(&tables);
    planner.check_parents(&wanted, &tables);
    planner.check_settings(source, &tables);
    let hash = hash(&tables);
    let notes = tables.iter().filter_map(way_back).collect();
    let excluded =
        source.tables.iter().map(|t| &t.name).filter(|name| !tables.iter().any(|t| &t.source == *name));
    let excluded = excluded.cloned().collect();
    Plan {
        database: database.name.clone(),
        tables,
        excluded,
        blockers: planner.blockers,
        warnings: planner.warnings,
        notes,
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
    circumstances: &'a Circumstances,
    rules: Rules<'a>,
    target: &'a Schema,
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
        let rule = self.rules.of(source, self.target);
        let target = match self.find(&source.name, &self.rules.target_name(source, rule))? {
            Found::Table(target) => target,
            Found::Missing => return Some(self.made(source, rule)),
        };
        if !matches!(target.kind, TableKind::Ordinary | TableKind::Partitioned | TableKind::Unlogged) {
            self.block(&source.name, format!("{} on the target is no ordinary table", target.name), EXCLUDE);
            return None;
        }
        self.check_written(source);
        let key = self.source_key(source, rule);
        let pairing = Pairing {
            engine: self.engine,
            source,
            target,
            rule,
            force: self.rules.force(),
            key: &key,
            as_of: &self.circumstances.as_of,
            blockers: &mut self.blockers,
            warnings: &mut self.warnings,
        };
        let paired = pairing.pair();
        let columns = match rule {
            Some(_) => prefer_unique(paired.columns.clone(), target),
            None => paired.columns.clone(),
        };
        let whole_rule = self.rule_of(source, rule, paired);
        let mut plan = self.plan(source, target.name.clone(), key, columns, whole_rule);
        plan.target_id.clone_from(&target.id);
        self.check_key(source, target, &plan, rule);
        let values = values::check(self.engine, &plan);
        self.blockers.extend(values.blockers);
        self.warnings.extend(values.warnings);
        if !plan.rule.into.is_empty() && plan.key_columns().any(|pair| pair.expression.is_some()) {
            let what = "its key goes through an expression, and `into` needs the source's key to find the rows of \
                        those that are gone";
            self.block(&source.name, what, "name a `key` of columns that are carried as they are");
        }
        if plan.key.is_empty() && !plan.rule.loads_directly() {
            let what = "it has no key, and its rule computes rows on the target, which needs one";
            self.block(&source.name, what, "name columns that are unique in the rule (`key`)");
        }
        Some(plan)
    }

    /// The rule as the plan has it.
    fn rule_of(&mut self, source: &Table, rule: Option<&TableSettings>, paired: Paired) -> Rule {
        let whole = rule.filter(|_| self.rules.force() == Force::Whole);
        Rule {
            filter: paired.filter,
            reads: paired.reads,
            also: paired.also,
            lookups: paired.lookups,
            into: whole
                .map_or_else(Vec::new, |r| further::into(source, self.target, &r.into, &mut self.blockers)),
            on_delete: rule.map_or_else(Default::default, |r| r.on_delete),
            transform: whole.and_then(|r| r.transform.as_ref()).map(|t| Transform {
                command: t.command.clone(),
                timeout_ms: u64::try_from(t.timeout.as_millis()).unwrap_or(u64::MAX),
            }),
        }
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

    /// The target table called `name` of a source table.
    fn find(&mut self, source: &TableName, name: &TableName) -> Option<Found<'a>> {
        let target = self.target;
        if let Some(table) = target.table(name) {
            return Some(Found::Table(table));
        }
        let alike: Vec<&Table> = target.tables.iter().filter(|t| same_without_case(&t.name, name)).collect();
        match alike.as_slice() {
            [table] => Some(Found::Table(table)),
            [] if self.is_to_be_made(source) => Some(Found::Missing),
            [] => {
                let (what, remedy) = if source == name {
                    ("the target has no such table".to_string(), self.where_it_may_be())
                } else {
                    (
                        format!("the target has no table {name}, which the rule names"),
                        "correct the rule's `target`",
                    )
                };
                self.block(source, what, remedy);
                None
            }
            _ => {
                let names: Vec<String> = alike.iter().map(|t| t.name.to_string()).collect();
                let what =
                    format!("more than one target table has that name without case: {}", names.join(", "));
                self.block(source, what, "rename all but one");
                None
            }
        }
    }

    /// Whether a table that the target lacks is highwater's to make. One that the target had, or that an
    /// upgraded schema lacks, was renamed or dropped: made anew it would stand there with the old rows.
    fn is_to_be_made(&self, source: &TableName) -> bool {
        let Circumstances { mode, upgraded, begun, .. } = self.circumstances;
        *mode == SchemaMode::Create && !upgraded && !begun.contains(&source.to_string())
    }

    /// What to do about a table that the target lacks.
    fn where_it_may_be(&self) -> &'static str {
        match self.circumstances.mode {
            SchemaMode::Create => {
                "say in a rule which `target` it has now, add it to `exclude`, or create it there"
            }
            SchemaMode::Expect => {
                "create it there, say in a rule which `target` it has now, add it to `exclude`, or set \
                 copy.schema = \"create\""
            }
        }
    }

    /// A table that will be made like the source's: a rule's filter and key are about the source.
    fn made(&mut self, source: &Table, rule: Option<&TableSettings>) -> TablePlan {
        self.check_written(source);
        let key = self.source_key(source, rule);
        let pairing = Pairing {
            engine: self.engine,
            source,
            target: source,
            rule,
            force: Force::SourceOnly,
            key: &key,
            as_of: &self.circumstances.as_of,
            blockers: &mut self.blockers,
            warnings: &mut self.warnings,
        };
        let paired = pairing.pair();
        let columns = paired.columns.clone();
        let whole_rule = Rule { filter: paired.filter, reads: paired.reads, ..Rule::default() };
        TablePlan { create: true, ..self.plan(source, source.name.clone(), key, columns, whole_rule) }
    }

    /// The source columns by which rows are found again.
    fn source_key(&mut self, source: &Table, rule: Option<&TableSettings>) -> Vec<String> {
        let Some(rule) = rule.filter(|r| !r.key.is_empty()) else {
            let key = source.key();
            if key.is_empty() {
                let what = "it has no key: whenever it changes it is read and compared as a whole";
                let remedy = "give it a primary key, name columns that are unique in a rule (`key`), or expect one \
                              full read of it each time";
                self.warn(&source.name, what, remedy);
            }
            return key.to_vec();
        };
        let mut key = Vec::new();
        for name in &rule.key {
            match columns::find_column(source, name) {
                Some(column) => key.push(column.name.clone()),
                None => {
                    let names: Vec<String> = source.columns.iter().map(|c| c.name.clone()).collect();
                    let what = format!("the rule's `key` names {name}, which the source table does not have");
                    self.block(&source.name, what, nearest(name, &names));
                }
            }
        }
        key
    }

    /// That the target can find rows by the key too.
    fn check_key(&mut self, source: &Table, target: &Table, plan: &TablePlan, rule: Option<&TableSettings>) {
        if plan.key.is_empty() || plan.key_columns().count() < plan.key.len() {
            let missing: Vec<&str> = plan
                .key
                .iter()
                .filter(|k| !plan.columns.iter().any(|c| &c.source == *k))
                .map(String::as_str)
                .collect();
            if !missing.is_empty() {
                let what = format!("the key column {} has no place on the target", missing.join(", "));
                let remedy = "name in a rule a `key` of columns that the target has too, or say how the target's \
                              column comes from it ({ source = \"..\" })";
                self.block(&source.name, what, remedy);
            }
            return;
        }
        let wanted: Vec<&str> = plan.matched().map(|(pair, _)| pair.target.as_str()).collect();
        // With a rule fewer columns may do: that they are unique says that all of them are.
        let fits = |index: &[String]| {
            !index.is_empty()
                && (rule.is_some() || index.len() == wanted.len())
                && index.iter().all(|column| wanted.contains(&column.as_str()))
        };
        let unfinished = self.circumstances.unfinished.contains(&source.name.to_string());
        if !unfinished
            && !fits(&target.primary_key)
            && !target.unique.iter().any(|index| fits(&index.columns))
        {
            let list = wanted.join(", ");
            let what = format!("the target has no unique index on ({list}), by which rows are found again");
            let remedy = format!(
                "CREATE UNIQUE INDEX .. ON {} ({list}), or name another `key` in a rule",
                target.name
            );
            self.block(&source.name, what, remedy);
        }
    }

    /// Rows of a table in which no statement can write a value hold nothing that could be carried.
    fn check_written(&mut self, source: &Table) {
        if source.columns.iter().all(|c| c.generation == Generation::Computed) {
            self.block(&source.name, "no column of the table can be written".to_string(), EXCLUDE);
        }
    }

    fn plan(
        &self,
        source: &Table,
        target: TableName,
        key: Vec<String>,
        columns: Vec<ColumnPair>,
        rule: Rule,
    ) -> TablePlan {
        // What is computed travels as text: the target gives it its type.
        let by_text = |c: &ColumnPair| {
            source.columns.iter().any(|column| column.name == c.source && column.transfer == Transfer::Text)
        };
        let same =
            columns.iter().all(|c| c.expression.is_none() && c.source_type == c.target_type && !by_text(c))
                && rule.loads_directly();
        TablePlan {
            source: source.name.clone(),
            target,
            target_id: String::new(),
            strategy: if key.is_empty() { Strategy::Whole } else { Strategy::Keyed },
            key,
            columns,
            rule,
            dependants: Vec::new(),
            looks_up: Vec::new(),
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

    /// Several tables may share a target if a constant column tells their rows apart.
    fn check_shared_targets(&mut self, tables: &[TablePlan]) {
        let mut seen: HashMap<&TableName, Vec<&TablePlan>> = HashMap::new();
        for table in tables {
            for into in &table.rule.into {
                if let Some(other) = tables.iter().find(|t| t.target == into.target) {
                    let what =
                        format!("its rows go into {}, to which {} goes too", into.target, other.source);
                    self.block(&table.source, what, EXCLUDE);
                }
            }
            let others = seen.entry(&table.target).or_default();
            if let Some(other) = others.iter().find(|other| !are_apart(other, table)) {
                let what = format!("{} and it would both go to {}", other.source, table.target);
                let remedy = "rename one, add it to `exclude`, or give both a constant column that tells their rows \
                              apart ({ source = \"'A'\" } in one rule, { source = \"'B'\" } in the other)";
                self.block(&table.source, what, remedy);
            }
            others.push(table);
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

    fn check_settings(&mut self, source: &Schema, tables: &[TablePlan]) {
        self.blockers.extend(self.rules.check(source));
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

/// Where a key column goes to several target columns, the one in a unique index first: rows are found by it.
fn prefer_unique(mut columns: Vec<ColumnPair>, target: &Table) -> Vec<ColumnPair> {
    let unique = |name: &String| {
        target.primary_key.contains(name) || target.unique.iter().any(|index| index.columns.contains(name))
    };
    columns.sort_by_key(|c| !unique(&c.target));
    columns
}

/// Whether a constant column tells the rows of two tables apart.
fn are_apart(one: &TablePlan, other: &TablePlan) -> bool {
    one.constants().any(|(column, value)| other.constants().any(|(c, v)| c == column && v != value))
}

/// What could not go back from a table's target.
fn way_back(table: &TablePlan) -> Option<String> {
    let lost = table.inverse().lost;
    let list = lost.join(", ");
    (!lost.is_empty())
        .then(|| format!("{}: by its rule {list} can't be had back from the target", table.source))
}

fn hash(tables: &[TablePlan]) -> String {
    let decisions: Vec<u8> = tables.iter().flat_map(TablePlan::decision).collect();
    hex::encode(&Sha256::digest(decisions)[..8])
}

#[cfg(test)]
mod tests;
