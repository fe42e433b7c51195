//! What is selected of a source table's rows: as they stand, or through the expressions of its rule.
//!
//! Where there are expressions, the row is read through a derived table of the table's name, so that
//! they see its columns bare or behind that name, and nothing else but a few names of ours. The key's
//! columns show the log's key where the row is gone.

use super::capture::each;
use super::connect::literal;
use super::facts::KeyColumn;
use super::stream::operator_path;
use crate::model::{ColumnPair, Layout, Staged, TablePlan, quote};

/// What is selected of one table.
pub(super) struct Selection<'a> {
    table: &'a TablePlan,
    key: &'a [KeyColumn],
}

impl<'a> Selection<'a> {
    pub(super) fn of(table: &'a TablePlan, key: &'a [KeyColumn]) -> Self {
        Selection { table, key }
    }

    /// Whether anything is the operator's SQL.
    fn is_computed(&self) -> bool {
        is_computed(self.table)
    }

    /// Sets the search path for the statement: the key's operators first, then what the role would have.
    pub(super) fn path(&self) -> String {
        user_path(&operator_path(self.key))
    }

    /// The rows for which `condition` (on the table as `t`) holds.
    pub(super) fn rows(&self, condition: &str, layout: Layout) -> String {
        let (rows, filter) = self.source_rows(condition);
        let keys = if self.is_computed() {
            each(self.key, |n, _| format!("hw_k{n} AS k{n}"))
        } else {
            each(self.key, |n, name| format!("t.{name} AS k{n}"))
        };
        let wanted = match layout {
            Layout::Plain => self.carried(None).join(", "),
            Layout::Keys => [keys].into_iter().chain(self.computed_matches()).collect::<Vec<_>>().join(", "),
            Layout::Staged => format!(
                "0::bigint AS hw_xid, row_number() OVER () AS hw_n, true AS hw_present, {keys}, {}",
                self.columns(None)
            ),
        };
        format!("SELECT {wanted} FROM {rows}{filter}")
    }

    /// What rows are selected from, and the filter.
    fn source_rows(&self, condition: &str) -> (String, String) {
        let from = from(self.table);
        if !self.is_computed() {
            return (format!("{from} AS t{condition}"), String::new());
        }
        let keys: String = self
            .key
            .iter()
            .enumerate()
            .map(|(k, c)| format!("t.{} AS hw_k{}, ", quote(&c.name), k + 1))
            .collect();
        let shown = self.shown(|name| format!("t.{}", quote(name)));
        let rows = format!("(SELECT {keys}{shown} FROM {from} AS t{condition}) AS {}", self.own_names());
        (rows, self.table.rule.filter.as_ref().map(|f| format!(" WHERE ({f}\n)")).unwrap_or_default())
    }

    /// The states of keys that are given as `w` (with `hw_at`, a position to order by, `hw_n`, and
    /// `k1`, ..): `xid` is the position as a bigint.
    pub(super) fn states(&self, xid: &str) -> String {
        let same = same(self.key, "w");
        let from = from(self.table);
        if !self.is_computed() {
            let keys = each(self.key, |n, _| format!("w.k{n}"));
            return format!(
                "SELECT {xid} AS hw_xid, w.hw_n, t.tableoid IS NOT NULL AS hw_present, {keys}, {}\n\
                 FROM wanted AS w\nLEFT JOIN {from} AS t ON {same}\nORDER BY w.hw_at, w.hw_n",
                self.columns(None)
            );
        }
        let filter = self.table.rule.filter.as_deref();
        let present = match filter {
            Some(filter) => format!("(hw_there AND coalesce(({filter}\n), false))"),
            None => "hw_there".to_string(),
        };
        let shown = self.shown(|name| match self.key.iter().position(|k| k.name == name) {
            Some(k) => format!("coalesce(t.{}, w.k{})", quote(name), k + 1),
            None => format!("t.{}", quote(name)),
        });
        let inner = each(self.key, |n, _| format!("w.k{n} AS hw_k{n}"));
        format!(
            "SELECT {xid} AS hw_xid, hw_n, {present} AS hw_present, {}, {}\n\
             FROM (SELECT w.hw_at, w.hw_n, t.tableoid IS NOT NULL AS hw_there, {inner}, {shown}\n\
             FROM wanted AS w LEFT JOIN {from} AS t ON {same}) AS {}\nORDER BY hw_at, hw_n",
            each(self.key, |n, _| format!("hw_k{n}")),
            self.columns(Some(&present)),
            self.own_names(),
        )
    }

