//! How both schemas differ, table by table, and a rule to paste where one is needed.

use std::collections::HashSet;

use serde::Serialize;

use super::conditions::{Checked, new_constraints};
use super::rules::find_table;
use super::types::{Fit, fit};
use crate::model::{
    CheckConstraint, Column, Generation, Plan, Schema, Table, TableName, TablePlan, UniqueIndex,
};
use crate::settings::DatabaseSettings;

/// Names that are at least so much alike may be one that was changed (Jaro-Winkler similarity).
const ALIKE: f64 = 0.8;

/// How a table stands on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Both are the same.
    Same,
    /// They differ, and rows go over by name.
    Fits,
    /// They differ, and a rule says how rows go over.
    Ruled,
    /// They differ, and a rule must say how.
    NeedsRule,
    /// The target does not have it.
    Gone,
    /// The source does not have it.
    New,
}

/// How a table differs between both sides.
#[derive(Debug, Clone, Serialize)]
pub struct TableDiff {
    /// The source table; for a new one the target table.
    pub table: String,
    /// The target table, where it is there.
    pub target: Option<String>,
    /// How it stands.
    pub standing: Standing,
    /// What differs.
    pub changes: Vec<Change>,
    /// A rule to paste and correct: lines of TOML, without the table's header.
    pub proposal: Vec<String>,
}

/// One difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What differs.
    pub what: String,
    /// A question to the source: rows that don't fit. Columns are named by the source's names.
    #[serde(skip)]
    pub check: Option<Check>,
    /// How many rows of the source don't fit, where that was counted.
    pub misfits: Option<u64>,
    /// Some of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Why it was not counted, where it should have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncounted: Option<String>,
}

/// Which rows of the source would not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Those whose column, given quoted, meets the condition.
    Column {
        /// The column.
        column: String,
        /// The condition, `{}` standing for the quoted column.
        condition: String,
    },
    /// Those that have the same values in these columns as another.
    Twice(Vec<String>),
    /// Those whose columns point to no row of another source table.
    Orphans {
        /// The columns.
        columns: Vec<String>,
        /// The other table.
        parent: TableName,
        /// Its columns.
        parent_columns: Vec<String>,
    },
    /// Those for which a condition of the target is false.
    Broken {
        /// The condition, which names the target's columns.
        condition: String,
        /// The target table's own name, by which it may call them.
        table: String,
        /// The source columns that are carried as they are, each with its target column.
        columns: Vec<(String, String)>,
        /// The target columns that tell of a row.
        shown: Vec<String>,
    },
}

/// The CHECK constraints of both sides.
#[derive(Debug, Clone, Default)]
pub struct CheckConstraints {
    /// The source's.
    pub source: Vec<CheckConstraint>,
    /// The target's.
    pub target: Vec<CheckConstraint>,
}

/// Compares both schemas under a plan.
pub fn diff(
    database: &DatabaseSettings,
    plan: &Plan,
    (source, target): (&Schema, &Schema),
    constraints: &CheckConstraints,
) -> Vec<TableDiff> {
    let wanted = |t: &&Table| database.wants(t.name.schema.as_deref(), &t.name.name);
    let mut all: Vec<TableDiff> = source
        .tables
        .iter()
        .filter(wanted)
        .map(|table| {
            let planned = plan.table(&table.name.to_string());
            let name = planned.map_or(&table.name, |p| &p.target);
            match find_table(target, name) {
                Some(found) => Both { plan, planned, source: table, target: found, constraints }.diff(),
                None => gone(table, source, target, planned),
            }
        })
        .collect();
    let known: HashSet<&TableName> = plan
        .tables
        .iter()
        .flat_map(|t| std::iter::once(&t.target).chain(t.rule.into.iter().map(|i| &i.target)))
        .collect();
    let is_new = |t: &&Table| !known.contains(&t.name) && find_table(source, &t.name).is_none();
    all.extend(target.tables.iter().filter(is_new).map(|t| TableDiff {
        table: t.name.to_string(),
        target: Some(t.name.to_string()),
        standing: Standing::New,
        changes: Vec::new(),
        proposal: Vec::new(),
    }));
    all
}

fn gone(table: &Table, source: &Schema, target: &Schema, planned: Option<&TablePlan>) -> TableDiff {
    let made = planned.is_some_and(|p| p.create);
    let columns = |t: &Table| t.columns.iter().map(|c| c.name.to_lowercase()).collect::<HashSet<_>>();
    let own = columns(table);
    // Renamed: a new table whose name is alike and that has most of the columns, or that has all of them.
    let likely = target
        .tables
        .iter()
        .filter(|t| find_table(source, &t.name).is_none())
        .map(|t| {
            let shared = own.intersection(&columns(t)).count() as f64 / own.len().max(1) as f64;
            let name = strsim::jaro_winkler(&t.name.name.to_lowercase(), &table.name.name.to_lowercase());
            // Two columns in common may be chance.
            (shared + if own.len() > 2 { name.max(0.3) } else { name }, t)
        })
        .filter(|(likeness, _)| *likeness >= 1.3)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, t)| t);
    let mut proposal = Vec::new();
    if let Some(t) = likely {
        proposal.push(format!(
            "target = {}    # the most like it; else add the table to `exclude`",
            toml_text(&t.name.to_string())
        ));
    }
    TableDiff {
        table: table.name.to_string(),
        target: None,
        standing: if made { Standing::Fits } else { Standing::Gone },
        changes: vec![Change {
            what: if made { "it will be made on the target" } else { "the target has no such table" }
                .to_string(),
            ..Change::default()
        }],
        proposal,
    }
}

