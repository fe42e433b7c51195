//! Which source column goes to which target column: by rule, else by name.

use std::collections::BTreeSet;

use super::rules::{Force, instant};
use crate::model::{
    Column, ColumnPair, Fidelity, Finding, Generation, Lookup, On, SourceColumn, Table, TableName, sql,
};
use crate::settings::{EngineKind, Given, TableSettings, nearest};

/// What becomes of the columns of a table.
#[derive(Debug, Default)]
pub(super) struct Paired {
    /// What is read and carried.
    pub(super) columns: Vec<ColumnPair>,
    /// What the target computes.
    pub(super) lookups: Vec<Lookup>,
    /// What is read for the target's expressions alone.
    pub(super) also: Vec<SourceColumn>,
    /// What the source's expressions mention.
    pub(super) reads: Vec<String>,
    /// Which rows are carried.
    pub(super) filter: Option<String>,
}

/// Pairs the columns of two tables.
pub(super) struct Pairing<'a> {
    pub(super) engine: EngineKind,
    pub(super) source: &'a Table,
    pub(super) target: &'a Table,
    pub(super) rule: Option<&'a TableSettings>,
    pub(super) force: Force,
    /// The source columns of the key.
    pub(super) key: &'a [String],
    /// The instant that `:as_of` means.
    pub(super) as_of: &'a str,
    pub(super) blockers: &'a mut Vec<Finding>,
    pub(super) warnings: &'a mut Vec<Finding>,
}

