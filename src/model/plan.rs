//! What will be done with each table, decided once from both schemas and the settings.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rule::{Dependant, Fidelity, On, Rule};
use super::{Form, TableName, sql};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// By key: changed keys are made equal to the source.
    Keyed,
    /// Keyless: the whole table is compared and made equal when anything in it changed.
    Whole,
}

/// What is done with one source table.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// What is done besides.
    pub rule: Rule,
    /// The tables whose rules look this one's target up.
    pub dependants: Vec<Dependant>,
    /// The labels of the tables whose targets its own rule looks up.
    pub looks_up: Vec<String>,
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
            &self.rule,
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

    /// The key's columns as pairs, in key order. Where a key column goes to several target columns, the
    /// first is meant.
    pub fn key_columns(&self) -> impl Iterator<Item = &ColumnPair> {
        self.key.iter().filter_map(|key| self.columns.iter().find(|c| &c.source == key))
    }

    /// The target columns by which a key's row is found, each with where its value is staged: the key's
    /// columns in key order, then the constant ones, which tell this table's rows from others' in a
    /// target that several tables share.
    pub fn matched(&self) -> impl Iterator<Item = (&ColumnPair, Staged)> {
        let key = self.key.iter().enumerate().filter_map(|(k, name)| {
            let (c, pair) = self.columns.iter().enumerate().find(|(_, pair)| &pair.source == name)?;
            Some((pair, if pair.expression.is_some() { Staged::Carried(c) } else { Staged::Key(k) }))
        });
        let constant = |(c, pair)| (pair, Staged::Carried(c));
        key.chain(self.columns.iter().enumerate().filter(|(_, pair)| pair.is_constant()).map(constant))
    }

    /// The constant columns with their SQL: only rows that have these values are this table's own.
    pub fn constants(&self) -> impl Iterator<Item = (&str, &str)> {
        self.columns
            .iter()
            .filter(|c| c.is_constant())
            .filter_map(|c| Some((c.target.as_str(), c.expression.as_deref()?)))
    }

    /// The columns of `changed`: the source's names, each with its type there and where it is staged.
    pub fn changed(&self) -> Vec<(&str, &str, Staged)> {
        let key = self.key.iter().enumerate().filter_map(|(k, name)| {
            let pair = self.columns.iter().find(|c| &c.source == name)?;
            Some((name.as_str(), pair.source_type.as_str(), Staged::Key(k)))
        });
        let mut all: Vec<(&str, &str, Staged)> = key.collect();
        let plain = self.columns.iter().enumerate().filter(|(_, c)| c.expression.is_none());
        for (c, pair) in plain {
            if !all.iter().any(|(name, ..)| *name == pair.source) {
                all.push((&pair.source, &pair.source_type, Staged::Carried(c)));
            }
        }
        let also = self.rule.also.iter().enumerate();
        all.extend(also.map(|(a, c)| (c.name.as_str(), c.type_name.as_str(), Staged::Also(a))));
        all
    }
}

/// What the way back would do with a table: from its target to its source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inverse {
    /// The columns that can be carried back as they are, with both sides swapped.
    pub columns: Vec<ColumnPair>,
    /// Source columns whose value can't be had from the target's row, by what is known here.
    pub lost: Vec<String>,
}

impl TablePlan {
    /// The inverse of what is done with the table. A column that is carried as it is can go back; what an
    /// expression, a lookup or a command made of one can't.
    pub fn inverse(&self) -> Inverse {
        let is_plain = |c: &&ColumnPair| c.expression.is_none() && self.rule.transform.is_none();
        let back = |c: &ColumnPair| ColumnPair::plain(&c.target, &c.target_type, &c.source, &c.source_type);
        let columns: Vec<ColumnPair> = self.columns.iter().filter(is_plain).map(back).collect();
        let read = self.columns.iter().map(|c| &c.source).chain(&self.rule.reads);
        let read = read.chain(self.rule.also.iter().map(|c| &c.name));
        let mut lost: Vec<String> = read
            .filter(|name| !name.is_empty() && !columns.iter().any(|c| &c.target == *name))
            .cloned()
            .collect();
        lost.sort();
        lost.dedup();
        Inverse { columns, lost }
    }
}

/// Where a value is staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staged {
    /// Among the key's columns, in key order.
    Key(usize),
    /// Among [`TablePlan::columns`].
    Carried(usize),
    /// Among [`Rule::also`].
    Also(usize),
}

/// One carried column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPair {
    /// Its name on the source; empty where an expression stands for no column in particular.
    pub source: String,
    /// SQL on the source row that gives the value in place of the column.
    pub expression: Option<String>,
    /// When it is written.
    pub on: On,
    /// Its name on the target.
    pub target: String,
    /// Its full type on the source.
    pub source_type: String,
    /// Its full type on the target.
    pub target_type: String,
    /// Whether its values may change.
    #[serde(default, skip_serializing_if = "Fidelity::is_exact")]
    pub fidelity: Fidelity,
}

impl ColumnPair {
    /// A column that is carried as it is.
    pub fn plain(source: &str, source_type: &str, target: &str, target_type: &str) -> Self {
        ColumnPair {
            source: source.to_string(),
            expression: None,
            on: On::Always,
            target: target.to_string(),
            source_type: source_type.to_string(),
            target_type: target_type.to_string(),
            fidelity: Fidelity::Exact,
        }
    }

    /// Whether it has one and the same value in every row.
    pub fn is_constant(&self) -> bool {
        self.on == On::Always && self.expression.as_deref().is_some_and(sql::is_literal)
    }
}
