//! Where rows wait inside the target: temporary tables, and the statements between them and the table.
//!
//! Staged columns have no type, so that values wait as they came. Keys compare by the target's rules:
//! its column stands on the left, whose type counts, and its index's collation is written behind.

use sqlx::sqlite::SqliteArguments;

use super::capture::{key_names, same_key};
use super::catalog::{KeyColumn, Shape};
use super::connect::Session;
use super::value;
use crate::error::{Error, Result};
use crate::model::{TablePlan, Value, quote};

/// How many variables one statement may have.
const MOST_VARIABLES: usize = 32_766;

/// How many rows go into one INSERT: few sizes, so that the statements stay prepared.
const SIZES: [usize; 3] = [64, 8, 1];

/// A target table with its temporary tables.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    /// The table, as SQL.
    table: String,
    /// The carried columns, as SQL.
    carried: Vec<String>,
    /// All columns that can be written, as SQL; the hidden rowid first, where rows are told by it.
    whole: Vec<String>,
    key: Vec<KeyColumn>,
    /// What tells a row, as SQL.
    identity: Vec<String>,
    /// The staged rows.
    stage: String,
    /// Rows lifted out.
    lifted: String,
}

impl Staging {
    /// For the rows of `table`, which the target has in that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape) -> Self {
        let names: Vec<&str> = table.key_columns().map(|c| c.target.as_str()).collect();
        // While a copy makes the table, its key's index may come after the rows.
        let key = shape.key_columns(&names).unwrap_or_else(|| {
            let collate = |kind: &str| kind.rsplit_once("COLLATE ").map_or("BINARY", |(_, c)| c).to_string();
            let column = |c: &crate::model::ColumnPair| KeyColumn {
                name: c.target.clone(),
                collate: format!(" COLLATE {}", quote(&collate(&c.source_type))),
            };
            table.key_columns().map(column).collect()
        });
        let carried: Vec<String> = table.columns.iter().map(|c| quote(&c.target)).collect();
        let hidden = if shape.rowid_column.is_none() { shape.rowid() } else { None };
        let written = shape.written_columns().map(|c| quote(&c.name));
        let whole: Vec<String> = hidden.map(ToString::to_string).into_iter().chain(written).collect();
        let name = |of: &str, columns: usize| {
            format!("temp.{}", quote(&format!("hw_{of}_{}_{columns}_{}", key.len(), shape.name)))
        };
        Staging {
            table: format!("main.{}", quote(&shape.name)),
            stage: name("stage", carried.len()),
            lifted: name("lifted", whole.len()),
            identity: shape.row_identity(),
            key,
            carried,
            whole,
        }
    }

    /// The temporary tables.
    pub(super) fn tables(&self) -> [&str; 2] {
        [&self.stage, &self.lifted]
    }

    /// Makes the temporary tables, and empties them.
    pub(super) async fn make(&self, session: &mut Session) -> Result<(), sqlx::Error> {
        let columns =
            |letter: &str, count: usize| (1..=count).map(|n| format!(", {letter}{n}")).collect::<String>();
        let keys = columns("k", self.key.len());
        let stage = format!("hw_n INTEGER PRIMARY KEY, hw_present{keys}{}", columns("c", self.carried.len()));
        let lifted = format!("hw_n INTEGER PRIMARY KEY{}", columns("c", self.whole.len()));
        for (table, columns) in [(&self.stage, stage), (&self.lifted, lifted)] {
            session.run(format!("CREATE TABLE IF NOT EXISTS {table} ({columns})")).await?;
            session.run(format!("DELETE FROM {table}")).await?;
        }
        Ok(())
    }

    /// What fills the stage.
    pub(super) fn filler(&self) -> Filler {
        Filler::new(&format!("INSERT INTO {}", self.stage), 2 + self.key.len() + self.carried.len())
    }

    /// What fills the table.
    pub(super) fn loader(&self) -> Filler {
        // The statement's own OR counts for more than an ON CONFLICT of the table's definition, which
        // might remove rows, skip them or roll everything back.
        let into = format!("INSERT OR ABORT INTO {} ({})", self.table, self.carried.join(", "));
        Filler::new(&into, self.carried.len())
    }

    /// All numbers in the stage.
    pub(super) fn numbers(&self) -> String {
        format!("SELECT hw_n FROM {} ORDER BY hw_n", self.stage)
    }

    /// Numbers and keys of the stage, those in the list `?1`.
    pub(super) fn keys(&self) -> String {
        format!(
            "SELECT hw_n, {} FROM {} WHERE hw_n IN (SELECT value FROM json_each(?1))",
            key_names("", self.key.len()),
            self.stage
        )
    }

    /// Deletes the rows of keys that are absent.
    pub(super) fn delete_absent(&self, pick: Pick<'_>) -> String {
        self.delete(&format!("NOT s.hw_present{}", pick.condition()))
    }

    /// Deletes the rows of keys.
    pub(super) fn delete_found(&self, pick: Pick<'_>) -> String {
        self.delete(&format!("1{}", pick.condition()))
    }

    fn delete(&self, condition: &str) -> String {
        let found = value::join(self.identity.iter().map(|c| format!("t.{c}")), ", ");
        format!(
            "DELETE FROM {} WHERE ({}) IN (SELECT {found} FROM {} AS s JOIN {} AS t ON {} WHERE {condition})",
            self.table,
            self.identity.join(", "),
            self.stage,
            self.table,
            self.same()
        )
    }

    /// Updates the rows of keys that are present, in place.
    pub(super) fn update_present(&self, pick: Pick<'_>) -> String {
        let set = self.carried.iter().enumerate().map(|(i, c)| format!("{c} = s.c{}", i + 1));
        format!(
            "UPDATE OR ABORT {} AS t SET {} FROM {} AS s WHERE s.hw_present AND {}{}",
            self.table,
            value::join(set, ", "),
            self.stage,
            self.same(),
            pick.condition()
        )
    }

    /// Inserts the rows of keys that are present and not in the table.
    pub(super) fn insert_present(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} AS s WHERE s.hw_present{} \
             AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
            self.table,
            self.carried.join(", "),
            value::join((1..=self.carried.len()).map(|n| format!("s.c{n}")), ", "),
            self.stage,
            pick.condition(),
            self.table,
            self.same()
        )
    }

    /// Keeps the rows of keys, whole, as they are.
    pub(super) fn keep_found(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT INTO {} SELECT s.hw_n, {} FROM {} AS s JOIN {} AS t ON {} WHERE 1{}",
            self.lifted,
            value::join(self.whole.iter().map(|c| format!("t.{c}")), ", "),
            self.stage,
            self.table,
            self.same(),
            pick.condition()
        )
    }

    /// Puts kept rows of keys that are present back, with their carried columns as staged.
    pub(super) fn put_changed(&self, pick: Pick<'_>) -> String {
        let column = |(i, whole): (usize, &String)| match self.carried.iter().position(|c| c == whole) {
            Some(staged) => format!("s.c{}", staged + 1),
            None => format!("l.c{}", i + 1),
        };
        format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} AS s JOIN {} AS l USING (hw_n) WHERE s.hw_present{}",
            self.table,
            self.whole.join(", "),
            value::join(self.whole.iter().enumerate().map(column), ", "),
            self.stage,
            self.lifted,
            pick.condition()
        )
    }

    /// Puts kept rows back as they were.
    pub(super) fn put_unchanged(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} AS s WHERE 1{}",
            self.table,
            self.whole.join(", "),
            value::join((1..=self.whole.len()).map(|n| format!("s.c{n}")), ", "),
            self.lifted,
            pick.condition()
        )
    }

    /// How many kept rows have a key that is absent.
    pub(super) fn count_gone(&self, pick: Pick<'_>) -> String {
        format!(
            "SELECT count(*) FROM {} AS s JOIN {} AS l USING (hw_n) WHERE NOT s.hw_present{}",
            self.stage,
            self.lifted,
            pick.condition()
        )
    }

    /// Forgets kept rows.
    pub(super) fn forget(&self, pick: Pick<'_>) -> String {
        format!("DELETE FROM {} AS s WHERE 1{}", self.lifted, pick.condition())
    }

    fn same(&self) -> String {
        same_key(&self.key, "t", "s")
    }
}

