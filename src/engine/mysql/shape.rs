//! The columns of a target table as they are now.

use super::session::{Session, flag, maybe, text};
use super::value::{join, literal, quote};
use crate::error::{Error, Result};
use crate::model::TableName;

/// A column of a target table.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its name as SQL.
    pub(super) name: String,
    /// Its type as the server writes it, without character set.
    kind: String,
    /// Character set and collation.
    characters: Option<(String, String)>,
    /// Whether the server computes it: it can't be written.
    pub(super) computed: bool,
    /// Whether each UPDATE that does not name it sets it to the time.
    pub(super) touched: bool,
}

impl Column {
    /// The column as a temporary table has it: holds whatever the column holds, exactly. Strings of any
    /// length are LONG ones, since the definition of a row is limited to 64 KB.
    pub(super) fn declared(&self) -> String {
        let word = self.kind.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let kind = match word {
            "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => "longtext",
            "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => "longblob",
            _ => &self.kind,
        };
        let characters = match &self.characters {
            Some((set, collation)) => format!(" CHARACTER SET {set} COLLATE {collation}"),
            None => String::new(),
        };
        // NULL is said: a TIMESTAMP would be NOT NULL by default on some servers.
        format!("{kind}{characters} NULL")
    }

    /// Its full type.
    pub(super) fn type_name(&self) -> String {
        let characters = self.characters.as_ref();
        let characters =
            characters.map(|(set, collation)| format!(" CHARACTER SET {set} COLLATE {collation}"));
        format!("{}{}", self.kind, characters.unwrap_or_default())
    }

    /// As [`Column::digest`], the same too where the column goes from latin1 to Unicode.
    pub(super) fn steady_digest(&self, row: &str) -> String {
        let is_latin = self.characters.as_ref().is_some_and(|(set, _)| set == "latin1");
        let is_text = !self.kind.starts_with("enum") && !self.kind.starts_with("set");
        if is_latin && is_text {
            return format!("COALESCE(SHA2(CONVERT({row}.{} USING utf8mb4), 256), '-')", self.name);
        }
        self.digest(row)
    }

    /// The same under another name, given as SQL.
    pub(super) fn named(&self, name: String) -> Self {
        Column { name, ..self.clone() }
    }

    /// A hash of the column's value in `row`, which tells apart what an equals sign does not: 'a' and
    /// 'A', trailing spaces, 0 and -0.
    pub(super) fn digest(&self, row: &str) -> String {
        let column = format!("{row}.{}", self.name);
        let word = self.kind.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let exact = match word {
            "float" => format!("CAST(CAST({column} AS DOUBLE) AS CHAR)"),
            "enum" | "bit" => format!("CAST({column}+0 AS CHAR)"),
            // Adding 0 would lose digits of 64 members.
            "set" => format!("CAST(CAST({column} AS UNSIGNED) AS CHAR)"),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "binary" | "varbinary"
            | "tinyblob" | "blob" | "mediumblob" | "longblob" => column,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" | "vector" => column,
            _ => format!("CAST({column} AS CHAR)"),
        };
        format!("COALESCE(SHA2({exact}, 256), '-')")
    }
}

/// A target table as it is now.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The table as SQL.
    pub(super) table: String,
    /// All its columns, hidden ones too.
    pub(super) columns: Vec<Column>,
}

impl Shape {
    /// Reads the shape of the target table `table`, which can't be altered from here to the end of the
    /// transaction.
    ///
    /// # Errors
    /// [`crate::error::Kind::Table`] when the table is gone.
    pub(super) async fn read(session: &mut Session, table: &TableName) -> Result<Self> {
        let name = &table.name;
        session.query(format!("SELECT 1 FROM {} LIMIT 0", quote(name))).await?;
        let sql = include_str!("../../../sql/mysql/shape.sql");
        let sql = crate::engine::template::fill(sql, &[("table", &literal(name))]);
        let rows = session.query(sql).await?;
        if rows.is_empty() {
            return Err(Error::table(format!("{}: table {} can't be seen", session.place, table))
                .remedy("let highwater's user read and write it"));
        }
        let column = |row: &crate::engine::Record| {
            Ok(Column {
                name: quote(text(row, 0)?),
                kind: text(row, 1)?.to_string(),
                characters: maybe(row, 2).zip(maybe(row, 3)).map(|(s, c)| (s.to_string(), c.to_string())),
                computed: flag(row, 4),
                touched: flag(row, 5),
            })
        };
        Ok(Shape { table: quote(name), columns: rows.iter().map(column).collect::<Result<_>>()? })
    }

    /// The column of that name.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        let name = quote(name);
        self.columns
            .iter()
            .find(|c| c.name == name)
            .or_else(|| self.columns.iter().find(|c| c.name.to_lowercase() == name.to_lowercase()))
    }

    /// The columns that can be written.
    pub(super) fn written(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| !c.computed)
    }

    /// A hash of what `row` holds in `columns`.
    pub(super) fn digest(columns: &[&Column], row: &str) -> String {
        let parts = join(columns.iter().map(|c| c.digest(row)), ", ");
        format!("UNHEX(SHA2(CONCAT({parts}), 256))")
    }
}
