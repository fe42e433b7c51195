//! What capture is made of: the statements for each table, as [`super::install`] runs them, as
//! `plan --ddl` prints them, and as [`super::inspect`] expects to find them.
//!
//! Triggers write keys; the log's key columns have no type, so that a key keeps its storage class.
//! [`super::replaced`] finds the rows that REPLACE removes.

use super::catalog::{Entry, KeyColumn, Shape};
use super::parse;
use super::replaced::Replaced;
use super::value;
use crate::engine::template::fill;
use crate::error::{Error, Result};
use crate::model::{TablePlan, quote};

/// The version of what is installed. Another one is refused.
pub(super) const VERSION: i64 = 3;

/// How a refused writer's message begins.
pub(super) const FENCE_MESSAGE: &str = "highwater fence";

/// What the names of triggers hold between the prefix and the table, and that of the seal, a view.
pub(super) const KINDS: [&str; 11] = [
    "insert",
    "update",
    "rekey",
    "delete",
    "before_insert",
    "before_update",
    "guard",
    "seal",
    "fence_insert",
    "fence_update",
    "fence_delete",
];

/// A statement that makes something, and the name of what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// The name.
    pub(super) name: String,
    /// The statement.
    pub(super) sql: String,
}

/// The capture of one table.
#[derive(Debug)]
pub(super) struct Capture {
    /// The change log's name.
    pub(super) log: String,
    /// The change log and its entry among the captured tables.
    pub(super) tables: Vec<String>,
    /// The triggers that write the log, and the one that guards it.
    pub(super) triggers: Vec<Statement>,
    /// The view that stands behind them.
    pub(super) seal: Vec<Statement>,
}

/// The names of one migration's objects on a source.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// What they begin with.
    pub(super) prefix: String,
}

impl Names {
    /// The table that says which database this is, in quotes.
    pub(super) fn meta(&self) -> String {
        quote(&format!("{}_meta", self.prefix))
    }

    /// The table of captured tables, in quotes.
    pub(super) fn tables(&self) -> String {
        quote(&format!("{}_tables", self.prefix))
    }

    /// The fence, in quotes.
    pub(super) fn fence(&self) -> String {
        quote(&format!("{}_fence", self.prefix))
    }

    /// The name of a table's change log.
    pub(super) fn log(&self, table: &str) -> String {
        format!("{}_log_{table}", self.prefix)
    }

    /// The name of a table's seal.
    pub(super) fn seal(&self, table: &str) -> String {
        format!("{}_seal_{table}", self.prefix)
    }

