//! How a column takes the values of another: decided by the pair of their types, in one table per engine.

use crate::model::ColumnPair;
use crate::settings::EngineKind;

/// How well a target column takes a source column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Each value arrives as it is, or the server refuses it.
    Exact,
    /// The server would change some values, for this reason. What was made of a value is compared with it, and
    /// the row of one that would change is parked.
    Compared(&'static str),
    /// The same, and two values may become one: rows can't be found by such a column.
    Merged(&'static str),
    /// What a value means there can't be told from the types, or nearly all values would change.
    Blocked {
        /// Why.
        why: &'static str,
        /// A rule's expression in place of the column `{}`, where one is known that says what is meant.
        instead: Option<&'static str>,
    },
}

impl Fit {
    /// Nearly all values would change.
    pub(crate) fn blocked(why: &'static str) -> Fit {
        Fit::Blocked { why, instead: None }
    }
}

/// How the target column of a pair takes the values of its source column, on that engine.
pub fn fit(engine: EngineKind, pair: &ColumnPair) -> Fit {
    match engine {
        EngineKind::Postgres => super::postgres::fit(pair),
        EngineKind::Mysql => super::mysql::fit(pair),
        EngineKind::Sqlite => super::sqlite::fit(pair),
    }
}

/// The reason that a row is parked for.
pub(crate) fn reason(column: &str, target_type: &str, why: &str) -> String {
    format!("column {column}: the value would change in {target_type}: {why}")
}
