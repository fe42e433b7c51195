//! What is selected of the source's rows: columns as they are, or what a rule makes of them.
//!
//! An operator's expressions see the row in a derived table that is called like the table itself, so that
//! columns can be named bare or behind the table's name. There a key's columns are those of the log where
//! the row is gone: an expression on the key alone has its value then, too.

use sqlx::mysql::MySqlRow;

use super::session::bytes;
use super::types::{Carried, besides, raw_key};
use super::value::{join, quote};
use crate::error::{Error, Result};
use crate::model::{ColumnPair, Layout, Staged, TablePlan, Value};

/// What is selected of each row, and how it is taken from what comes. A small number always stands
/// first: of a first column of 16 MiB nothing would be seen.
pub(super) struct Selection {
    /// The columns.
    pub(super) columns: Vec<Carried>,
    /// What is selected, each part behind a comma.
    pub(super) sql: String,
}

impl Selection {
    fn of(columns: Vec<Carried>, row: &str) -> Self {
        let sql = columns.iter().map(|c| format!(", {}", c.expression(row))).collect();
        Selection { columns, sql }
    }

    /// Adds what came of a row.
    ///
    /// # Errors
    /// When a value can't be read.
    pub(super) fn values(&self, row: &MySqlRow, first: usize, into: &mut Vec<Value>) -> Result<()> {
        for (i, column) in self.columns.iter().enumerate() {
            let sent = bytes(row, first + i).map_err(|e| Error::failed("a row can't be read").because(e))?;
            into.push(column.value(sent)?);
        }
        Ok(())
    }
}

/// How the rows of a table are read.
pub(super) struct Reading<'a> {
    table: &'a TablePlan,
    /// Whether expressions are to see the row.
    is_derived: bool,
    /// What a row is called.
    row: String,
}

impl<'a> Reading<'a> {
    /// Of that table.
    pub(super) fn of(table: &'a TablePlan) -> Self {
        let computed = |c: &ColumnPair| c.expression.is_some() && !c.is_constant();
        let is_derived = table.rule.filter.is_some() || table.columns.iter().any(computed);
        let row = if is_derived { quote(&table.source.name) } else { "t".to_string() };
        Reading { table, is_derived, row }
    }

    /// The condition under which a row is carried, if there is one.
    pub(super) fn filter(&self) -> Option<String> {
        self.table.rule.filter.as_ref().map(|filter| format!("COALESCE(({filter}\n), FALSE)"))
    }

    /// What `sql` on the tables below is called where values are selected.
    fn known_as(&self, sql: &str, name: &str) -> String {
        if self.is_derived { name.to_string() } else { sql.to_string() }
    }

    /// The key, as it stands in the log or in the table.
    fn key(&self, before: &str) -> Vec<Carried> {
        let named = |(i, pair): (usize, &ColumnPair)| match self.is_derived {
            true => Carried::of_key(pair).named(&format!("hw_{before}{}", i + 1)),
            false => Carried::of_key(pair),
        };
        raw_key(self.table).iter().enumerate().map(named).collect()
    }

    fn carried(&self) -> Vec<Carried> {
        let key = self.key("t");
        let of = |pair: &ColumnPair| match self.table.key.iter().position(|k| *k == pair.source) {
            Some(place) if pair.expression.is_none() && self.is_derived => {
                Carried::of(pair).named(&format!("hw_t{}", place + 1))
            }
            _ => Carried::of(pair),
        };
        debug_assert_eq!(key.len(), self.table.key.len());
        self.table.columns.iter().map(of).collect()
    }

    fn also(&self) -> impl Iterator<Item = Carried> {
        self.table.rule.also.iter().map(|c| Carried::of(&besides(c)))
    }

    /// The carried columns and those that are staged besides.
    pub(super) fn state(&self) -> Selection {
        Selection::of(self.carried().into_iter().chain(self.also()).collect(), &self.row)
    }