impl Pairing<'_> {
    /// Pairs by rule, then by name. A source column without a place, and a target column that must be
    /// given a value and gets none, are blockers.
    pub(super) fn pair(mut self) -> Paired {
        let mut paired = Paired::default();
        if let Some(filter) = self.rule.and_then(|r| r.filter.as_deref()) {
            paired.filter = Some(self.on_source(filter));
        }
        let given = self.by_rule(&mut paired);
        self.by_name(&mut paired, &given);
        self.read_for_expressions(&mut paired);
        self.check_given(&paired);
        paired
    }

    /// The rule, as far as it concerns the target's schema.
    fn rule(&self) -> Option<&TableSettings> {
        self.rule.filter(|_| self.force == Force::Whole)
    }

    fn block(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.blockers.push(Finding::of(&self.source.name, what, remedy));
    }

    /// An expression on the source as it is run.
    fn on_source(&self, expression: &str) -> String {
        sql::with_parameter(expression, "as_of", &instant(self.engine, self.as_of))
    }

    /// The columns that the rule gives; returns the names of all target columns that it speaks of.
    fn by_rule(&mut self, paired: &mut Paired) -> BTreeSet<String> {
        let Some(rule) = self.rule().cloned() else { return BTreeSet::new() };
        let mut spoken_of = BTreeSet::new();
        for (name, column) in &rule.columns {
            let Some(found) = self.target_column(name, "columns") else { continue };
            if found.generation == Generation::Computed {
                let what =
                    format!("the rule gives {}.{name} a value, but the server computes it", self.target.name);
                self.block(what, "take it out of the rule");
                continue;
            }
            spoken_of.insert(found.name.clone());
            match &column.given {
                Given::Column(_) | Given::SameName => {
                    let source = if let Given::Column(source) = &column.given { source } else { name };
                    if let Some(source) = self.source_column(source, "columns") {
                        let pair =
                            ColumnPair::plain(&source.name, &source.type_name, &found.name, &found.type_name);
                        paired.columns.push(ColumnPair { on: column.on, fidelity: column.fidelity, ..pair });
                    }
                }
                Given::Source(expression) => {
                    let expression = self.on_source(expression);
                    let source = self.stands_for(&expression, &found.name);
                    // The log keeps the key's column as the source has it.
                    let kept = self.source.column(&source).unwrap_or(&found);
                    paired.columns.push(ColumnPair {
                        source_type: kept.type_name.clone(),
                        source,
                        expression: Some(expression),
                        on: column.on,
                        target: found.name.clone(),
                        target_type: found.type_name.clone(),
                        fidelity: column.fidelity,
                    });
                }
                Given::Target(expression) => paired.lookups.push(Lookup {
                    target: found.name.clone(),
                    target_type: found.type_name.clone(),
                    expression: expression.clone(),
                    on: column.on,
                    fidelity: column.fidelity,
                }),
            }
        }
        for name in &rule.external {
            let Some(found) = self.target_column(name, "external") else { continue };
            spoken_of.insert(found.name.clone());
            let what = format!(
                "{}.{} is filled by the vendor's code only: updates keep it",
                self.target.name, found.name
            );
            let remedy = if found.not_null && !found.has_default {
                "it is NOT NULL without a default: production must not add rows, new ones are parked"
            } else {
                "rows that production adds get its default; fill it for them"
            };
            self.warnings.push(Finding::of(&self.source.name, what, remedy));
        }
        for name in rule.transform.iter().flat_map(|t| &t.fills) {
            let Some(found) = self.target_column(name, "transform.fills") else { continue };
            spoken_of.insert(found.name.clone());
            paired.columns.push(ColumnPair {
                source: String::new(),
                // Not a constant: what the command makes of it differs from row to row.
                expression: Some("(NULL)".to_string()),
                on: On::Always,
                target: found.name.clone(),
                source_type: found.type_name.clone(),
                target_type: found.type_name.clone(),
                fidelity: Fidelity::Exact,
            });
        }
        spoken_of
    }

    /// The key column that an expression stands for: the one of the target column's name, else the only
    /// one that it mentions.
    fn stands_for(&mut self, expression: &str, target: &str) -> String {
        let mentioned = sql::mentioned(expression, self.source.columns.iter().map(|c| c.name.as_str()));
        let of_key: Vec<&str> =
            mentioned.iter().copied().filter(|name| self.key.iter().any(|k| k == name)).collect();
        let same = of_key.iter().find(|name| name.eq_ignore_ascii_case(target));
        let Some(stands_for) = same.or(of_key.first().filter(|_| mentioned.len() == 1)) else {
            return String::new();
        };
        let stands_for = (*stands_for).to_string();
        let strangers: Vec<&str> =
            mentioned.iter().copied().filter(|name| !self.key.iter().any(|k| k == name)).collect();
        if !strangers.is_empty() {
            let what = format!(
                "the rule for {target} stands for the key column {stands_for} and reads {}, which is not part of \
                 the key: the target row of a deleted one could not be found",
                strangers.join(", ")
            );
            self.block(what, format!("add it to the rule's `key`, or name a `key` without {stands_for}"));
        }
        stands_for
    }

    /// Columns that the rule doesn't speak of.
    fn by_name(&mut self, paired: &mut Paired, spoken_of: &BTreeSet<String>) {
        let rule = self.rule().cloned().unwrap_or_default();
        for name in &rule.drop {
            let _ = self.source_column(name, "drop");
        }
        let texts: Vec<String> = expressions(&rule).map(str::to_string).collect();
        for column in &self.source.columns {
            if rule.drop.iter().any(|d| d.eq_ignore_ascii_case(&column.name)) {
                continue;
            }
            let used = paired.columns.iter().any(|p| p.source == column.name)
                || texts.iter().any(|text| !sql::mentioned(text, [column.name.as_str()]).is_empty());
            match place(column, self.target) {
                Place::Column(found) if spoken_of.contains(&found.name) => {
                    if !used {
                        let what = format!(
                            "column {} has no place: {}.{} comes from elsewhere by the rule",
                            column.name, self.target.name, found.name
                        );
                        self.block(what, format!("add it to the rule: drop = [\"{}\"]", column.name));
                    }
                }
                Place::Column(found) => paired.columns.push(ColumnPair::plain(
                    &column.name,
                    &column.type_name,
                    &found.name,
                    &found.type_name,
                )),
                Place::Computed => {}
                Place::None(_) if used => {}
                Place::None(what) => {
                    let remedy = format!(
                        "say in a rule where it goes ([database.NAME.table.columns]), or that it is left behind \
                         (drop = [\"{}\"])",
                        column.name
                    );
                    self.block(what, remedy);
                }
            }
        }
    }

    fn read_for_expressions(&self, paired: &mut Paired) {
        let names = || self.source.columns.iter().map(|c| c.name.as_str());
        let mut reads = BTreeSet::new();
        let on_source = paired.columns.iter().filter_map(|c| c.expression.as_deref());
        for text in on_source.chain(paired.filter.as_deref()) {
            reads.extend(sql::mentioned(text, names()).into_iter().map(str::to_string));
        }
        paired.reads = reads.into_iter().collect();
        let on_target: Vec<&str> = self.rule().map(on_target).unwrap_or_default();
        for column in &self.source.columns {
            let shown = self.key.contains(&column.name)
                || paired.columns.iter().any(|p| p.expression.is_none() && p.source == column.name);
            let wanted =
                on_target.iter().any(|text| !sql::mentioned(text, [column.name.as_str()]).is_empty());
            if wanted && !shown {
                let (name, type_name) = (column.name.clone(), column.type_name.clone());
                paired.also.push(SourceColumn { name, type_name });
            }
        }
    }

    /// Every target column that must have a value gets one.
    fn check_given(&mut self, paired: &Paired) {
        let external = self.rule().map(|r| r.external.clone()).unwrap_or_default();
        for column in &self.target.columns {
            let given = paired.columns.iter().any(|p| p.target == column.name)
                || paired.lookups.iter().any(|l| l.target == column.name)
                || external.iter().any(|e| e.eq_ignore_ascii_case(&column.name));
            if !given && column.not_null && !column.has_default && column.generation == Generation::Plain {
                let what = format!(
                    "{}.{} is NOT NULL, has no default and gets no value",
                    self.target.name, column.name
                );
                let remedy = format!(
                    "give {} a default, or say in a rule what it gets: {} = {{ source = \"..\" }}, {{ target = \
                     \"..\", on = \"insert\" }}, or external = [\"{}\"]",
                    column.name, column.name, column.name
                );
                self.block(what, remedy);
            }
        }
    }

    fn target_column(&mut self, name: &str, key: &str) -> Option<Column> {
        let found = find_column(self.target, name).cloned();
        if found.is_none() {
            self.unknown(name, key, "target", &self.target.name.clone(), &names(self.target));
        }
        found
    }

    fn source_column(&mut self, name: &str, key: &str) -> Option<Column> {
        let found = find_column(self.source, name).cloned();
        if found.is_none() {
            self.unknown(name, key, "source", &self.source.name.clone(), &names(self.source));
        }
        found
    }

    fn unknown(&mut self, name: &str, key: &str, side: &str, table: &TableName, known: &[String]) {
        let what = format!("the rule's `{key}` names {name}, which {table} on the {side} does not have");
        let remedy = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if side == "target" => "correct it; if the upgrade is still to add it, set upgrade.order = \
                                         \"after-copy\", and rules wait for it"
                .to_string(),
            None => format!("it has: {}", known.join(", ")),
        };
        self.block(what, remedy);
    }
}

