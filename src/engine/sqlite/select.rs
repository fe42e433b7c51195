//! The statements that read a table's rows, as its rule has them.
//!
//! The table goes by its own name, so that an expression sees its columns bare or behind that name; all
//! else in the statement has names that begin with `hw_`.

use super::capture::{key_names, same_key};
use super::catalog::{KeyColumn, Shape};
use super::value;
use crate::error::{Error, Kind, Result};
use crate::model::{ColumnPair, Layout, Staged, TablePlan, quote, sql};

const REMEDY: &str = "let the rule's SQL bear every row; `highwater plan` tries it on some";

/// What is read of a table.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    /// The table, as SQL.
    pub(super) table: String,
    /// The columns by which its rows are told apart.
    pub(super) key: Vec<KeyColumn>,
    /// The table, as errors name it, where an operator's SQL is part of its statements.
    ruled: Option<String>,
    filter: Option<String>,
    /// The carried columns of a row.
    carried: Vec<String>,
    /// The same where there may be only a key, and no row.
    of_key: Vec<String>,
    also: Vec<String>,
    /// The carried columns that stand for a key column.
    for_key: Vec<String>,
}

impl Reads {
    /// Of a table that has that shape and is told apart by that key.
    pub(super) fn new(table: &TablePlan, shape: &Shape, key: Vec<KeyColumn>) -> Self {
        let row = quote(&table.source.name);
        let carried: Vec<String> = table.columns.iter().map(|c| column(&row, c)).collect();
        let of_key = table.columns.iter().zip(&carried).map(|(c, sql)| of_key(&row, &key, shape, c, sql));
        let for_key = table.matched().filter_map(|(pair, staged)| match staged {
            Staged::Carried(c) if !pair.is_constant() => carried.get(c).cloned(),
            _ => None,
        });
        let ruled = table.rule.filter.is_some() || table.columns.iter().any(|c| c.expression.is_some());
        Reads {
            ruled: ruled.then(|| table.label()),
            of_key: of_key.collect(),
            for_key: for_key.collect(),
            also: table.rule.also.iter().map(|c| format!("{row}.{}", quote(&c.name))).collect(),
            filter: table.rule.filter.as_deref().map(enclosed),
            table: row,
            key,
            carried,
        }
    }

    /// The statement that reads rows of one layout, and how many columns it has.
    pub(super) fn rows(&self, layout: Layout, conditions: &[String]) -> (String, usize) {
        let keys = key_list(&self.key, &self.table);
        let keys = Some(keys).filter(|keys| layout != Layout::Plain && !keys.is_empty());
        let (more, also): (&[String], &[String]) = match layout {
            Layout::Plain => (&self.carried, &[]),
            Layout::Staged => (&self.carried, &self.also),
            Layout::Keys => (&self.for_key, &[]),
        };
        let width = keys.as_ref().map_or(0, |_| self.key.len()) + more.len() + also.len();
        let columns = keys.into_iter().chain(more.iter().cloned()).chain(also.iter().cloned());
        let mut sql = format!("SELECT {} FROM {}", value::join(columns, ", "), self.table);
        let conditions: Vec<String> = conditions.iter().cloned().chain(self.filter.clone()).collect();
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        if !self.key.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", key_order(&self.key, &self.table)));
        }
        (sql, width)
    }

    /// Joins keys (`hw_n`, `hw_k1`, ...) with the rows that have them now.
    pub(super) fn states(&self, keys: &str) -> String {
        let there = self.present();
        let present = match &self.filter {
            Some(filter) => format!("{there} AND coalesce({filter}, 0)"),
            None => there,
        };
        let columns = self.of_key.iter().chain(&self.also).map(|c| format!(", {c}"));
        format!(
            "SELECT hw_f.hw_n, {present}, {}{} FROM ({keys}) AS hw_f LEFT JOIN {} ON {} ORDER BY hw_f.hw_n",
            key_names("hw_f.hw_", self.key.len()),
            value::join(columns, ""),
            self.table,
            same_key(&self.key, &self.table, "hw_f", "hw_")
        )
    }

    /// How many columns a staged row has.
    pub(super) fn staged_width(&self) -> usize {
        2 + self.key.len() + self.carried.len() + self.also.len()
    }

    /// What a row makes of an operator's SQL stops the table, not the program.
    pub(super) fn checked<T>(&self, done: Result<T>) -> Result<T> {
        done.map_err(|error| match (&self.ruled, error.kind()) {
            (Some(label), Kind::Failed | Kind::Data) => {
                Error::table(format!("{label}: {}", error.summary())).remedy(REMEDY)
            }
            _ => error,
        })
    }

    fn present(&self) -> String {
        present(&self.table, &self.key)
    }
}

/// An expression that may end in a comment, as a part of others.
pub(super) fn enclosed(expression: &str) -> String {
    format!("({expression}\n)")
}

fn present(row: &str, key: &[KeyColumn]) -> String {
    key.first().map_or("0".to_string(), |k| format!("{row}.{} IS NOT NULL", quote(&k.name)))
}

fn column(row: &str, pair: &ColumnPair) -> String {
    match &pair.expression {
        Some(expression) => enclosed(expression),
        None => format!("{row}.{}", quote(&pair.source)),
    }
}

/// A column's value, and that of a key whose row is gone: what reads nothing but the key has one still.
/// (The log's keys have the class of the row's, not its column's type: `id = '1'` is false of them.)
fn of_key(row: &str, key: &[KeyColumn], shape: &Shape, pair: &ColumnPair, sql: &str) -> String {
    let Some(expression) = pair.expression.as_deref().filter(|e| !sql::is_literal(e)) else {
        return sql.to_string();
    };
    let names = shape.columns.iter().map(|c| c.name.as_str());
    let others = names.filter(|name| !key.iter().any(|k| k.name == *name));
    let there = present(row, key);
    if !sql::mentioned(expression, others).is_empty() {
        return format!("CASE WHEN {there} THEN {sql} END");
    }
    let keys = key.iter().enumerate().map(|(i, k)| format!("hw_f.hw_k{} AS {}", i + 1, quote(&k.name)));
    let keys = value::join(keys, ", ");
    format!("CASE WHEN {there} THEN {sql} ELSE (SELECT {sql} FROM (SELECT {keys}) AS {row}) END")
}

/// The key's columns of `row`.
pub(super) fn key_list(key: &[KeyColumn], row: &str) -> String {
    value::join(key.iter().map(|k| format!("{row}.{}", quote(&k.name))), ", ")
}

/// The key's columns with their collations, to order by.
pub(super) fn key_order(key: &[KeyColumn], row: &str) -> String {
    value::join(key.iter().map(|k| format!("{row}.{}{}", quote(&k.name), k.collate)), ", ")
}

/// `(t.a, t.b) >= (?, ?)`, by the key's collations, with `values` to be bound.
pub(super) fn key_compare(
    key: &[KeyColumn],
    row: &str,
    operator: &str,
    values: &[crate::model::Value],
) -> String {
    let given = key.iter().zip(values).map(|(k, v)| format!("{}{}", value::placeholder(v), k.collate));
    format!("({}) {operator} ({})", key_list(key, row), value::join(given, ", "))
}