/// A table that both sides have.
struct Both<'a> {
    plan: &'a Plan,
    planned: Option<&'a TablePlan>,
    source: &'a Table,
    target: &'a Table,
    constraints: &'a CheckConstraints,
}

impl Both<'_> {
    fn diff(&self) -> TableDiff {
        let (mut changes, mut proposal) = (Vec::new(), Vec::new());
        self.types(&mut changes);
        self.columns(&mut changes, &mut proposal);
        self.keys(&mut changes, &mut proposal);
        self.constraints(&mut changes);
        changes.extend(new_constraints(
            self.planned,
            Checked { table: self.source, constraints: &self.constraints.source },
            Checked { table: self.target, constraints: &self.constraints.target },
        ));
        let label = self.source.name.to_string();
        let blocked = self.plan.blockers.iter().any(|b| b.table.as_ref() == Some(&label));
        let standing = match (changes.is_empty(), blocked || self.planned.is_none(), self.is_ruled()) {
            (_, true, _) => Standing::NeedsRule,
            (_, false, true) => Standing::Ruled,
            (true, false, false) => Standing::Same,
            (false, false, false) => Standing::Fits,
        };
        if standing != Standing::NeedsRule {
            proposal.clear();
        }
        TableDiff { table: label, target: Some(self.target.name.to_string()), standing, changes, proposal }
    }

    fn is_ruled(&self) -> bool {
        self.planned.is_some_and(|p| {
            p.rule != crate::model::Rule::default()
                || p.columns.iter().any(|c| c.expression.is_some() || c.source != c.target)
        })
    }

    /// The target column of a source column, and where it comes from by the plan.
    fn of(&self, column: &Column) -> Option<&Column> {
        let by_plan = self
            .planned
            .and_then(|p| p.columns.iter().find(|c| c.expression.is_none() && c.source == column.name))
            .and_then(|c| self.target.column(&c.target));
        by_plan.or_else(|| super::columns::find_column(self.target, &column.name))
    }

    fn types(&self, changes: &mut Vec<Change>) {
        for column in &self.source.columns {
            let Some(found) = self.of(column) else { continue };
            let name = &column.name;
            if column.type_name != found.type_name {
                let what = format!("{name}: {} becomes {}", column.type_name, found.type_name);
                changes.push(match fit(&column.type_name, &found.type_name) {
                    Fit::Same => continue,
                    Fit::Wider => Change { what: format!("{what}, which is wider"), ..Change::default() },
                    Fit::Narrower(condition) => Change {
                        what: format!("{what}, which is narrower"),
                        check: Some(Check::Column { column: name.clone(), condition }),
                        ..Change::default()
                    },
                    Fit::Other => Change { what: format!("{what}, another type"), ..Change::default() },
                });
            }
            if found.not_null && !column.not_null {
                changes.push(Change {
                    what: format!("{name}: NULL is refused now"),
                    check: Some(Check::Column { column: name.clone(), condition: "{} IS NULL".to_string() }),
                    ..Change::default()
                });
            }
        }
    }

    /// Columns of one side only, with what may have become of them.
    fn columns(&self, changes: &mut Vec<Change>, proposal: &mut Vec<String>) {
        let fed = |c: &Column| {
            self.planned.is_some_and(|p| {
                p.columns.iter().any(|pair| pair.target == c.name)
                    || p.rule.lookups.iter().any(|l| l.target == c.name)
            }) || super::columns::find_column(self.source, &c.name).is_some()
        };
        let mut open: Vec<&Column> =
            self.target.columns.iter().filter(|c| !fed(c) && c.generation == Generation::Plain).collect();
        for column in self.source.columns.iter().filter(|c| self.of(c).is_none()) {
            let what =
                format!("{} ({}) has no column of its name on the target", column.name, column.type_name);
            changes.push(Change { what, ..Change::default() });
            let likeness = |c: &&Column| {
                let same_type = if c.type_name == column.type_name { 0.1 } else { 0.0 };
                alike(&c.name.to_lowercase(), &column.name.to_lowercase()) + same_type
            };
            let best = open.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            let takes = |c: &&Column| fit(&column.type_name, &c.type_name) != Fit::Other;
            match best.filter(|c| likeness(c) >= ALIKE && takes(c)) {
                Some(best) => {
                    open.retain(|c| c.name != best.name);
                    proposal.push(format!(
                        "columns.{} = {}    # renamed? they are alike",
                        toml_key(&best.name),
                        toml_text(&column.name)
                    ));
                }
                None => proposal.push(format!(
                    "drop = [{}]    # left behind? else say where it goes",
                    toml_text(&column.name)
                )),
            }
        }
        for column in open {
            let needs = column.not_null && !column.has_default;
            let what = if needs {
                format!("{} ({}) is new, NOT NULL and without a default", column.name, column.type_name)
            } else {
                let value = match column.unnamed() {
                    Some(null) if null.eq_ignore_ascii_case("NULL") => "NULL".to_string(),
                    Some(default) => format!("its default, {default}"),
                    None => "its default".to_string(),
                };
                format!(
                    "{} ({}) is new: rows that production adds get {value}",
                    column.name, column.type_name
                )
            };
            changes.push(Change { what, ..Change::default() });
            if needs {
                proposal.push(format!(
                    "columns.{} = {}",
                    toml_key(&column.name),
                    first_value(&column.type_name)
                ));
            }
        }
    }

    fn keys(&self, changes: &mut Vec<Change>, proposal: &mut Vec<String>) {
        let lower = |key: &[String]| key.iter().map(|k| k.to_lowercase()).collect::<Vec<_>>();
        let (from, to) = (&self.source.primary_key, &self.target.primary_key);
        if lower(from) == lower(to) {
            return;
        }
        let named = |key: &[String]| if key.is_empty() { "none".to_string() } else { key.join(", ") };
        let what = format!("the primary key becomes ({}), it was ({})", named(to), named(from));
        changes.push(Change { what, ..Change::default() });
        let usable = |columns: &&Vec<String>| {
            !columns.is_empty()
                && columns.iter().all(|c| super::columns::find_column(self.source, c).is_some())
        };
        let key = std::iter::once(to).chain(self.target.unique.iter().map(|u| &u.columns)).find(usable);
        if let Some(key) = key {
            let quoted: Vec<String> = key.iter().map(|k| toml_text(k)).collect();
            proposal.push(format!(
                "key = [{}]    # unique on the target; is it on the source?",
                quoted.join(", ")
            ));
        }
    }

    /// Constraints that the source does not have: its rows may break them.
    fn constraints(&self, changes: &mut Vec<Change>) {
        let back = |columns: &[String]| {
            columns
                .iter()
                .map(|c| {
                    let from = self.source.columns.iter().find(|s| self.of(s).is_some_and(|t| &t.name == c));
                    from.map(|s| s.name.clone())
                })
                .collect::<Option<Vec<String>>>()
        };
        let known = |columns: &Vec<String>| {
            let same = |index: &[String]| index.iter().all(|c| columns.contains(c)) && !index.is_empty();
            same(&self.source.primary_key) || self.source.unique.iter().any(|u| same(&u.columns))
        };
        let primary =
            UniqueIndex { name: "its primary key".into(), columns: self.target.primary_key.clone() };
        for index in self.target.unique.iter().chain([&primary]) {
            let Some(columns) = back(&index.columns).filter(|c| !c.is_empty() && !known(c)) else { continue };
            changes.push(Change {
                what: format!("{} makes ({}) unique", index.name, columns.join(", ")),
                check: Some(Check::Twice(columns)),
                ..Change::default()
            });
        }
        for foreign in &self.target.foreign_keys {
            let parent = self.plan.tables.iter().find(|t| t.target == foreign.parent);
            let Some((columns, parent)) = back(&foreign.columns).zip(parent) else { continue };
            let parent_columns = foreign
                .parent_columns
                .iter()
                .map(|c| {
                    parent
                        .columns
                        .iter()
                        .find(|p| p.expression.is_none() && &p.target == c)
                        .map(|p| p.source.clone())
                })
                .collect::<Option<Vec<String>>>();
            let Some(parent_columns) = parent_columns else { continue };
            let had =
                self.source.foreign_keys.iter().any(|f| f.columns == columns && f.parent == parent.source);
            if !had && !columns.is_empty() && columns.len() == parent_columns.len() {
                changes.push(Change {
                    what: format!("a new foreign key: ({}) must be in {}", columns.join(", "), parent.source),
                    check: Some(Check::Orphans { columns, parent: parent.source.clone(), parent_columns }),
                    ..Change::default()
                });
            }
        }
    }
}

/// How much two names are alike: one that holds the other counts as likely.
fn alike(one: &str, other: &str) -> f64 {
    let holds = one.contains(other) || other.contains(one);
    strsim::jaro_winkler(one, other).max(if holds { ALIKE } else { 0.0 })
}

/// A text as TOML, whose escapes are those of JSON.
pub fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A key as TOML.
fn toml_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_string() } else { toml_text(name) }
}

/// What a new column may get, as TOML.
fn first_value(type_name: &str) -> String {
    let kind = type_name.to_lowercase();
    let value = if kind.starts_with("uuid") {
        return "{ target = \"gen_random_uuid()\", on = \"insert\" }".to_string();
    } else if kind.contains("char") || kind.contains("text") {
        "''"
    } else if kind.contains("bool") {
        "false"
    } else if kind.contains("date") || kind.contains("time") {
        ":as_of"
    } else {
        "0"
    };
    format!("{{ source = \"{value}\" }}    # what is right for rows of production?")
}
