//! How source rows become target rows where names alone don't say it.
//!
//! A [`Rule`] belongs to one [`TablePlan`](super::TablePlan). Its expressions are SQL that becomes part of
//! the set-based statements, so copy, replay and proof run the very same select.
//!
//! - On the source an expression sees the row's columns by their names, bare or behind the table's name.
//! - On the target it sees the row as `changed`, with the source's columns by their names. Of a key whose
//!   row is gone only the key's columns are known there; the others are NULL.

use serde::{Deserialize, Serialize};

use super::TableName;

/// When a column is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Whenever its row is.
    #[default]
    Always,
    /// When its row is made; kept after that.
    Insert,
}

/// Whether a value may change when it becomes one of the target column's type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fidelity {
    /// No: it arrives exactly, or its row is parked.
    #[default]
    Exact,
    /// Yes: the rule says `lossy = true`.
    Lossy,
}

impl Fidelity {
    /// Whether values must arrive exactly.
    pub fn is_exact(&self) -> bool {
        *self == Fidelity::Exact
    }
}

/// What becomes of a target row whose source row is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// It goes too.
    #[default]
    Delete,
    /// It stays.
    Keep,
}

/// What is done to the rows of one table besides carrying columns by name. The default does nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// SQL on the source row that says whether it is carried, with `:as_of` replaced by its instant.
    pub filter: Option<String>,
    /// The source columns that the filter and expressions on the source mention.
    pub reads: Vec<String>,
    /// Source columns that are staged besides the carried ones: `changed` shows them.
    pub also: Vec<SourceColumn>,
    /// Target columns that are computed on the target.
    pub lookups: Vec<Lookup>,
    /// Further targets.
    pub into: Vec<Into>,
    /// What becomes of target rows whose source row is gone.
    pub on_delete: OnDelete,
    /// Passes every batch through a command.
    pub transform: Option<Transform>,
}

impl Rule {
    /// Whether rows can be written right into the empty table as they are read.
    pub fn loads_directly(&self) -> bool {
        self.lookups.is_empty() && self.into.is_empty() && self.transform.is_none()
    }

    /// Whether anything is computed on the target, so that the stage must show rows as `changed`.
    pub fn is_computed_on_target(&self) -> bool {
        !self.lookups.is_empty() || !self.into.is_empty()
    }
}

/// A source column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceColumn {
    /// Its name.
    pub name: String,
    /// Its full type.
    pub type_name: String,
}

/// A target column that is computed on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The column.
    pub target: String,
    /// Its full type.
    pub target_type: String,
    /// SQL over `changed`.
    pub expression: String,
    /// When it is written.
    pub on: On,
    /// Whether its values may change.
    #[serde(default, skip_serializing_if = "Fidelity::is_exact")]
    pub fidelity: Fidelity,
}

/// A further target of a table: wherever its `matches` are those of a source key stand exactly the rows
/// that `select` yields for it; none if the key has no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Into {
    /// The target table.
    pub target: TableName,
    /// Target columns, each with SQL over `changed` that says which of its rows belong to the key.
    pub matches: Vec<(String, String)>,
    /// SQL over the table `changed` (rows that are present only).
    pub select: String,
    /// The target columns that `select` yields, in its order; the matched ones are among them. Found out
    /// when the rule is tried, and no part of the decision.
    #[serde(skip)]
    pub columns: Vec<IntoColumn>,
    /// The columns of a unique index of the target, all among `columns`, by which its rows are found
    /// again and updated in place; empty where there is none, then rows are compared as a whole.
    #[serde(skip)]
    pub key: Vec<String>,
}

/// A column of a further target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntoColumn {
    /// Its name.
    pub name: String,
    /// Its full type.
    pub type_name: String,
}

/// A command that every batch passes through: JSON lines in and out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transform {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long one batch may take, in milliseconds.
    pub timeout_ms: u64,
}

/// A target table that others of the plan look up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependant {
    /// The label of the table whose rule looks it up.
    pub label: String,
    /// The columns of the looked-up target table that its SQL may read.
    pub columns: Vec<String>,
    /// Whether it looks up a further target: then any change of a row may have changed what it reads.
    pub further: bool,
    /// What ties both, where the rule's SQL is plain enough to tell: then only the rows with the values
    /// that came or went are made equal again, else all of them.
    pub link: Option<Link>,
}

/// The dependant's source column that is compared with a column of the looked-up table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The dependant's source column.
    pub column: String,
    /// The column of the looked-up target table.
    pub looked_up: String,
}
