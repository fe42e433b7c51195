//! The proof: every row of both sides, read over connections of its own with statements of its own. It
//! shares nothing with highwater's way of reading, so that an error there can't hide here.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Decode, Row, Sqlite, TypeInfo, ValueRef};

use super::link::Link;
use crate::error::{Error, Result};
use crate::settings::Endpoint;

/// How many differences of one table are told.
const TOLD: usize = 5;
/// How many characters of a value are told.
const VALUE_WIDTH: usize = 60;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Tables compared.
    pub(super) tables: u64,
    /// Rows of the source that were compared.
    pub(super) rows: u64,
    /// Rows, or whole tables, that are not the same on both sides.
    pub(super) different: u64,
    /// The first of them in words, a line each.
    pub(super) told: Vec<String>,
}

/// Compares all tables of both sides but highwater's own.
///
/// # Errors
/// When a side can't be read.
pub(super) async fn compare(source: &Endpoint, target: &Endpoint) -> Result<Comparison> {
    let failed = |error: sqlx::Error| Error::failed("the two sides can't be compared").because(error);
    let (mut source, mut target) = (Link::open(source).await?, Link::open(target).await?);
    let here = tables(&mut source).await.map_err(failed)?;
    let there = tables(&mut target).await.map_err(failed)?;
    let mut comparison = Comparison::default();
    for table in &here {
        comparison.tables += 1;
        match there.iter().find(|t| t.name == table.name) {
            Some(same) if same == table => {
                comparison.table(&mut source, &mut target, table).await.map_err(failed)?;
            }
            Some(_) => comparison.tell(format!("{}: its columns are not the same", table.name)),
            None => comparison.tell(format!("{}: it is not on staging", table.name)),
        }
    }
    for table in there.iter().filter(|t| here.iter().all(|h| h.name != t.name)) {
        comparison.tell(format!("{}: it is not on production", table.name));
    }
    Ok(comparison)
}

/// A value with its storage class.
#[derive(Debug, Clone)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Cell {
    /// A number for the class, and the bytes: what makes two values the same.
    fn image(&self) -> (u8, [u8; 8], &[u8]) {
        match self {
            Cell::Null => (0, [0; 8], &[]),
            Cell::Integer(number) => (1, number.to_be_bytes(), &[]),
            Cell::Real(number) => (2, number.to_be_bytes(), &[]),
            Cell::Text(bytes) => (3, [0; 8], bytes),
            Cell::Blob(bytes) => (4, [0; 8], bytes),
        }
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.image() == other.image()
    }
}

impl Eq for Cell {}

impl Hash for Cell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.image().hash(state);
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Cell::Null => "NULL".to_string(),
            Cell::Integer(number) => number.to_string(),
            Cell::Real(number) => format!("{number:?}"),
            Cell::Text(bytes) => format!("'{}'", String::from_utf8_lossy(bytes)),
            Cell::Blob(bytes) => format!("x'{}'", hex::encode(bytes)),
        };
        match text.char_indices().nth(VALUE_WIDTH) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Table {
    name: String,
    columns: Vec<Column>,
}

#[derive(Debug, PartialEq, Eq)]
struct Column {
    name: String,
    is_key: bool,
}

