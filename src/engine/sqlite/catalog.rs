//! The schema of a file as SQLite keeps it, read in one transaction.

use std::collections::HashMap;

use sqlx::sqlite::{SqliteArguments, SqliteRow};

use super::connect::Session;
use super::parse;
use super::value::{integer, text};
use crate::model::quote;

/// What highwater's own tables begin with, whatever the migration.
const OWN: [&str; 2] = ["highwater_capture", "highwater_ledger"];

/// Whether a name belongs to some migration of highwater.
pub(super) fn is_own(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OWN.iter().any(|own| name == *own || name.strip_prefix(own).is_some_and(|rest| rest.starts_with('_')))
}

/// The schema.
#[derive(Debug)]
pub(super) struct Catalog {
    /// `PRAGMA schema_version`: another one with every change.
    pub(super) version: i64,
    /// All tables but SQLite's own, highwater's among them, in the order in which they were made.
    pub(super) tables: Vec<Shape>,
    /// All that has a text of its own.
    pub(super) entries: Vec<Entry>,
}

/// A row of `sqlite_schema`.
#[derive(Debug)]
pub(super) struct Entry {
    /// `table`, `index`, `view`, `trigger`.
    pub(super) kind: String,
    /// Its name.
    pub(super) name: String,
    /// The table it belongs to.
    pub(super) table: String,
    /// Its place in the order of creation.
    pub(super) order: i64,
    /// Its text.
    pub(super) sql: String,
}

/// What sort of table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// An ordinary one.
    Ordinary,
    /// A module keeps its rows.
    Virtual,
    /// A module keeps its rows *in* it.
    Shadow,
}

/// A table.
#[derive(Debug)]
pub(super) struct Shape {
    /// Its name.
    pub(super) name: String,
    /// Its sort.
    pub(super) sort: Sort,
    /// Its place in the order of creation.
    pub(super) order: i64,
    /// Its text.
    pub(super) sql: String,
    /// Whether its types are enforced.
    pub(super) strict: bool,
    /// Whether it has no rowid.
    pub(super) without_rowid: bool,
    /// Its columns.
    pub(super) columns: Vec<ShapeColumn>,
    /// The column that is another name of the rowid (INTEGER PRIMARY KEY).
    pub(super) rowid_column: Option<String>,
    /// Its unique indexes, the primary key's among them unless that is the rowid.
    pub(super) unique: Vec<Unique>,
    /// Its foreign keys.
    pub(super) foreign_keys: Vec<Reference>,
}

/// A column.
#[derive(Debug)]
pub(super) struct ShapeColumn {
    /// Its name.
    pub(super) name: String,
    /// Its declared type; may be empty.
    pub(super) declared: String,
    /// Whether NULL is refused.
    pub(super) not_null: bool,
    /// Its default, as SQL.
    pub(super) default: Option<String>,
    /// Its place in the primary key, from 1; 0 outside.
    pub(super) key_place: i64,
    /// Whether SQLite computes it.
    pub(super) computed: bool,
}

/// A unique index.
#[derive(Debug)]
pub(super) struct Unique {
    /// Its name.
    pub(super) name: String,
    /// Whether it is the primary key's.
    pub(super) primary: bool,
    /// Its terms.
    pub(super) terms: Vec<Term>,
    /// Whether it leaves rows out.
    pub(super) partial: bool,
    /// Its text, unless a constraint made it.
    pub(super) sql: Option<String>,
}

/// A term of an index.
#[derive(Debug)]
pub(super) struct Term {
    /// The column; `None` for an expression.
    pub(super) column: Option<String>,
    /// The collation by which it compares.
    pub(super) collation: String,
}

/// A foreign key.
#[derive(Debug)]
pub(super) struct Reference {
    /// The table referred to.
    pub(super) parent: String,
    /// Pairs of column and parent column (`None`: the parent's primary key).
    pub(super) columns: Vec<(String, Option<String>)>,
}

/// A key column and the collation by which it compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyColumn {
    /// Its name.
    pub(super) name: String,
    /// ` COLLATE "..."` to be put behind the other side; empty for the rowid.
    pub(super) collate: String,
    /// Whether it is never NULL.
    pub(super) sure: bool,
}