    /// What a stream of that layout holds of each row.
    pub(super) fn layout(&self, layout: Layout) -> Selection {
        let columns = match layout {
            Layout::Plain => self.carried(),
            Layout::Staged => self.key("k").into_iter().chain(self.carried()).chain(self.also()).collect(),
            Layout::Keys => self.key("k").into_iter().chain(stand_ins(self.table).map(Carried::of)).collect(),
        };
        Selection::of(columns, &self.row)
    }

    /// The statement that reads the rows of `table` (as SQL) under the conditions (on `t`).
    pub(super) fn rows(&self, selection: &Selection, table: &str, conditions: &[String]) -> String {
        let all = |conditions: &[String]| match conditions {
            [] => String::new(),
            some => format!(" WHERE {}", some.join(" AND ")),
        };
        let from = format!("{table} AS t{}", all(conditions));
        let filter: Vec<String> = self.filter().into_iter().collect();
        let key: Vec<String> = self.table.key.iter().map(|k| format!("t.{}", quote(k))).collect();
        format!("SELECT 1{} FROM {}{}", selection.sql, self.seen(&from, &[], &key), all(&filter))
    }

    /// The statement that reads the states of keys: `number` and `key` are given beside `t`, `present` says
    /// whether there is a row.
    pub(super) fn states(
        &self,
        selection: &Selection,
        number: &str,
        present: &str,
        key: &[String],
        from: &str,
    ) -> String {
        let filter = self.filter().map_or(String::new(), |filter| format!(" AND {filter}"));
        let given = [(number, "hw_n"), (present, "hw_present")];
        format!(
            "SELECT {}, {}{filter}{} FROM {}",
            self.known_as(number, "hw_n"),
            self.known_as(present, "hw_present"),
            selection.sql,
            self.seen(from, &given, key)
        )
    }

    /// The logged key and the state.
    pub(super) fn logged(&self) -> Selection {
        let key = raw_key(self.table);
        let key = key.iter().enumerate().map(|(i, pair)| Carried::of_key(pair).named(&format!("k{}", i + 1)));
        let key = if self.is_derived { self.key("k") } else { key.collect() };
        let row = if self.is_derived { self.row.as_str() } else { "f" };
        let (mut all, state) = (Selection::of(key, row), self.state());
        all.sql.push_str(&state.sql);
        all.columns.extend(state.columns);
        all
    }

    /// What is behind FROM: the tables themselves, or what expressions see of them.
    fn seen(&self, from: &str, given: &[(&str, &str)], key: &[String]) -> String {
        if !self.is_derived {
            return from.to_string();
        }
        let mut columns: Vec<String> = given.iter().map(|(sql, name)| format!("{sql} AS {name}")).collect();
        let mut names: Vec<String> = Vec::new();
        for (i, (name, raw)) in self.table.key.iter().zip(key).enumerate() {
            let own = format!("t.{}", quote(name));
            let shown = if *raw == own { own.clone() } else { format!("COALESCE({own}, {raw})") };
            let n = i + 1;
            columns.push(format!("{raw} AS hw_k{n}, {own} AS hw_t{n}, {shown} AS {}", quote(name)));
            names.push(name.to_lowercase());
        }
        let plain = self.table.columns.iter().filter(|c| c.expression.is_none()).map(|c| &c.source);
        let also = self.table.rule.also.iter().map(|c| &c.name);
        for name in plain.chain(also).chain(&self.table.rule.reads) {
            if !names.contains(&name.to_lowercase()) {
                columns.push(format!("t.{0} AS {0}", quote(name)));
                names.push(name.to_lowercase());
            }
        }
        format!("(SELECT {} FROM {from}) AS {}", join(columns, ", "), self.row)
    }
}

/// The carried columns that stand for a key column by an expression.
pub(super) fn stand_ins(table: &TablePlan) -> impl Iterator<Item = &ColumnPair> {
    table.matched().filter_map(|(pair, staged)| {
        (matches!(staged, Staged::Carried(_)) && !pair.is_constant()).then_some(pair)
    })
}
