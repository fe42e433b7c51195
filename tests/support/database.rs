//! A PostgreSQL database of one test.

use sqlx::postgres::{PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row, ValueRef};

/// Rows as the server writes them; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// A fresh database, seen by its superuser.
#[derive(Clone)]
pub struct Database {
    name: String,
    pool: PgPool,
    port: u16,
}

impl Database {
    pub(super) fn new(port: u16, name: &str) -> Database {
        let url = url(port, "postgres", name);
        let pool = PgPoolOptions::new().max_connections(8).connect_lazy(&url).expect("a valid URL");
        Database { name: name.to_owned(), pool, port }
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL for the superuser `postgres`.
    pub fn url(&self) -> String {
        self.url_as("postgres")
    }

    /// Its URL for another role; `role` may be `name:password`.
    pub fn url_as(&self, role: &str) -> String {
        url(self.port, role, &self.name)
    }

    /// Connections of the superuser, made when first used.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Runs one or more statements, in one implicit transaction; panics with what failed.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.pool.acquire().await.expect("a connection");
        execute(&mut connection, sql).await;
    }

    /// The rows of a query as the server writes them.
    pub async fn rows_as_text(&self, sql: &str) -> Rows {
        let mut connection = self.pool.acquire().await.expect("a connection");
        rows_as_text(&mut connection, sql).await
    }

    /// One connection of its own, for transactions held open.
    pub async fn connect(&self) -> PgConnection {
        self.connect_as("postgres").await
    }

    /// One connection of another role; `role` may be `name:password`.
    pub async fn connect_as(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.url_as(role)).await.expect("a connection")
    }
}

fn url(port: u16, role: &str, database: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{port}/{database}")
}

/// Runs one or more statements; panics with what failed.
pub async fn execute(connection: &mut PgConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{sql}\n{error}"));
}

/// The rows of a query, by the text protocol: each value as its type's output function writes it.
pub async fn rows_as_text(connection: &mut PgConnection, sql: &str) -> Rows {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
}

fn text(row: &PgRow, column: usize) -> Option<String> {
    let value = row.try_get_raw(column).expect("a column");
    if value.is_null() { None } else { Some(value.as_str().expect("UTF-8").to_owned()) }
}
