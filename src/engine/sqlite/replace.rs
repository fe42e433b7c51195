//! Whole tables: pruning by a list of keys, and making a keyless table hold just some rows.

use sqlx::sqlite::SqliteArguments;

use super::capture::{key_names, same_key};
use super::catalog::{KeyColumn, Shape};
use super::connect::Session;
use super::stage::Filler;
use super::value;
use crate::model::{Applied, TablePlan, quote};

/// The keys that may stay.
pub(super) struct Keys {
    table: String,
    key: Vec<KeyColumn>,
    columns: Vec<&'static str>,
}

const KEYS: &str = "temp.hw_keys";

impl Keys {
    /// Of a target table of that shape; `None` when it has no such key.
    pub(super) fn new(table: &TablePlan, shape: &Shape) -> Option<Self> {
        let names: Vec<&str> = table.key_columns().map(|c| c.target.as_str()).collect();
        let key = shape.key_columns(&names).filter(|key| !key.is_empty())?;
        let kind = |k: &KeyColumn| shape.column(&k.name).map(|c| shape.affinity(c));
        let columns = key.iter().map(kind).collect::<Option<Vec<_>>>()?;
        Some(Keys { table: format!("main.{}", quote(&shape.name)), key, columns })
    }

    /// Makes an empty list. Its columns are typed like the table's: else its index is of no use.
    pub(super) async fn make(&self, session: &mut Session) -> Result<Filler, sqlx::Error> {
        let columns = self.key.iter().zip(&self.columns).enumerate();
        let columns = columns.map(|(i, (k, kind))| format!("k{} {kind}{}", i + 1, k.collate));
        session.run(format!("DROP TABLE IF EXISTS {KEYS}")).await?;
        session.run(format!("CREATE TABLE {KEYS} ({})", value::join(columns, ", "))).await?;
        Ok(Filler::new(&format!("INSERT INTO {KEYS}"), self.key.len()))
    }

    /// Deletes the rows whose key is not on the list, and the list.
    pub(super) async fn prune(&self, session: &mut Session) -> Result<u64, sqlx::Error> {
        let index = format!("CREATE INDEX temp.hw_keys_index ON hw_keys ({})", key_names("", self.key.len()));
        session.run(index).await?;
        let delete = format!(
            "DELETE FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM {KEYS} AS s WHERE {})",
            self.table,
            same_key(&self.key, "t", "s")
        );
        let deleted = session.run(delete).await?;
        session.run(format!("DROP TABLE {KEYS}")).await?;
        Ok(deleted)
    }
}

/// The rows that a keyless table shall hold.
pub(super) struct Rows {
    table: String,
    columns: Vec<String>,
    kinds: Vec<&'static str>,
    identity: Vec<String>,
}

const ROWS: &str = "temp.hw_rows";

