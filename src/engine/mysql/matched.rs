//! How the target's row of a key is found: key columns by the staged key or by what an expression makes
//! of it, and in a target that several tables share by the constants of this one.

use super::comparison::Comparison;
use super::connect::Flavour;
use super::stage::key_type;
use super::types::{Kind, raw_key};
use super::value::{join, quote};
use crate::model::{ColumnPair, Staged, TablePlan};

/// A key's column as it is staged.
#[derive(Debug, Clone)]
pub(super) struct KeyColumn {
    /// Its type in the stage.
    pub(super) staged: String,
    /// What kind of values it has on the source.
    pub(super) kind: Kind,
}

impl KeyColumn {
    /// The columns of a table's key.
    pub(super) fn all(table: &TablePlan, flavour: Flavour) -> Vec<Self> {
        let column = |pair: &ColumnPair| KeyColumn {
            staged: key_type(pair, flavour),
            kind: Kind::of(&pair.source_type),
        };
        raw_key(table).iter().map(column).collect()
    }
}

/// `k1 TYPE NULL, k2 TYPE NULL` for the columns of a key.
pub(super) fn declared_key(key: &[KeyColumn]) -> String {
    join(key.iter().enumerate().map(|(i, k)| format!("k{} {} NULL", i + 1, k.staged)), ", ")
}

/// A target column by which a row is found.
#[derive(Debug, Clone)]
pub(super) struct Match {
    /// Its name, as SQL.
    pub(super) name: String,
    /// Its type on the target.
    pub(super) type_name: String,
    /// What it is compared with, as SQL.
    value: String,
    /// How they compare: by number where both are an ENUM of the same labels.
    how: Comparison,
    /// Whether it has the same value for every row of the table.
    pub(super) is_constant: bool,
}

impl Match {
    /// Those of a table. `s` holds the key as `k1`, `k2`, ..; `carried` says where it holds what an
    /// expression makes of a key's column, given its place among the carried ones.
    pub(super) fn all(table: &TablePlan, carried: impl Fn(usize) -> String) -> Vec<Self> {
        let of = |(pair, staged): (&ColumnPair, Staged)| {
            let own = match Kind::of(&pair.target_type) {
                Kind::Enum(_) => Comparison::ByNumber,
                _ => Comparison::Plain,
            };
            let (value, how) = match (staged, pair.is_constant(), &pair.expression) {
                (_, true, Some(constant)) => (constant.clone(), Comparison::Plain),
                (Staged::Key(k), ..) if pair.source_type == pair.target_type => {
                    (format!("s.k{}", k + 1), own)
                }
                (Staged::Key(k), ..) => (format!("s.k{}", k + 1), Comparison::Plain),
                (Staged::Carried(c) | Staged::Also(c), ..) => (carried(c), own),
            };
            Match {
                name: quote(&pair.target),
                type_name: pair.target_type.clone(),
                value,
                how,
                is_constant: pair.is_constant(),
            }
        };
        table.matched().map(of).collect()
    }

    /// That the column of `t` has the value.
    fn condition(&self) -> String {
        self.how.same(&format!("t.{}", self.name), &self.value)
    }
}

/// That the row of table `t` is the one that the temporary table `s` has the key of: by the collation of the
/// columns.
pub(super) fn same_row(matches: &[Match]) -> String {
    join(matches.iter().map(Match::condition), " AND ")
}

/// That the row of table `t` is one of the source table's at all, each condition behind an AND.
pub(super) fn own_rows(matches: &[Match]) -> String {
    matches.iter().filter(|m| m.is_constant).map(|m| format!(" AND {}", m.condition())).collect()
}

/// A column of `t` that is there if the row is.
pub(super) fn first_column(matches: &[Match]) -> String {
    matches.first().map_or("NULL".to_string(), |m| format!("t.{}", m.name))
}