const SQLITE_COLUMNS: &str = "
    SELECT t.name, c.name, (c.pk > 0) + 0
    FROM sqlite_schema t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND (t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' OR t.name = 'sqlite_sequence')
      AND t.name NOT LIKE 'highwater\\_%' ESCAPE '\\'
    ORDER BY t.name, c.cid";

const POSTGRES_COLUMNS: &str = "
    SELECT c.relname::text, a.attname::text, coalesce(a.attnum = ANY (i.indkey), false)::int::bigint
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
    ORDER BY c.relname, a.attnum";

const MYSQL_COLUMNS: &str = "
    SELECT TABLE_NAME, COLUMN_NAME, COLUMN_KEY = 'PRI'
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT LIKE 'highwater\\_%'
    ORDER BY TABLE_NAME, ORDINAL_POSITION";

async fn tables(link: &mut Link) -> sqlx::Result<Vec<Table>> {
    let mut found: Vec<Table> = Vec::new();
    let mut add = |name: String, column: String, is_key: i64| {
        let column = Column { name: column, is_key: is_key != 0 };
        match found.last_mut().filter(|t| t.name == name) {
            Some(table) => table.columns.push(column),
            None => found.push(Table { name, columns: vec![column] }),
        }
    };
    match link {
        Link::Sqlite(connection) => {
            for row in sqlx::query(SQLITE_COLUMNS).fetch_all(connection).await? {
                add(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            }
        }
        Link::Postgres(connection) => {
            for row in sqlx::query(POSTGRES_COLUMNS).fetch_all(connection).await? {
                add(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            }
        }
        Link::Mysql(connection) => {
            for row in sqlx::raw_sql(MYSQL_COLUMNS).fetch_all(connection).await? {
                let text = |column| row.try_get_unchecked::<String, _>(column);
                add(text(0)?, text(1)?, i64::from(text(2)? == "1"));
            }
        }
    }
    Ok(found)
}

impl Comparison {
    fn tell(&mut self, what: String) {
        self.different += 1;
        self.told.push(what);
    }

    async fn table(&mut self, source: &mut Link, target: &mut Link, table: &Table) -> sqlx::Result<()> {
        let mut left = table.read(source).await?;
        self.rows += left.values().map(|rows| rows.len() as u64).sum::<u64>();
        let mut differences = Differences { table, told: Vec::new(), count: 0 };
        let mut strangers = Vec::new();
        let mut rows = table.rows(target);
        while let Some(row) = rows.try_next().await? {
            let key = table.key(&row);
            let Some(same) = left.get_mut(&key) else {
                strangers.push(row);
                continue;
            };
            match same.iter().position(|other| *other == row) {
                Some(at) => drop(same.swap_remove(at)),
                // With a key there is one row to compare with; without, the rest are strangers.
                None => match same.pop() {
                    Some(other) => differences.unlike(&other, &row),
                    None => strangers.push(row),
                },
            }
        }
        strangers.iter().for_each(|row| differences.only(row, "only on staging"));
        left.values().flatten().for_each(|row| differences.only(row, "only on production"));
        self.different += differences.count;
        self.told.extend(differences.told);
        Ok(())
    }
}

type Cells = Vec<Cell>;

impl Table {
    /// All rows by key; without a key each distinct row is one, which may be there several times.
    async fn read(&self, link: &mut Link) -> sqlx::Result<HashMap<Cells, Vec<Cells>>> {
        let mut read: HashMap<Cells, Vec<Cells>> = HashMap::new();
        let mut rows = self.rows(link);
        while let Some(row) = rows.try_next().await? {
            read.entry(self.key(&row)).or_default().push(row);
        }
        Ok(read)
    }

    fn has_key(&self) -> bool {
        self.columns.iter().any(|c| c.is_key)
    }

    fn key(&self, row: &Cells) -> Cells {
        if !self.has_key() {
            return row.clone();
        }
        row.iter().zip(&self.columns).filter(|(_, c)| c.is_key).map(|(cell, _)| cell.clone()).collect()
    }

    fn rows<'l>(&self, link: &'l mut Link) -> BoxStream<'l, sqlx::Result<Cells>> {
        let quote = if matches!(link, Link::Mysql(_)) { "`" } else { "\"" };
        let quoted = |name: &str| format!("{quote}{}{quote}", name.replace(quote, &quote.repeat(2)));
        let from = quoted(&self.name);
        let list = |cast: &str| {
            let columns: Vec<String> =
                self.columns.iter().map(|c| format!("{}{cast}", quoted(&c.name))).collect();
            columns.join(", ")
        };
        match link {
            Link::Sqlite(connection) => {
                // Where AUTOINCREMENT goes on; highwater's own tables have theirs.
                let own =
                    if self.name == "sqlite_sequence" { " WHERE name NOT LIKE 'highwater%'" } else { "" };
                let sql = AssertSqlSafe(format!("SELECT {} FROM {from}{own}", list("")));
                let rows = sqlx::query(sql).fetch(connection);
                Box::pin(rows.map(|row| sqlite_cells(&row?)))
            }
            Link::Postgres(connection) => {
                let sql = AssertSqlSafe(format!("SELECT {} FROM {from}", list("::text")));
                let rows = sqlx::query(sql).fetch(connection);
                Box::pin(rows.map(|row| postgres_cells(&row?)))
            }
            Link::Mysql(connection) => {
                let sql = AssertSqlSafe(format!("SELECT {} FROM {from}", list("")));
                // By the text protocol: each value as the server writes it.
                let rows = sqlx::raw_sql(sql).fetch(connection);
                Box::pin(rows.map(|row| mysql_cells(&row?)))
            }
        }
    }

    fn describe(&self, row: &Cells) -> String {
        let wanted = |column: &Column| column.is_key || !self.has_key();
        let parts: Vec<String> = row
            .iter()
            .zip(&self.columns)
            .filter(|(_, column)| wanted(column))
            .map(|(cell, column)| format!("{} {cell}", column.name))
            .collect();
        format!("{}: {}", self.name, parts.join(", "))
    }
}

fn sqlite_cells(row: &SqliteRow) -> sqlx::Result<Cells> {
    (0..row.len()).map(|column| sqlite_cell(row, column)).collect()
}

fn sqlite_cell(row: &SqliteRow, column: usize) -> sqlx::Result<Cell> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(Cell::Null);
    }
    // The class of this very value, not of the column.
    let class = raw.type_info().into_owned();
    let cell = match class.name() {
        "INTEGER" => <i64 as Decode<Sqlite>>::decode(raw).map(Cell::Integer),
        "REAL" => <f64 as Decode<Sqlite>>::decode(raw).map(Cell::Real),
        "TEXT" => <Vec<u8> as Decode<Sqlite>>::decode(raw).map(Cell::Text),
        _ => <Vec<u8> as Decode<Sqlite>>::decode(raw).map(Cell::Blob),
    };
    cell.map_err(sqlx::Error::Decode)
}

