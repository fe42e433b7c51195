//! What capture is made of: the statements for each table, as [`super::install`] runs them, as
//! `plan --ddl` prints them, and as [`super::inspect`] expects to find them.
//!
//! Triggers write keys; the log's key columns have no type, so that a key keeps its storage class. A
//! row that REPLACE removes is found by BEFORE triggers, by every unique index: no DELETE trigger fires
//! for it unless the writer has `recursive_triggers` on.

use super::catalog::{Entry, KeyColumn, Shape, Unique};
use super::parse;
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
        // A key that the operator named is told apart as bytes, whatever its column's own collation says.
        let how = if shape.key_columns(&key).is_some() { "" } else { " COLLATE BINARY" };
        let changed = key.iter().map(|k| format!("NEW.{0} IS NOT OLD.{0}{how}", quote(k)));
        let changed = value::join(changed, " OR ");
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
            let replaced = Replaced::find(shape, &key, &log)?;
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

/// The kind of an entry that is no change: a row with that key was there when one was about to be inserted.
pub(super) const MET: char = 'K';

/// The bodies of the triggers that find rows which REPLACE is about to remove.
struct Replaced {
    by_insert: String,
    by_update: String,
    when: String,
}

impl Replaced {
    /// `None` when nothing can be in a new row's way.
    fn find(shape: &Shape, key: &[&str], log: &str) -> Result<Option<Self>> {
        let kind = |is_key: bool| if is_key { MET } else { 'R' };
        let own = shape.key_index(key);
        // The rowid can be given even where no column names it; the column that does may not be the key.
        let named = shape.rowid_column.as_deref();
        let rowid = named.map(quote).or_else(|| shape.rowid().map(ToString::to_string));
        let by_rowid = rowid.as_ref().map(|rowid| {
            (kind(named.is_some_and(|column| key == [column])), format!("t.{rowid} = NEW.{rowid}"))
        });
        let mut conditions: Vec<(char, String)> = by_rowid.into_iter().collect();
        for index in &shape.unique {
            let is_key = own.is_some_and(|own| std::ptr::eq(index, own));
            conditions.push((kind(is_key), in_the_way(shape, index)?));
        }
        if conditions.is_empty() {
            return Ok(None);
        }
        let names = key_names("", key.len());
        let found = columns("t", key);
        let itself = value::join(key.iter().map(|k| format!("t.{0} IS OLD.{0}", quote(k))), " AND ");
        let body = |more: &str| {
            let statement = |(kind, condition): &(char, String)| {
                format!(
                    "    INSERT INTO {} (kind, {names}) SELECT '{kind}', {found} FROM {} AS t WHERE {condition}{more};",
                    quote(log),
                    quote(&shape.name)
                )
            };
            value::join(conditions.iter().map(statement), "\n")
        };
        Ok(Some(Replaced {
            by_insert: body(""),
            by_update: body(&format!(" AND NOT ({itself})")),
            when: when(&shape.unique, rowid.as_deref()),
        }))
    }
}

/// An update that leaves all indexed columns alone is in nobody's way. What an expression or a partial
/// index looks at is not known, so then every update is looked at.
fn when(indexes: &[Unique], rowid: Option<&str>) -> String {
    if !indexes.iter().all(Unique::is_plain) {
        return String::new();
    }
    let columns = indexes.iter().flat_map(|u| u.columns().unwrap_or_default()).map(|c| quote(&c));
    let changed = rowid.map(ToString::to_string).into_iter().chain(columns);
    // As bytes: an index may tell values apart that the column's own collation does not.
    let changed = changed.map(|c| format!("NEW.{c} IS NOT OLD.{c} COLLATE BINARY"));
    format!("\nWHEN {}", value::join(changed, " OR "))
}

/// The condition under which a row `t` has the same place in a unique index as the new row.
fn in_the_way(shape: &Shape, index: &Unique) -> Result<String> {
    let fault = || {
        Error::table(format!("its unique index {} can't be understood: {:?}", index.name, index.sql))
            .remedy("add the table to `exclude`, or drop the index for the time of the migration")
    };
    let needs_text = !index.is_plain();
    let text = match (&index.sql, needs_text) {
        (Some(sql), true) => {
            Some(parse::index(sql).filter(|t| t.terms.len() == index.terms.len()).ok_or_else(fault)?)
        }
        (None, true) => return Err(fault()),
        (_, false) => None,
    };
    let mut conditions = Vec::new();
    for (i, term) in index.terms.iter().enumerate() {
        let collation = quote(&term.collation);
        conditions.push(match (&term.column, &text) {
            (Some(column), _) => format!("t.{0} = NEW.{0} COLLATE {collation}", quote(column)),
            (None, Some(text)) => {
                let term = &text.terms[i];
                // The same expression over a row of the new values.
                format!("({term}) = (SELECT {term} FROM ({}) AS t) COLLATE {collation}", new_row(shape))
            }
            (None, None) => return Err(fault()),
        });
    }
    if let Some(filter) = text.and_then(|t| t.filter) {
        conditions.push(format!("({filter})"));
    }
    Ok(value::join(conditions, " AND "))
}

fn new_row(shape: &Shape) -> String {
    let columns = shape.columns.iter().map(|c| format!("NEW.{0} AS {0}", quote(&c.name)));
    format!("SELECT {}", value::join(columns, ", "))
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

fn columns(row: &str, names: &[&str]) -> String {
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
