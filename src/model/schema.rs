//! What a database holds, as far as highwater is concerned.

use serde::{Deserialize, Serialize};

use super::TableName;

/// The tables and sequences of one database, without highwater's own and the system's.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// All user tables; partitions stand under their root, not here.
    pub tables: Vec<Table>,
    /// All user sequences, those of identity columns too.
    pub sequences: Vec<Sequence>,
}

impl Schema {
    /// The table of that exact name.
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|t| &t.name == name)
    }
}

/// What kind of table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// An ordinary table.
    Ordinary,
    /// The root of a partitioned table.
    Partitioned,
    /// PostgreSQL UNLOGGED: empty after a crash.
    Unlogged,
    /// Its rows live on another server.
    Foreign,
    /// SQLite virtual table.
    Virtual,
}

/// One table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Tells it from another table that had or gets the same name (PostgreSQL: its oid).
    pub id: String,
    /// Its kind.
    pub kind: TableKind,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Its primary key's columns, in key order.
    pub primary_key: Vec<String>,
    /// Its other unique indexes (whole-table ones, on plain columns).
    pub unique: Vec<UniqueIndex>,
    /// Its foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Partitions at every level below a partitioned root.
    pub parts: Vec<TableName>,
    /// Tables that inherit from this one, at every level (PostgreSQL inheritance, not partitions).
    pub heirs: Vec<TableName>,
    /// The names of user triggers on it (not highwater's, not the engine's own).
    pub triggers: Vec<String>,
    /// Whether row-level security is on: rows may be hidden silently.
    pub row_security: bool,
    /// About how many rows.
    pub rows: u64,
    /// About how many bytes.
    pub bytes: u64,
}

impl Table {
    /// The columns by which a row is found again: the primary key, else the narrowest unique index
    /// whose columns are all not null; empty for a keyless table.
    pub fn key(&self) -> &[String] {
        if !self.primary_key.is_empty() {
            return &self.primary_key;
        }
        let not_null = |name: &String| self.column(name).is_some_and(|c| c.not_null);
        self.unique
            .iter()
            .filter(|index| index.columns.iter().all(not_null))
            .min_by_key(|index| index.columns.len())
            .map_or(&[], |index| &index.columns)
    }

    /// The column of that exact name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// A unique index on plain columns of a whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueIndex {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name, where it has one.
    pub name: String,
    /// The referencing columns.
    pub columns: Vec<String>,
    /// The referenced table.
    pub parent: TableName,
    /// The referenced columns.
    pub parent_columns: Vec<String>,
}

/// A CHECK constraint that is enforced: a condition that must not be false for any row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckConstraint {
    /// The table that it stands on.
    pub table: TableName,
    /// Its name, where it has one.
    pub name: String,
    /// Its condition as the engine writes it. A quote inside of a text is a doubled one.
    pub condition: String,
    /// Whether the rows that were there when it was made were looked at.
    pub validated: bool,
}

/// Where a column's value comes from when a statement names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// From the statement, else the default.
    Plain,
    /// From an identity (written with OVERRIDING SYSTEM VALUE where it is ALWAYS).
    Identity,
    /// Computed by the server from other columns; can't be written.
    Computed,
}

/// One column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its full type as the engine writes it (`numeric(10,2)`, `character varying(20)`).
    pub type_name: String,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// What decides how its values compare: the type below a domain's name (SQLite: the affinity), with
    /// the collation where the type does not imply one.
    pub compares_as: String,
    /// Whether it has a default (an identity or a computed value counts).
    pub has_default: bool,
    /// The default as SQL, where it is known.
    pub default: Option<String>,
    /// Where its value comes from.
    pub generation: Generation,
    /// In which form its values can go from one server to another.
    pub transfer: Transfer,
}

/// In which form values can go from one server to another of the same engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// In each that the engine has.
    Any,
    /// As text only: the type has no binary form, or one that means something else on another server.
    Text,
}

impl Column {
    /// What a row has in it whose statement names no value, as SQL, where that is known.
    pub fn unnamed(&self) -> Option<&str> {
        let null = if self.not_null || self.has_default { None } else { Some("NULL") };
        self.default.as_deref().or(null)
    }
}

/// A sequence, or the counter of an identity or AUTOINCREMENT column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// The sequence's name; on SQLite the table's.
    pub name: TableName,
    /// The value it gave last, or would give first when `called` is false.
    pub last: i64,
    /// Whether `last` has been given out.
    pub called: bool,
    /// Its step; negative for a descending one.
    pub increment: i64,
}