fn postgres_cells(row: &PgRow) -> sqlx::Result<Cells> {
    let cell = |column| Ok(row.try_get::<Option<String>, _>(column)?.map_or(Cell::Null, Cell::text));
    (0..row.len()).map(cell).collect()
}

fn mysql_cells(row: &MySqlRow) -> sqlx::Result<Cells> {
    let cell =
        |column| Ok(row.try_get_unchecked::<Option<Vec<u8>>, _>(column)?.map_or(Cell::Null, Cell::Text));
    (0..row.len()).map(cell).collect()
}

impl Cell {
    fn text(text: String) -> Self {
        Cell::Text(text.into_bytes())
    }
}

struct Differences<'t> {
    table: &'t Table,
    told: Vec<String>,
    count: u64,
}

impl Differences<'_> {
    fn only(&mut self, row: &Cells, where_it_is: &str) {
        self.tell(|table| format!("{}: {where_it_is}", table.describe(row)));
    }

    fn unlike(&mut self, here: &Cells, there: &Cells) {
        self.tell(|table| {
            let parts: Vec<String> = table
                .columns
                .iter()
                .zip(here.iter().zip(there))
                .filter(|(_, (here, there))| here != there)
                .map(|(column, (here, there))| {
                    format!("{} is {here} on production, {there} on staging", column.name)
                })
                .collect();
            format!("{}: {}", table.describe(here), parts.join("; "))
        });
    }

    fn tell(&mut self, what: impl FnOnce(&Table) -> String) {
        self.count += 1;
        match self.told.len() {
            n if n < TOLD => self.told.push(what(self.table)),
            TOLD => self.told.push(format!("{}: and more", self.table.name)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "
        CREATE TABLE users (user_id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, value);
        CREATE TABLE roles (a TEXT NOT NULL, b TEXT NOT NULL, c, PRIMARY KEY (a, b)) WITHOUT ROWID;
        CREATE TABLE audit (at, what);
        CREATE TABLE highwater_ledger_x (a);
        INSERT INTO users VALUES (1, 'ada', 1), (2, 'alan', 1.0), (3, 'tim', '1'), (4, NULL, x'31');
        INSERT INTO roles VALUES ('x', 'y', 1), ('x', 'z', 2);
        INSERT INTO audit VALUES (1, 'in'), (1, 'in'), (2, 'out');";

    /// The differences after `change` was made on the target.
    async fn after(change: &str) -> Comparison {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = |name: &str| {
            Endpoint::from_url(&format!("sqlite://{}/{name}.db", folder.path().display())).unwrap()
        };
        let (source, target) = (endpoint("source"), endpoint("target"));
        for (endpoint, then) in [(&source, "SELECT 1"), (&target, change)] {
            let Link::Sqlite(mut connection) = Link::open(endpoint).await.unwrap() else { panic!() };
            for sql in [SCHEMA, then] {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
            }
        }
        compare(&source, &target).await.unwrap()
    }

    async fn told(change: &str) -> String {
        let found = after(change).await;
        assert_eq!(found.different, 1, "{:?}", found.told);
        found.told[0].clone()
    }

    #[tokio::test]
    async fn the_same_rows_are_no_difference() {
        let found = after("INSERT INTO highwater_ledger_x VALUES (1)").await;
        assert_eq!((found.different, found.tables, found.rows), (0, 4, 4 + 2 + 3 + 1));
    }

    #[tokio::test]
    async fn another_value_is_told_with_key_and_column() {
        let told = told("UPDATE users SET name = 'eve' WHERE user_id = 2").await;
        assert_eq!(told, "users: user_id 2: name is 'alan' on production, 'eve' on staging");
    }

    #[tokio::test]
    async fn another_storage_class_is_a_difference() {
        assert!(told("UPDATE users SET value = 1 WHERE user_id = 2").await.contains("is 1.0"));
        assert!(told("UPDATE users SET value = x'31' WHERE user_id = 3").await.contains("x'31'"));
        assert!(told("UPDATE users SET value = '1' WHERE user_id = 4").await.contains("'1' on staging"));
    }

    #[tokio::test]
    async fn rows_too_few_and_too_many_are_told() {
        assert_eq!(told("DELETE FROM roles WHERE b = 'z'").await, "roles: a 'x', b 'z': only on production");
        assert_eq!(
            told("INSERT INTO roles VALUES ('q', 'q', 0)").await,
            "roles: a 'q', b 'q': only on staging"
        );
    }

    #[tokio::test]
    async fn a_keyless_table_is_a_multiset() {
        assert_eq!(
            told("INSERT INTO audit VALUES (1, 'in')").await,
            "audit: at 1, what 'in': only on staging"
        );
        let once = "DELETE FROM audit WHERE rowid = 1";
        assert_eq!(told(once).await, "audit: at 1, what 'in': only on production");
    }

    #[tokio::test]
    async fn tables_and_columns_must_be_the_same() {
        assert_eq!(told("CREATE TABLE more (a)").await, "more: it is not on production");
        assert_eq!(told("DROP TABLE audit").await, "audit: it is not on staging");
        assert_eq!(told("ALTER TABLE audit ADD b").await, "audit: its columns are not the same");
    }

    #[tokio::test]
    async fn where_ids_go_on_counts_too() {
        let found = after("UPDATE sqlite_sequence SET seq = 9").await;
        let expected = ["only on staging", "only on production"].map(|side| {
            let seq = if side == "only on staging" { 9 } else { 4 };
            format!("sqlite_sequence: name 'users', seq {seq}: {side}")
        });
        assert_eq!(found.told, expected);
    }

    #[tokio::test]
    async fn only_the_first_differences_are_told() {
        let found = after(
            "INSERT INTO audit WITH n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 30) \
             SELECT i, 'new' FROM n",
        )
        .await;
        assert_eq!((found.different, found.told.len()), (21, TOLD + 1));
    }
}
