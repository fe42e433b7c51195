//! CHECK constraints that only the target has: rows of the source may break them.

use super::columns::find_column;
use super::diff::{Change, Check};
use super::types::compare_alike;
use crate::model::sql::{Word, words};
use crate::model::{CheckConstraint, Column, ColumnPair, Generation, On, Table, TablePlan};

/// A table with the CHECK constraints of its side.
#[derive(Clone, Copy)]
pub(super) struct Checked<'a> {
    pub(super) table: &'a Table,
    pub(super) constraints: &'a [CheckConstraint],
}

impl<'a> Checked<'a> {
    fn own(&self) -> impl Iterator<Item = &'a CheckConstraint> {
        let name = &self.table.name;
        self.constraints.iter().filter(move |c| &c.table == name)
    }

    /// The columns that a condition mentions; rather one too many, such as one that has a function's name.
    fn mentioned(&self, condition: &str) -> Vec<&'a Column> {
        let words = words(condition);
        let named = words.iter().filter_map(|(_, word)| find_column(self.table, word.name()?));
        let named: Vec<&str> = named.map(|c| c.name.as_str()).collect();
        self.table.columns.iter().filter(|c| named.contains(&c.name.as_str())).collect()
    }
}

/// The constraints of the target that the source does not have equally, each with its question to the
/// source, or with the reason why that can't be asked.
pub(super) fn new_constraints(
    plan: Option<&TablePlan>,
    source: Checked<'_>,
    target: Checked<'_>,
) -> Vec<Change> {
    let new = New { plan, source, target };
    target.own().filter(|c| new.concerns_production(c)).filter_map(|c| new.change(c)).collect()
}

struct New<'a> {
    plan: Option<&'a TablePlan>,
    source: Checked<'a>,
    target: Checked<'a>,
}

impl New<'_> {
    /// Whether production has a say in it: what is in columns of the target's alone, the upgrade has.
    fn concerns_production(&self, constraint: &CheckConstraint) -> bool {
        let mentioned = self.target.mentioned(&constraint.condition);
        mentioned.is_empty() || mentioned.iter().any(|c| self.is_fed(c))
    }

    /// Whether rows of production bring a value for the column.
    fn is_fed(&self, column: &Column) -> bool {
        match self.plan {
            Some(plan) => {
                plan.columns.iter().any(|p| p.target == column.name)
                    || plan.rule.lookups.iter().any(|l| l.target == column.name)
                    || column.generation == Generation::Computed
            }
            None => find_column(self.source.table, &column.name).is_some(),
        }
    }

    fn change(&self, constraint: &CheckConstraint) -> Option<Change> {
        let asked = self.question(constraint);
        if asked.is_ok() && self.is_known(constraint) {
            return None;
        }
        let name = if constraint.name.is_empty() { String::new() } else { format!(" {}", constraint.name) };
        let condition: Vec<&str> = constraint.condition.split_whitespace().collect();
        let what = format!("a new CHECK{name}: {}; a row that breaks it will be parked", condition.join(" "));
        let (check, uncounted) = match asked {
            Ok(check) => (Some(check), None),
            Err(why) => (None, Some(why)),
        };
        Some(Change { what, check, uncounted, ..Change::default() })
    }

    /// The question which rows break the constraint, if these are carried as they are.
    fn question(&self, constraint: &CheckConstraint) -> Result<Check, String> {
        let plan = self.plan.ok_or("the table needs a rule first")?;
        if plan.rule.transform.is_some() {
            return Err("its rows pass through the rule's command, which `plan` tries on some".to_string());
        }
        let condition = &constraint.condition;
        if let Some(why) = elsewhere_another(condition) {
            return Err(why);
        }
        let mentioned = self.target.mentioned(condition);
        for column in &mentioned {
            self.carried(plan, column)?;
        }
        let pairs = plan.columns.iter().filter(|p| is_plain(p));
        let key = plan.key_columns().filter(|p| is_plain(p)).map(|p| &p.target);
        let mut shown: Vec<String> = key.cloned().collect();
        for column in mentioned {
            if !shown.contains(&column.name) {
                shown.push(column.name.clone());
            }
        }
        Ok(Check::Broken {
            condition: condition.clone(),
            table: self.target.table.name.name.clone(),
            columns: pairs.map(|p| (p.source.clone(), p.target.clone())).collect(),
            shown,
        })
    }

    /// Whether the source's value of a target column is what the target will look at; else why not.
    fn carried(&self, plan: &TablePlan, column: &Column) -> Result<(), String> {
        let name = &column.name;
        let Some(pair) = plan.columns.iter().find(|p| &p.target == name) else {
            return Err(match column.generation {
                Generation::Computed => format!("the target computes {name}"),
                _ if plan.rule.lookups.iter().any(|l| &l.target == name) => by_rule(name),
                _ => format!("{name} is the target's own: rows keep what the upgrade gave them"),
            });
        };
        if pair.expression.is_some() {
            return Err(by_rule(name));
        }
        if pair.on == On::Insert {
            return Err(format!("{name} is written when a row is made, and kept after that"));
        }
        match self.source.table.column(&pair.source) {
            Some(from) if compare_alike(&from.compares_as, &column.compares_as) => Ok(()),
            Some(from) => Err(format!(
                "{name} compares in another way there: as {}, and as {} here",
                column.compares_as, from.compares_as
            )),
            None => Err(format!("{} is gone from the source", pair.source)),
        }
    }

    /// Whether every row of the source is known to meet the same condition.
    fn is_known(&self, constraint: &CheckConstraint) -> bool {
        let source_column = |word: &Word<'_>| {
            let column = find_column(self.target.table, word.name()?)?;
            let pairs = &self.plan?.columns;
            pairs.iter().find(|p| p.target == column.name).map(|p| p.source.clone())
        };
        let wanted = comparable(&constraint.condition, source_column);
        let own = |word: &Word<'_>| Some(find_column(self.source.table, word.name()?)?.name.clone());
        self.source.own().any(|c| c.validated && comparable(&c.condition, own) == wanted)
    }
}

fn by_rule(column: &str) -> String {
    format!("the rule computes {column}; `plan` tries it on some rows")
}

/// Whether the column is carried as it is.
fn is_plain(pair: &ColumnPair) -> bool {
    pair.expression.is_none() && pair.on == On::Always
}

/// The words of a condition with its columns named by `column`, to be compared.
fn comparable(condition: &str, column: impl Fn(&Word<'_>) -> Option<String>) -> Vec<(bool, String)> {
    let words = words(condition).into_iter();
    let one = |(_, word): (usize, Word<'_>)| match column(&word) {
        Some(name) => (true, name),
        None => match word {
            Word::Name(name) => (false, name.to_lowercase()),
            other => (false, format!("{other:?}")),
        },
    };
    words.map(one).collect()
}

/// What in a condition means something else on the source: functions that are no part of the server, whose
/// names engines write with their schema, and the row as a whole.
fn elsewhere_another(condition: &str) -> Option<String> {
    let words: Vec<Word<'_>> = words(condition).into_iter().map(|(_, word)| word).collect();
    let dotted = |part: &[Word<'_>]| match part {
        [schema, Word::Sign('.'), name, Word::Sign('(')] => {
            let (schema, name) = (schema.name()?, name.name()?);
            Some(format!("{schema}.{name} may be another function on the source"))
        }
        [_, Word::Sign('.'), Word::Sign('*'), ..] => Some("it looks at the row as a whole".to_string()),
        _ => None,
    };
    (0..words.len()).find_map(|at| dotted(&words[at..words.len().min(at + 4)]))
}