    /// The alias of the derived table.
    fn own_names(&self) -> String {
        quote(&self.table.source.name)
    }

    /// Every source column that is mentioned anywhere, as `value AS name`.
    fn shown(&self, value: impl Fn(&str) -> String) -> String {
        let mut names: Vec<&str> = Vec::new();
        let plain = self.table.columns.iter().filter(|c| c.expression.is_none()).map(|c| c.source.as_str());
        let also = self.table.rule.also.iter().map(|c| c.name.as_str());
        let reads = self.table.rule.reads.iter().map(String::as_str);
        let key = self.table.key.iter().map(String::as_str);
        for name in key.chain(plain).chain(also).chain(reads) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let all: Vec<String> =
            names.into_iter().map(|name| format!("{} AS {}", value(name), quote(name))).collect();
        all.join(", ")
    }

    /// The carried columns, then those that are staged besides. Of a row for which `present` does not
    /// hold only what is computed from the key is computed at all: an expression need not bear other rows.
    fn columns(&self, present: Option<&str>) -> String {
        let mut all = self.carried(present);
        all.extend(self.table.rule.also.iter().map(|c| guarded(&self.column(&c.name), present)));
        all.join(", ")
    }

    fn carried(&self, present: Option<&str>) -> Vec<String> {
        let matched: Vec<&str> = self.table.matched().map(|(pair, _)| pair.target.as_str()).collect();
        let one = |pair: &ColumnPair| {
            let value = self.value(pair);
            if matched.contains(&pair.target.as_str()) { value } else { guarded(&value, present) }
        };
        self.table.columns.iter().map(one).collect()
    }

    /// The carried columns that stand for key columns by an expression.
    fn computed_matches(&self) -> Vec<String> {
        let computed = self
            .table
            .matched()
            .filter(|(pair, staged)| matches!(staged, Staged::Carried(_)) && !pair.is_constant());
        computed.map(|(pair, _)| self.value(pair)).collect()
    }

    fn value(&self, pair: &ColumnPair) -> String {
        match &pair.expression {
            // What comes behind stands on a line of its own, in case a comment ends the expression.
            Some(expression) => format!("({expression}\n)"),
            None => self.column(&pair.source),
        }
    }

    fn column(&self, name: &str) -> String {
        let table = if self.is_computed() { self.own_names() } else { "t".to_string() };
        format!("{table}.{}", quote(name))
    }
}

/// Whether the table is read through the operator's SQL.
pub(super) fn is_computed(table: &TablePlan) -> bool {
    table.rule.filter.is_some() || table.columns.iter().any(|c| c.expression.is_some())
}

/// A value that is NULL where `present` does not hold.
fn guarded(value: &str, present: Option<&str>) -> String {
    match present {
        Some(present) => format!("CASE WHEN {present} THEN {value} END"),
        None => value.to_string(),
    }
}

/// Sets the search path to `first` and what the role would have besides, until the transaction ends. That is for
/// whatever touches users' rows. Functions in their indexes, CHECKs, domains and generated columns may name other
/// functions without a schema, as the application's sessions find them; already the planner looks into those
/// of an index. Our own names have their schema everywhere.
pub(super) fn user_path(first: &str) -> String {
    format!(
        "SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', {}, nullif(s.reset_val, '')), true) \
         FROM pg_catalog.pg_settings AS s WHERE s.name = 'search_path'",
        literal(first)
    )
}

/// The path that [`user_path`] adds, as one text.
pub(super) const ROLE_PATH: &str =
    "SELECT s.reset_val FROM pg_catalog.pg_settings AS s WHERE s.name = 'search_path'";

/// What `plan` says of it.
pub(super) fn path_note(place: &str, path: &str) -> String {
    format!("{place}: rows are read and written under search_path = {path}")
}

/// The table as what stands behind FROM: without those that inherit from it, which are carried apart.
pub(super) fn from(table: &TablePlan) -> String {
    let name = table.source.sql();
    if table.partitioned { name } else { format!("ONLY {name}") }
}

fn same(key: &[KeyColumn], alias: &str) -> String {
    let all: Vec<String> =
        key.iter().enumerate().map(|(i, c)| format!("t.{} = {alias}.k{}", quote(&c.name), i + 1)).collect();
    all.join(" AND ")
}