/// Which of the staged numbers a statement is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick<'a>(pub(super) Option<&'a [i64]>);

impl Pick<'_> {
    fn condition(self) -> &'static str {
        match self.0 {
            None => "",
            Some(_) => " AND s.hw_n IN (SELECT value FROM json_each(?1))",
        }
    }

    /// The list that the condition speaks of.
    pub(super) fn args(self) -> Result<SqliteArguments, sqlx::Error> {
        match self.0 {
            None => Ok(SqliteArguments::default()),
            Some(numbers) => value::texts(&[&list(numbers)]),
        }
    }
}

/// Numbers as a JSON list.
pub(super) fn list(numbers: &[i64]) -> String {
    format!("[{}]", value::join(numbers.iter().map(i64::to_string), ","))
}

/// Inserts rows, many with one statement.
pub(super) struct Filler {
    into: String,
    width: usize,
    statements: Vec<(usize, String)>,
}

impl Filler {
    /// `into` is all before VALUES.
    pub(super) fn new(into: &str, width: usize) -> Self {
        let row = format!("({})", vec!["?"; width.max(1)].join(", "));
        let most = (MOST_VARIABLES / width.max(1)).max(1);
        let statement =
            |size: usize| (size, format!("{into} VALUES {}", vec![row.as_str(); size].join(", ")));
        let statements = SIZES.into_iter().filter(|size| *size <= most).map(statement).collect();
        Filler { into: into.to_string(), width, statements }
    }

    /// Inserts the rows.
    pub(super) async fn insert(
        &self,
        session: &mut Session,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), sqlx::Error> {
        let (plain, odd): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.iter().all(value::binds));
        let mut plain = plain.into_iter();
        for (size, sql) in &self.statements {
            while plain.len() >= *size {
                let mut args = SqliteArguments::default();
                for part in plain.by_ref().take(*size).flatten() {
                    value::bind(&mut args, part)?;
                }
                session.run_with(sql.clone(), args).await?;
            }
        }
        for row in odd {
            self.insert_odd(session, row).await?;
        }
        Ok(())
    }

    /// A row with text that is not UTF-8.
    async fn insert_odd(&self, session: &mut Session, row: Vec<Value>) -> Result<(), sqlx::Error> {
        let places: Vec<&str> = row.iter().map(value::placeholder).collect();
        let sql = format!("{} VALUES ({})", self.into, places.join(", "));
        let mut args = SqliteArguments::default();
        for part in row {
            value::bind(&mut args, part)?;
        }
        session.run_with(sql, args).await?;
        Ok(())
    }

    /// Fails unless the rows have the width of the statement.
    pub(super) fn check(&self, rows: &[Vec<Value>]) -> Result<()> {
        match rows.iter().find(|row| row.len() != self.width) {
            Some(row) => {
                Err(Error::failed(format!("a row of {} values where {} belong", row.len(), self.width)))
            }
            None => Ok(()),
        }
    }
}