impl Rows {
    /// Of a target table of that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape) -> Self {
        let kind = |name: &str| shape.column(name).map_or("BLOB", |c| shape.affinity(c));
        Rows {
            table: format!("main.{}", quote(&shape.name)),
            columns: table.columns.iter().map(|c| quote(&c.target)).collect(),
            kinds: table.columns.iter().map(|c| kind(&c.target)).collect(),
            identity: shape.row_identity(),
        }
    }

    /// Makes an empty list. Its columns are typed like the table's, which then changes nothing more.
    pub(super) async fn make(&self, session: &mut Session) -> Result<Filler, sqlx::Error> {
        let columns = self.kinds.iter().enumerate().map(|(i, kind)| format!("c{} {kind}", i + 1));
        session.run(format!("DROP TABLE IF EXISTS {ROWS}")).await?;
        session.run(format!("CREATE TABLE {ROWS} ({})", value::join(columns, ", "))).await?;
        Ok(Filler::new(&format!("INSERT INTO {ROWS}"), self.columns.len()))
    }

    /// Makes the table hold just the rows of the list: equal rows are numbered on both sides, those
    /// with the same number stay as they are.
    pub(super) async fn replace(&self, session: &mut Session) -> Result<Applied, sqlx::Error> {
        let listed: Vec<String> = (1..=self.columns.len()).map(|n| format!("c{n}")).collect();
        if self.identity.is_empty() {
            return self.replace_all(session, &listed).await;
        }
        let identity: Vec<String> = (1..=self.identity.len()).map(|n| format!("r{n}")).collect();
        let have = value::join(self.identity.iter().zip(&identity).map(|(c, r)| format!("{c} AS {r}")), ", ");
        for (name, from, columns, found) in [
            ("hw_want", ROWS, &listed, "rowid AS r1".to_string()),
            ("hw_have", self.table.as_str(), &self.columns, have),
        ] {
            let content = content(columns);
            session.run(format!("DROP TABLE IF EXISTS temp.{name}")).await?;
            let sql = format!(
                "CREATE TEMP TABLE {name} AS SELECT {found}, content, \
                 row_number() OVER (PARTITION BY content) AS n FROM (SELECT *, {} {content} AS content FROM {from})",
                if name == "hw_want" { "rowid,".to_string() } else { hidden(&self.identity) }
            );
            session.run(sql).await?;
            session.run(format!("CREATE INDEX temp.{name}_index ON {name} (content, n)")).await?;
        }
        let applied = self.apply(session, &identity, &listed).await?;
        for name in ["hw_want", "hw_have", "hw_rows"] {
            session.run(format!("DROP TABLE temp.{name}")).await?;
        }
        Ok(applied)
    }

    /// Where rows can't be told from each other, all of them go.
    async fn replace_all(&self, session: &mut Session, listed: &[String]) -> Result<Applied, sqlx::Error> {
        let deleted = session.run(format!("DELETE FROM {}", self.table)).await?;
        let (columns, listed) = (self.columns.join(", "), listed.join(", "));
        let insert = format!("INSERT OR ABORT INTO {} ({columns}) SELECT {listed} FROM {ROWS}", self.table);
        let inserted = session.run(insert).await?;
        session.run(format!("DROP TABLE {ROWS}")).await?;
        Ok(Applied { inserted, deleted, ..Applied::default() })
    }

    async fn apply(
        &self,
        session: &mut Session,
        identity: &[String],
        listed: &[String],
    ) -> Result<Applied, sqlx::Error> {
        let without = |a: &str, b: &str| {
            format!(
                "FROM temp.{a} AS a WHERE NOT EXISTS (SELECT 1 FROM temp.{b} AS b WHERE b.content = a.content AND b.n = a.n)"
            )
        };
        let delete = format!(
            "DELETE FROM {} WHERE ({}) IN (SELECT {} {})",
            self.table,
            self.identity.join(", "),
            identity.join(", "),
            without("hw_have", "hw_want")
        );
        let deleted = session.run_with(delete, SqliteArguments::default()).await?;
        let insert = format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {ROWS} WHERE rowid IN (SELECT r1 {})",
            self.table,
            self.columns.join(", "),
            listed.join(", "),
            without("hw_want", "hw_have")
        );
        let inserted = session.run_with(insert, SqliteArguments::default()).await?;
        Ok(Applied { inserted, deleted, ..Applied::default() })
    }
}

/// A hidden rowid is not among `*`.
fn hidden(identity: &[String]) -> String {
    match identity {
        [one] if !one.starts_with('"') => format!("{one},"),
        _ => String::new(),
    }
}

/// All values of a row as one text: equal just when class and value of each are. `quote()` ends a text
/// at NUL, so text goes as its bytes.
fn content(columns: &[String]) -> String {
    let value = |c: &String| {
        format!(
            "CASE typeof({c}) WHEN 'text' THEN 't' || hex({c}) WHEN 'blob' THEN 'b' || hex({c}) ELSE quote({c}) END"
        )
    };
    format!("({})", value::join(columns.iter().map(value), " || ',' || "))
}