    /// What kind of this migration's triggers that name is, if it is one, or that of its seals.
    pub(super) fn kind(&self, name: &str) -> Option<&'static str> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('_')?;
        KINDS.into_iter().find(|kind| rest.strip_prefix(kind).is_some_and(|r| r.starts_with('_')))
    }

    /// Whether a table is one of this migration's.
    pub(super) fn is_table(&self, table: &str) -> bool {
        let rest = table.strip_prefix(&self.prefix).and_then(|r| r.strip_prefix('_'));
        rest.is_some_and(|rest| matches!(rest, "meta" | "tables" | "fence") || rest.starts_with("log_"))
    }

    /// The tables beside the change logs.
    pub(super) fn base(&self) -> Vec<String> {
        let base = include_str!("../../../sql/sqlite/capture_base.sql");
        let mut statements = paragraphs(base, &[("p", &self.prefix), ("version", &VERSION.to_string())]);
        statements.extend(self.fence_row());
        statements
    }

    /// The fence's table and row.
    pub(super) fn fence_row(&self) -> Vec<String> {
        paragraphs(include_str!("../../../sql/sqlite/capture_fence_row.sql"), &[("p", &self.prefix)])
    }

    /// The fence of one attempt on the change log of a table.
    pub(super) fn log_fence(&self, table: &str, attempt: i64) -> Vec<Statement> {
        let (name, log, n) = (doubled(table), quote(&self.log(table)), attempt.to_string());
        let pairs = [("p", self.prefix.as_str()), ("t", &name), ("log", &log), ("n", &n)];
        named(paragraphs(include_str!("../../../sql/sqlite/capture_raised.sql"), &pairs))
    }

    /// The attempt whose fence on a change log that trigger is, if it is one. (Its table tells it from a trigger
    /// of another migration, whose name may begin in the same way.)
    pub(super) fn fence_attempt(&self, trigger: &Entry) -> Option<i64> {
        let rest = trigger.name.strip_prefix(&self.prefix)?.strip_prefix("_fence_")?;
        let (attempt, table) = rest.split_once('_')?;
        let attempt = attempt.parse().ok()?;
        (trigger.kind == "trigger" && trigger.table == self.log(table)).then_some(attempt)
    }

    /// The fence of a table that is not captured.
    pub(super) fn table_fence(&self, table: &str) -> Vec<Statement> {
        let pairs = [("p", self.prefix.as_str()), ("t", &doubled(table)), ("table", &quote(table))];
        named(paragraphs(include_str!("../../../sql/sqlite/capture_fence.sql"), &pairs))
    }

    /// The capture of a table.
    ///
    /// # Errors
    /// [`crate::error::Kind::Table`] when its key is gone or an index can't be understood.
    pub(super) fn capture(&self, plan: &TablePlan, shape: &Shape) -> Result<Capture> {
        let log = self.log(&shape.name);
        let key = plan.key.iter().map(String::as_str).collect::<Vec<_>>();
        let (new_key, old_key) = (columns("NEW", &key), columns("OLD", &key));
        let told_apart = shape.told_apart(&key).ok_or_else(|| {
            Error::table("a column of its key is gone").remedy("`highwater plan` shows both sides")
        })?;
        let changed = changed(&told_apart);
        let log_columns: String = (1..=key.len()).map(|n| format!("\n    k{n},")).collect();
        let table = quote(&shape.name);
        let mut pairs = vec![
            ("p", self.prefix.clone()),
            ("t", doubled(&shape.name)),
            ("table", table),
            ("table text", value::quote(&shape.name)),
            ("log", quote(&log)),
            ("log text", value::quote(&log)),
            ("log key columns", log_columns),
            ("key text", value::quote(&serde_json::to_string(&key).unwrap_or_default())),
            ("k", key_names("", key.len())),
            ("new key", new_key),
            ("old key", old_key),
            ("key changed", changed),
        ];
        let mut triggers = Vec::new();
        if key.is_empty() {
            triggers = make(include_str!("../../../sql/sqlite/capture_whole.sql"), &pairs);
        } else {
            let replaced = Replaced::find(shape, &told_apart, &log)?;
            if let Some(replaced) = replaced {
                pairs.push(("replaced by insert", replaced.by_insert));
                pairs.push(("replaced by update", replaced.by_update));
                pairs.push(("when", replaced.when));
                triggers = make(include_str!("../../../sql/sqlite/capture_replaced.sql"), &pairs);
            }
            triggers.extend(make(include_str!("../../../sql/sqlite/capture_keyed.sql"), &pairs));
        }
        triggers.extend(make(include_str!("../../../sql/sqlite/capture_guard.sql"), &pairs));
        Ok(Capture {
            tables: texts(include_str!("../../../sql/sqlite/capture_log.sql"), &pairs),
            seal: make(include_str!("../../../sql/sqlite/capture_seal.sql"), &pairs),
            log,
            triggers,
        })
    }
}

/// `k1, k2`, each with `before` in front.
pub(super) fn key_names(before: &str, count: usize) -> String {
    value::join((1..=count).map(|n| format!("{before}k{n}")), ", ")
}

/// That the key columns of `t` are those of `other` (`k1`, `k2`, with `before` in front), by the rules
/// of `t`.
pub(super) fn same_key(key: &[KeyColumn], t: &str, other: &str, before: &str) -> String {
    let same = key.iter().enumerate().map(|(i, column)| {
        format!("{t}.{} = {other}.{before}k{}{}", quote(&column.name), i + 1, column.collate)
    });
    value::join(same, " AND ")
}

/// That an update changes the key: by the rules of the index, which a column's own collation may not be.
fn changed(key: &[KeyColumn]) -> String {
    let changed = key.iter().map(|k| format!("NEW.{0} IS NOT OLD.{0}{1}", quote(&k.name), k.collate));
    value::join(changed, " OR ")
}

/// `row.name` for each name.
pub(super) fn columns(row: &str, names: &[&str]) -> String {
    value::join(names.iter().map(|name| format!("{row}.{}", quote(name))), ", ")
}

/// A name as it stands inside double quotes.
fn doubled(name: &str) -> String {
    name.replace('"', "\"\"")
}

fn make(text: &str, pairs: &[(&str, String)]) -> Vec<Statement> {
    named(texts(text, pairs))
}

fn texts(text: &str, pairs: &[(&str, String)]) -> Vec<String> {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    paragraphs(text, &pairs)
}

fn named(statements: Vec<String>) -> Vec<Statement> {
    let named = |sql: String| Some(Statement { name: parse::made_name(&sql)?, sql });
    statements.into_iter().filter_map(named).collect()
}

/// The statements of a file, which empty lines separate, without the comment lines above them.
fn paragraphs(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    text.split("\n\n")
        .map(|paragraph| {
            let lines = paragraph.lines().filter(|line| !line.starts_with("--"));
            lines.collect::<Vec<_>>().join("\n").trim().to_string()
        })
        .filter(|statement| !statement.is_empty())
        .map(|statement| fill(&statement, pairs))
        .collect()
}