impl Catalog {
    /// Reads the schema in the session's transaction.
    pub(super) async fn read(session: &mut Session, version: i64) -> Result<Self, sqlx::Error> {
        let none = SqliteArguments::default;
        let tables = session.all(include_str!("../../../sql/sqlite/schema_tables.sql"), none()).await?;
        let columns = session.all(include_str!("../../../sql/sqlite/schema_columns.sql"), none()).await?;
        let unique = session.all(include_str!("../../../sql/sqlite/schema_unique.sql"), none()).await?;
        let references =
            session.all(include_str!("../../../sql/sqlite/schema_foreign_keys.sql"), none()).await?;
        let others = session.all(include_str!("../../../sql/sqlite/schema_others.sql"), none()).await?;
        let mut columns = grouped(&columns)?;
        let mut unique = grouped(&unique)?;
        let mut references = grouped(&references)?;
        let mut shapes = Vec::with_capacity(tables.len());
        for row in &tables {
            let name = text(row, 0)?;
            let columns = columns.remove(&name).unwrap_or_default();
            let unique = unique.remove(&name).unwrap_or_default();
            let references = references.remove(&name).unwrap_or_default();
            shapes.push(Shape::of(row, name, &columns, &unique, &references)?);
        }
        let entries = others.iter().map(Entry::of).collect::<Result<_, _>>()?;
        Ok(Catalog { version, tables: shapes, entries })
    }

    /// The table of exactly that name.
    pub(super) fn table(&self, name: &str) -> Option<&Shape> {
        self.tables.iter().find(|t| t.name == name)
    }

    /// The users' tables that rows are written to: no module's, none of highwater's.
    pub(super) fn user_tables(&self) -> impl Iterator<Item = &Shape> {
        self.tables.iter().filter(|t| t.sort == Sort::Ordinary && !is_own(&t.name))
    }

    /// The trigger or view of that name.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.is_bound() && e.name == name)
    }

    /// The users' triggers on a table.
    pub(super) fn user_triggers<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(move |e| e.kind == "trigger" && e.table.eq_ignore_ascii_case(table) && !is_own(&e.name))
    }
}

fn grouped(rows: &[SqliteRow]) -> Result<HashMap<String, Vec<&SqliteRow>>, sqlx::Error> {
    let mut groups: HashMap<String, Vec<&SqliteRow>> = HashMap::new();
    for row in rows {
        groups.entry(text(row, 0)?).or_default().push(row);
    }
    Ok(groups)
}

impl Entry {
    /// Whether it is a trigger or a view, which stand in one order.
    pub(super) fn is_bound(&self) -> bool {
        matches!(self.kind.as_str(), "trigger" | "view")
    }

    /// The statement that removes a trigger or view.
    pub(super) fn remove(&self) -> String {
        format!("DROP {} {}", self.kind, quote(&self.name))
    }

    fn of(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Entry {
            kind: text(row, 0)?,
            name: text(row, 1)?,
            table: text(row, 2)?,
            order: integer(row, 3)?,
            sql: text(row, 4)?,
        })
    }
}

impl Shape {
    fn of(
        row: &SqliteRow,
        name: String,
        columns: &[&SqliteRow],
        unique: &[&SqliteRow],
        references: &[&SqliteRow],
    ) -> Result<Self, sqlx::Error> {
        let without_rowid = integer(row, 4)? != 0;
        let sort = match text(row, 3)?.as_str() {
            "virtual" => Sort::Virtual,
            "shadow" => Sort::Shadow,
            _ => Sort::Ordinary,
        };
        let columns = columns.iter().map(|c| ShapeColumn::of(c)).collect::<Result<Vec<_>, _>>()?;
        let unique = Unique::all(unique)?;
        let mut shape = Shape {
            name,
            sort,
            order: integer(row, 1)?,
            sql: text(row, 2)?,
            strict: integer(row, 5)? != 0,
            without_rowid,
            columns,
            rowid_column: None,
            unique,
            foreign_keys: Reference::all(references)?,
        };
        shape.find_rowid_column();
        Ok(shape)
    }

    /// A primary key of one column without an index of its own is the rowid.
    fn find_rowid_column(&mut self) {
        let mut key = self.columns.iter().filter(|c| c.key_place > 0);
        let alone = (key.next(), key.next());
        if let (Some(column), None) = alone
            && !self.without_rowid
            && !self.unique.iter().any(|u| u.primary)
        {
            self.rowid_column = Some(column.name.clone());
        }
    }

