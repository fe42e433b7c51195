//! Which values a column of SQLite keeps as they are, by the affinities of both sides.
//!
//! A column with an affinity turns texts into numbers and numbers into texts as they come, and tells nobody. A
//! column of the same affinity finds nothing left to turn.

use super::ask::bare;
use super::value;
use crate::engine::fit::{Fit, reason};
use crate::model::{ColumnPair, Fidelity, On, TablePlan, quote};

const TEXT: &str = "it keeps numbers as texts of 15 digits";
const REAL: &str = "it keeps numbers as floating point numbers";
const NUMBER: &str = "it keeps texts that look like numbers as numbers";

/// How the target column takes the values.
pub(in crate::engine) fn fit(pair: &ColumnPair) -> Fit {
    let to = bare(&pair.target_type);
    if pair.is_constant() || (pair.expression.is_none() && to == bare(&pair.source_type)) {
        return Fit::Exact;
    }
    let from = pair.expression.is_none().then(|| bare(&pair.source_type));
    match (from, to) {
        (_, "BLOB") | (Some("INTEGER" | "NUMERIC"), "INTEGER" | "NUMERIC") => Fit::Exact,
        (Some("INTEGER" | "NUMERIC"), "TEXT") => Fit::Compared(TEXT),
        // Whole numbers have stayed whole in one, and are so in the other.
        (Some("REAL"), "INTEGER" | "NUMERIC") => Fit::Compared(NUMBER),
        (_, "TEXT") => Fit::Merged(TEXT),
        (_, "REAL") => Fit::Merged(REAL),
        _ => Fit::Merged(NUMBER),
    }
}

/// The columns whose values are compared with what was made of them: how a row `t` of the table and its staged
/// row `s` tell that one changed, and the reason.
#[derive(Debug, Clone, Default)]
pub(super) struct Compared(Vec<(String, String)>);

impl Compared {
    /// Of a table whose carried columns are staged as `c1`, `c2`, .. and looked-up ones as `x1`, `x2`, ..
    pub(super) fn of(table: &TablePlan, lookup_types: &[&str]) -> Compared {
        let carried = table.columns.iter().enumerate().filter_map(|(i, pair)| {
            let (Fit::Compared(why) | Fit::Merged(why)) = fit(pair) else { return None };
            let is_checked = pair.fidelity == Fidelity::Exact && pair.on == On::Always;
            is_checked.then(|| changed(&pair.target, &format!("s.c{}", i + 1), &pair.target_type, why))
        });
        let lookups = table.rule.lookups.iter().zip(lookup_types).enumerate();
        let looked_up = lookups.filter_map(|(i, (lookup, affinity))| {
            let is_checked = lookup.fidelity == Fidelity::Exact && lookup.on == On::Always;
            let why = match *affinity {
                "TEXT" => TEXT,
                "REAL" => REAL,
                "BLOB" => return None,
                _ => NUMBER,
            };
            is_checked.then(|| changed(&lookup.target, &format!("s.x{}", i + 1), affinity, why))
        });
        Compared(carried.chain(looked_up).collect())
    }

    /// Whether there is nothing to compare.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reason for which a row is parked, or NULL.
    pub(super) fn reason(&self) -> String {
        let case = |(sql, reason): &(String, String)| format!(" WHEN {sql} THEN {}", value::quote(reason));
        format!("CASE{} END", self.0.iter().map(case).collect::<String>())
    }
}

/// A number and a text are the same value if each reads back as the other.
fn changed(column: &str, staged: &str, target_type: &str, why: &str) -> (String, String) {
    let (made, given) = (format!("+t.{}", quote(column)), format!("+{staged}"));
    let class = |sql: &str, classes: &str| format!("typeof({sql}) IN ({classes})");
    let numbers = "'integer', 'real'";
    let sql = format!(
        "NOT CASE WHEN {} AND {} THEN CAST({made} AS NUMERIC) IS {given} \
         WHEN {} AND {} THEN CAST({made} AS TEXT) IS {given} ELSE {made} IS {given} END",
        class(&made, "'text'"),
        class(&given, numbers),
        class(&made, numbers),
        class(&given, "'text'"),
    );
    (sql, reason(column, target_type, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_values_is_told_by_both_affinities() {
        let fit = |from: &str, to: &str| fit(&ColumnPair::plain("c", from, "c", to));
        for (from, to) in [
            ("INT", "BIGINT"),
            ("INTEGER", "DECIMAL(10,2)"),
            ("VARCHAR(9)", "TEXT COLLATE NOCASE"),
            ("TEXT", ""),
            ("REAL", "DOUBLE"),
        ] {
            assert_eq!(fit(from, to), Fit::Exact, "{from} into {to}");
        }
        for (from, to) in [("INTEGER", "TEXT"), ("REAL", "INTEGER")] {
            assert!(matches!(fit(from, to), Fit::Compared(_)), "{from} into {to}");
        }
        for (from, to) in [("TEXT", "INTEGER"), ("INTEGER", "REAL"), ("BLOB", "TEXT"), ("", "NUMERIC")] {
            assert!(matches!(fit(from, to), Fit::Merged(_)), "{from} into {to}");
        }
    }
}
