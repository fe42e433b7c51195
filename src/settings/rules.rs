//! What the operator says of single tables, of checkpoints and of the upgrade.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::model::{Fidelity, On, OnDelete};

/// What is said of one source table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TableSettings {
    /// The name of the source table, with its schema where that is not the default one.
    pub name: String,
    /// The preset that says it; `None` where the settings do. What a preset says of tables that the
    /// source does not have is passed over.
    pub preset: Option<String>,
    /// Columns, `source.NAME` or `target.NAME`, that must be there for this to be meant; empty: always.
    /// Of several that are meant for one table the first counts.
    pub when: Vec<String>,
    /// The target table, where it is named otherwise.
    pub target: Option<String>,
    /// The source columns that find a row again; empty: its primary key.
    pub key: Vec<String>,
    /// SQL on the source row and `:as_of`: which rows are carried.
    pub filter: Option<String>,
    /// Source columns that are left behind.
    pub drop: Vec<String>,
    /// What becomes of rows that the source deletes.
    pub on_delete: OnDelete,
    /// Target columns that only the vendor's code can fill.
    pub external: Vec<String>,
    /// Where target columns come from that don't come from a column of their name.
    pub columns: BTreeMap<String, ColumnSettings>,
    /// Further targets.
    pub into: Vec<IntoSettings>,
    /// A command that every batch passes through.
    pub transform: Option<TransformSettings>,
    /// The share of the table's keys that an upgrade is meant to make or to delete.
    pub origin_share: Option<f64>,
}

/// Where a target column comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnSettings {
    /// Its value.
    pub given: Given,
    /// When it is written.
    pub on: On,
    /// Whether its values may change.
    #[serde(skip_serializing_if = "Fidelity::is_exact")]
    pub fidelity: Fidelity,
}

/// What gives a target column its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// The source column of the same name.
    SameName,
    /// A source column of that name.
    Column(String),
    /// SQL on the source row.
    Source(String),
    /// SQL on the target, over `changed`.
    Target(String),
}

/// A further target of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IntoSettings {
    /// The target table.
    pub target: String,
    /// Its columns that say whose a row is, each with SQL over `changed`.
    pub matches: BTreeMap<String, String>,
    /// The rows, as SQL over `changed`.
    pub select: String,
}

/// A command that every batch passes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TransformSettings {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Target columns that the command fills, besides changing the carried ones.
    pub fills: Vec<String>,
    /// How long one batch may take.
    pub timeout: Duration,
}

/// What must hold on the upgraded target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointSettings {
    /// What it is called.
    pub name: String,
    /// What is expected.
    pub expects: Expectation,
}

/// What a checkpoint expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// These tables are there.
    Tables(Vec<String>),
    /// A query on the target gives this in the first column of its only row.
    Answer {
        /// The query.
        sql: String,
        /// What it gives.
        expect: String,
    },
}

/// How the target's schema is upgraded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UpgradeSettings {
    /// The scripts, in their order.
    pub scripts: Vec<PathBuf>,
    /// When it happens; `None`: after the copy if scripts are named, else rules hold from the start.
    pub order: Option<UpgradeOrder>,
    /// What runs the scripts.
    pub runner: UpgradeRunner,
    /// What of a script is one transaction.
    pub transaction: UpgradeTransaction,
}

impl UpgradeSettings {
    /// Whether the copy goes into the schema as it was, and rules for the new one have to wait.
    pub fn is_after_copy(&self) -> bool {
        match self.order {
            Some(order) => order == UpgradeOrder::AfterCopy,
            None => !self.scripts.is_empty(),
        }
    }
}

/// When the upgrade happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeOrder {
    /// The copy fills the old schema, which is upgraded then, rows and all.
    AfterCopy,
    /// The empty schema is upgraded, and the copy goes through the rules.
    BeforeCopy,
}

/// What of a script is one transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeTransaction {
    /// Each statement, as in the vendor's own clients.
    #[default]
    Statement,
    /// The script: it has run as a whole or not at all.
    Whole,
}

/// What runs the upgrade's scripts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeRunner {
    /// highwater itself.
    #[default]
    Highwater,
    /// The engine's own client, `psql`, `mysql` (or `mariadb`), `sqlite3`.
    Client,
}