    /// The column of exactly that name.
    pub(super) fn column(&self, name: &str) -> Option<&ShapeColumn> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Whether a column refuses NULL. A primary key does so only for the rowid, WITHOUT ROWID, or when
    /// it says so.
    pub(super) fn is_not_null(&self, column: &ShapeColumn) -> bool {
        column.not_null
            || (column.key_place > 0 && self.without_rowid)
            || self.rowid_column.as_deref() == Some(&column.name)
    }

    /// The primary key's columns in order, if every row has a key by them.
    pub(super) fn primary_key(&self) -> Vec<String> {
        if let Some(column) = &self.rowid_column {
            return vec![column.clone()];
        }
        match self.unique.iter().find(|u| u.primary) {
            Some(index) if self.is_key(index) => index.columns().unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn is_key(&self, index: &Unique) -> bool {
        let sure = |name: &String| self.column(name).is_some_and(|c| self.is_not_null(c) && !c.computed);
        !index.partial && index.columns().is_some_and(|columns| columns.iter().all(sure))
    }

    /// A column's declared type, with the collation by which it tells keys apart where that is not the
    /// comparison of bytes.
    pub(super) fn type_name(&self, column: &ShapeColumn) -> String {
        let terms = self.unique.iter().filter(|u| self.is_key(u)).flat_map(|u| &u.terms);
        let mut collations =
            terms.filter(|t| t.column.as_deref() == Some(&column.name)).map(|t| &t.collation);
        match collations.find(|c| !c.eq_ignore_ascii_case("BINARY")) {
            Some(collation) => format!("{} COLLATE {collation}", column.declared).trim_start().to_string(),
            None => column.declared.clone(),
        }
    }

    /// The columns of `key` with the collations by which this table tells keys apart; `None` when no
    /// unique index does.
    pub(super) fn key_columns(&self, key: &[&str]) -> Option<Vec<KeyColumn>> {
        if let ([one], Some(rowid)) = (key, &self.rowid_column)
            && one == rowid
        {
            return Some(vec![KeyColumn { name: rowid.clone(), collate: String::new(), sure: true }]);
        }
        let index = self.key_index(key)?;
        let collation = |k: &str| {
            let term = index.terms.iter().find(|t| t.column.as_deref() == Some(k));
            term.map_or_else(|| "BINARY".to_string(), |t| t.collation.clone())
        };
        Some(
            key.iter()
                .map(|k| KeyColumn {
                    name: (*k).to_string(),
                    collate: format!(" COLLATE {}", quote(&collation(k))),
                    sure: true,
                })
                .collect(),
        )
    }

    /// As [`Shape::key_columns`], also for columns that the operator says tell rows apart: those of some
    /// key by its collation, others as bytes. `None` when one is missing.
    pub(super) fn told_apart(&self, names: &[&str]) -> Option<Vec<KeyColumn>> {
        if let Some(columns) = self.key_columns(names) {
            return Some(columns);
        }
        let column = |name: &&str| {
            let found = self.column(name)?;
            let collate = self.key_collation(name);
            Some(KeyColumn {
                name: (*name).to_string(),
                collate: collate.unwrap_or_else(|| " COLLATE \"BINARY\"".to_string()),
                sure: self.is_not_null(found),
            })
        };
        names.iter().map(column).collect()
    }

    /// The collation of a column that is part of some key, as in [`KeyColumn`].
    pub(super) fn key_collation(&self, name: &str) -> Option<String> {
        if self.rowid_column.as_deref() == Some(name) {
            return Some(String::new());
        }
        let terms = self.unique.iter().filter(|u| self.is_key(u)).flat_map(|u| &u.terms);
        let mut terms = terms.filter(|t| t.column.as_deref() == Some(name));
        terms.next().map(|t| format!(" COLLATE {}", quote(&t.collation)))
    }

    /// The unique index by which rows of that key are told apart; `None` when it is the rowid.
    pub(super) fn key_index(&self, key: &[&str]) -> Option<&Unique> {
        let fits = |u: &&Unique| {
            self.is_key(u)
                && u.terms.len() == key.len()
                && key.iter().all(|k| u.terms.iter().any(|t| t.column.as_deref() == Some(k)))
        };
        self.unique.iter().find(fits)
    }

    /// A name by which the hidden rowid can be reached; columns of that name hide it.
    pub(super) fn rowid(&self) -> Option<&'static str> {
        let taken = |name: &str| self.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
        if self.without_rowid {
            return None;
        }
        ["rowid", "_rowid_", "oid"].into_iter().find(|name| !taken(name))
    }

    /// The columns that tell a row of this table for sure, as SQL: the rowid, else a key. None when
    /// columns hide all names of the rowid and there is no key.
    pub(super) fn row_identity(&self) -> Vec<String> {
        match (&self.rowid_column, self.rowid()) {
            (Some(column), _) => vec![quote(column)],
            (None, Some(rowid)) => vec![rowid.to_string()],
            (None, None) => {
                let key = self.unique.iter().find(|u| self.is_key(u)).and_then(Unique::columns);
                key.unwrap_or_default().iter().map(|c| quote(c)).collect()
            }
        }
    }

    /// The columns that a statement may write.
    pub(super) fn written_columns(&self) -> impl Iterator<Item = &ShapeColumn> {
        self.columns.iter().filter(|c| !c.computed)
    }

    /// What SQLite makes of values stored in a column, as a type that gives another column the same.
    pub(super) fn affinity(&self, column: &ShapeColumn) -> &'static str {
        if self.strict && column.declared.eq_ignore_ascii_case("ANY") {
            return "BLOB";
        }
        affinity(&column.declared)
    }

