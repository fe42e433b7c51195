//! A SQLite database of one test.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection, SqlitePool, TypeInfo, ValueRef};
use tempfile::TempDir;

use super::database::Rows;
use super::workspace::Workspace;

/// A database file in a folder of its own: WAL, foreign keys off as the library has them, writers
/// wait 10 s for each other.
#[derive(Clone)]
pub struct SqliteFile {
    folder: Arc<TempDir>,
    path: PathBuf,
    pool: SqlitePool,
}

impl SqliteFile {
    /// A new, empty database in a file called `label.db`.
    pub async fn new(label: &str) -> SqliteFile {
        let folder = Arc::new(Workspace::get().folder("sqlite-"));
        let path = folder.path().join(format!("{label}.db"));
        let pool = SqlitePoolOptions::new().max_connections(8).connect_lazy_with(options(&path));
        let file = SqliteFile { folder, path, pool };
        // The file exists, in WAL mode, from here on.
        file.execute("PRAGMA user_version").await;
        file
    }

    /// The same file, opened anew: another one may lie there by now.
    pub fn opened_again(&self) -> SqliteFile {
        let pool = SqlitePoolOptions::new().max_connections(8).connect_lazy_with(options(&self.path));
        SqliteFile { pool, ..self.clone() }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("sqlite://{}", self.path.display())
    }

    /// Connections, made when first used.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Runs one or more statements; panics with what failed.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.pool.acquire().await.expect("a connection");
        execute(&mut connection, sql).await;
    }

    /// The rows of a query: numbers as Rust writes them, text with what is no UTF-8 replaced, blobs
    /// as hex digits.
    pub async fn rows_as_text(&self, sql: &str) -> Rows {
        let mut connection = self.pool.acquire().await.expect("a connection");
        rows_as_text(&mut connection, sql).await
    }

    /// One connection of its own, for transactions held open.
    pub async fn connect(&self) -> SqliteConnection {
        options(&self.path).connect().await.expect("a connection")
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(10))
}

/// Runs one or more statements; panics with what failed.
pub async fn execute(connection: &mut SqliteConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{sql}\n{error}"));
}

/// The rows of a query, as [`SqliteFile::rows_as_text`] gives them.
pub async fn rows_as_text(connection: &mut SqliteConnection, sql: &str) -> Rows {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
}

fn text(row: &SqliteRow, column: usize) -> Option<String> {
    let value = row.try_get_raw(column).expect("a column");
    if value.is_null() {
        return None;
    }
    // The storage class of this very value: a column may hold several.
    let class = value.type_info().name().to_owned();
    let bytes = || row.get_unchecked::<Vec<u8>, _>(column);
    Some(match class.as_str() {
        "INTEGER" | "BOOLEAN" => row.get_unchecked::<i64, _>(column).to_string(),
        "REAL" => format!("{:?}", row.get_unchecked::<f64, _>(column)),
        "BLOB" => bytes().iter().map(|byte| format!("{byte:02X}")).collect(),
        _ => String::from_utf8_lossy(&bytes()).into_owned(),
    })
}
