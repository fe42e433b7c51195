//! What will be done with each table, decided once from both schemas and the settings.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Form, TableName};

/// What `plan` found for one database: what to do, and what forbids it.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The database's name in the settings.
    pub database: String,
    /// One entry per source table that is carried.
    pub tables: Vec<TablePlan>,
    /// All other source tables, excluded or blocked: they carry the fence only.
    pub excluded: Vec<TableName>,
    /// What must be mended before anything may run.
    pub blockers: Vec<Finding>,
    /// What an operator should know.
    pub warnings: Vec<Finding>,
    /// How it will be done, where that depends on the servers and there is nothing to do about it.
    pub notes: Vec<String>,
    /// Identifies what is decided here: sixteen hexadecimal digits.
    pub hash: String,
}

impl Plan {
    /// The plan of the table with that label.
    pub fn table(&self, label: &str) -> Option<&TablePlan> {
        self.tables.iter().find(|t| t.label() == label)
    }
}

/// Something found while planning: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The label of the source table, where it concerns one.
    pub table: Option<String>,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    /// A finding about the whole database.
    pub fn general(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { table: None, what: what.into(), remedy: remedy.into() }
    }

    /// A finding about one source table.
    pub fn of(table: &TableName, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { table: Some(table.to_string()), what: what.into(), remedy: remedy.into() }
    }
}

/// How a table's rows are found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// By key: changed keys are made equal to the source.
    Keyed,
    /// Keyless: the whole table is compared and made equal when anything in it changed.
    Whole,
}

/// What is done with one source table.
#[derive(Debug, Clone, Serialize)]
pub struct TablePlan {
    /// The source table.
    pub source: TableName,
    /// The target table.
    pub target: TableName,
    /// The id of the target table; empty while it is missing.
    pub target_id: String,
    /// The key's source columns in key order; each is also among `columns`. Empty when keyless.
    pub key: Vec<String>,
    /// The columns that are carried, in the source's order.
    pub columns: Vec<ColumnPair>,
    /// How rows are found again.
    pub strategy: Strategy,
    /// The form in which rows travel.
    pub form: Form,
    /// Whether the source table is a partitioned root (else only its own rows are read, not those of
    /// tables that inherit from it).
    pub partitioned: bool,
    /// Whether the target table is missing and will be made.
    pub create: bool,
    /// About how many rows the source holds.
    pub rows: u64,
    /// About how many bytes they take.
    pub bytes: u64,
}

impl TablePlan {
    /// The label of the table everywhere: the source table's.
    pub fn label(&self) -> String {
        self.source.to_string()
    }

    /// What is decided about the table, without sizes and without what names only one life of it.
    pub fn decision(&self) -> Vec<u8> {
        let decided = (
            &self.source,
            &self.target,
            &self.key,
            &self.columns,
            self.strategy,
            self.form,
            self.partitioned,
        );
        serde_json::to_vec(&decided).unwrap_or_default()
    }

    /// Identifies the decision together with the target table it is about, so that another table under
    /// the same name is noticed: sixteen hexadecimal digits.
    pub fn shape(&self) -> String {
        let digest = Sha256::new_with_prefix(self.decision()).chain_update(&self.target_id);
        hex::encode(&digest.finalize()[..8])
    }

    /// The key's columns as pairs, in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &ColumnPair> {
        self.key.iter().filter_map(|key| self.columns.iter().find(|c| &c.source == key))
    }
}

/// One carried column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnPair {
    /// Its name on the source.
    pub source: String,
    /// Its name on the target.
    pub target: String,
    /// Its full type on the source.
    pub source_type: String,
    /// Its full type on the target.
    pub target_type: String,
}