    /// Whether ids are never used again.
    pub(super) fn is_autoincrement(&self) -> bool {
        self.rowid_column.is_some() && parse::is_autoincrement(&self.sql)
    }
}

/// What SQLite makes of values in a column that is declared so.
pub(super) fn affinity(declared: &str) -> &'static str {
    let declared = declared.to_ascii_uppercase();
    let has = |word: &str| declared.contains(word);
    if has("INT") {
        "INTEGER"
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        "TEXT"
    } else if declared.is_empty() || has("BLOB") {
        "BLOB"
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        "REAL"
    } else {
        "NUMERIC"
    }
}

impl ShapeColumn {
    fn of(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(ShapeColumn {
            name: text(row, 1)?,
            declared: text(row, 2)?,
            not_null: integer(row, 3)? != 0,
            default: Some(text(row, 4)?).filter(|sql| !sql.is_empty()),
            key_place: integer(row, 5)?,
            computed: integer(row, 6)? >= 2,
        })
    }
}

impl Unique {
    fn all(rows: &[&SqliteRow]) -> Result<Vec<Self>, sqlx::Error> {
        let mut found: Vec<Unique> = Vec::new();
        for row in rows {
            let name = text(row, 1)?;
            let column = text(row, 5)?;
            let term = Term { column: (integer(row, 4)? >= 0).then_some(column), collation: text(row, 6)? };
            match found.last_mut().filter(|u| u.name == name) {
                Some(index) => index.terms.push(term),
                None => found.push(Unique {
                    primary: text(row, 2)? == "pk",
                    partial: integer(row, 3)? != 0,
                    sql: Some(text(row, 7)?).filter(|sql| !sql.is_empty()),
                    terms: vec![term],
                    name,
                }),
            }
        }
        Ok(found)
    }

    /// Its columns, when it has no expression.
    pub(super) fn columns(&self) -> Option<Vec<String>> {
        self.terms.iter().map(|t| t.column.clone()).collect()
    }

    /// Whether it covers every row, by columns only.
    pub(super) fn is_plain(&self) -> bool {
        !self.partial && self.terms.iter().all(|t| t.column.is_some())
    }
}

impl Reference {
    fn all(rows: &[&SqliteRow]) -> Result<Vec<Self>, sqlx::Error> {
        let mut found: Vec<(i64, Reference)> = Vec::new();
        for row in rows {
            let id = integer(row, 1)?;
            let to = text(row, 4)?;
            let pair = (text(row, 3)?, (!to.is_empty()).then_some(to));
            match found.last_mut().filter(|(last, _)| *last == id) {
                Some((_, reference)) => reference.columns.push(pair),
                None => found.push((id, Reference { parent: text(row, 2)?, columns: vec![pair] })),
            }
        }
        Ok(found.into_iter().map(|(_, reference)| reference).collect())
    }
}
