//! Which rule is meant for a source table, and what of it holds now.

use super::Circumstances;
use super::columns::find_column;
use crate::model::{Finding, Schema, Table, TableName};
use crate::settings::{DatabaseSettings, EngineKind, TableSettings, nearest};

/// What of a rule holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// All of it.
    Whole,
    /// What concerns the source only: the target's schema is still to be upgraded.
    SourceOnly,
}

/// The rules of a database, as far as they are meant.
pub(super) struct Rules<'a> {
    database: &'a DatabaseSettings,
    force: Force,
}

impl<'a> Rules<'a> {
    pub(super) fn new(database: &'a DatabaseSettings, circumstances: &Circumstances) -> Self {
        let waits = database.upgrade.is_after_copy() && !circumstances.upgraded;
        Rules { database, force: if waits { Force::SourceOnly } else { Force::Whole } }
    }

    pub(super) fn force(&self) -> Force {
        self.force
    }

    /// The rule of a source table: the first that names it and is meant.
    pub(super) fn of(&self, source: &Table, target: &Schema) -> Option<&'a TableSettings> {
        self.database
            .tables
            .iter()
            .filter(|rule| is_named(rule, &source.name))
            .find(|rule| self.is_meant(rule, source, target))
    }

    /// The name of the target table of a source table.
    pub(super) fn target_name(&self, source: &Table, rule: Option<&TableSettings>) -> TableName {
        match rule.and_then(|r| r.target.as_deref()).filter(|_| self.force == Force::Whole) {
            Some(name) => TableName::read(name, &source.name),
            None => source.name.clone(),
        }
    }

    /// Whether all columns that it depends on are there. What waits for the upgrade can't ask for the
    /// target's.
    fn is_meant(&self, rule: &TableSettings, source: &Table, target: &Schema) -> bool {
        let there =
            rule.target.as_ref().map_or_else(|| source.name.clone(), |t| TableName::read(t, &source.name));
        let there = find_table(target, &there);
        rule.when.iter().all(|column| match column.split_once('.') {
            Some(("source", name)) => find_column(source, name).is_some(),
            Some((_, name)) => {
                self.force == Force::SourceOnly || there.is_some_and(|t| find_column(t, name).is_some())
            }
            None => false,
        })
    }

    /// Rules of the settings that name no table of the source.
    pub(super) fn check(&self, source: &Schema) -> Vec<Finding> {
        let mut found = Vec::new();
        for rule in self.database.tables.iter().filter(|r| r.preset.is_none()) {
            if !source.tables.iter().any(|t| is_named(rule, &t.name)) {
                let names: Vec<String> = source.tables.iter().map(|t| t.name.to_string()).collect();
                let what =
                    format!("the settings name a table `{}`, which the source does not have", rule.name);
                let remedy = nearest(&rule.name, names.iter().map(String::as_str)).map_or_else(
                    || "take the rule out, or correct its name".to_string(),
                    |near| format!("did you mean `{near}`?"),
                );
                found.push(Finding::general(what, remedy));
            }
        }
        found
    }
}

fn is_named(rule: &TableSettings, table: &TableName) -> bool {
    let same = |one: &str, other: &str| match rule.preset {
        Some(_) => one.eq_ignore_ascii_case(other),
        None => one == other,
    };
    same(&rule.name, &table.to_string()) || same(&rule.name, &table.name)
}

/// The share of a table's keys that its upgrade is meant to make or to delete, where the settings say it.
pub fn origin_share(database: &DatabaseSettings, table: &TableName) -> Option<f64> {
    let shares = database.tables.iter().filter(|rule| is_named(rule, table)).filter_map(|r| r.origin_share);
    shares.reduce(f64::max)
}

/// The table of that name: exactly, else the only one without case.
pub(super) fn find_table<'s>(schema: &'s Schema, name: &TableName) -> Option<&'s Table> {
    schema.table(name).or_else(|| {
        let mut alike = schema.tables.iter().filter(|t| super::same_without_case(&t.name, name));
        alike.next().filter(|_| alike.next().is_none())
    })
}

/// A name in the engine's quotes.
pub fn quoted(engine: EngineKind, name: &str) -> String {
    match engine {
        EngineKind::Mysql => format!("`{}`", name.replace('`', "``")),
        EngineKind::Postgres | EngineKind::Sqlite => crate::model::quote(name),
    }
}

/// A table's name in the engine's quotes.
pub fn quoted_table(engine: EngineKind, table: &TableName) -> String {
    match &table.schema {
        Some(schema) => format!("{}.{}", quoted(engine, schema), quoted(engine, &table.name)),
        None => quoted(engine, &table.name),
    }
}

/// The instant as a literal of the engine. `at` is of the form `2026-01-31T12:00:00.000000Z`.
pub(super) fn instant(engine: EngineKind, at: &str) -> String {
    let plain = at.trim_end_matches('Z').replace('T', " ");
    match engine {
        EngineKind::Postgres => format!("'{plain}+00'::timestamptz"),
        EngineKind::Mysql => format!("TIMESTAMP'{plain}'"),
        EngineKind::Sqlite => format!("'{}'", plain.split('.').next().unwrap_or(&plain)),
    }
}