/// The SQL of a rule that the target runs.
pub(super) fn on_target(rule: &TableSettings) -> Vec<&str> {
    let lookups = rule.columns.values().filter_map(|c| match &c.given {
        Given::Target(sql) => Some(sql.as_str()),
        Given::SameName | Given::Column(_) | Given::Source(_) => None,
    });
    let into =
        rule.into.iter().flat_map(|i| i.matches.values().map(String::as_str).chain([i.select.as_str()]));
    lookups.chain(into).collect()
}

/// All the SQL of a rule, but for its filter.
fn expressions(rule: &TableSettings) -> impl Iterator<Item = &str> {
    let on_source = rule.columns.values().filter_map(|c| match &c.given {
        Given::Source(sql) => Some(sql.as_str()),
        Given::SameName | Given::Column(_) | Given::Target(_) => None,
    });
    on_source.chain(on_target(rule))
}

fn names(table: &Table) -> Vec<String> {
    table.columns.iter().map(|c| c.name.clone()).collect()
}

/// The column of that name: exactly, else the only one without case.
pub(super) fn find_column<'a>(table: &'a Table, name: &str) -> Option<&'a Column> {
    table.column(name).or_else(|| {
        let mut alike = table.columns.iter().filter(|c| c.name.to_lowercase() == name.to_lowercase());
        alike.next().filter(|_| alike.next().is_none())
    })
}

enum Place<'a> {
    Column(&'a Column),
    /// The target computes it itself.
    Computed,
    None(String),
}

fn place<'a>(column: &Column, target: &'a Table) -> Place<'a> {
    match (find_column(target, &column.name), column.generation) {
        (Some(found), Generation::Computed) if found.generation == Generation::Computed => Place::Computed,
        (Some(found), _) if found.generation == Generation::Computed => Place::None(format!(
            "column {} would have to be written, but {}.{} is computed",
            column.name, target.name, found.name
        )),
        (Some(found), _) => Place::Column(found),
        (None, Generation::Computed) => Place::Computed,
        (None, _) => {
            let same = |c: &&Column| c.name.to_lowercase() == column.name.to_lowercase();
            if target.columns.iter().filter(same).count() > 1 {
                return Place::None(format!(
                    "column {} matches more than one column without case",
                    column.name
                ));
            }
            Place::None(format!("column {} has no place in {}", column.name, target.name))
        }
    }
}
