//! One connection in use. It goes back to the pool only when it was left in order: an open transaction,
//! a lock or a stream that was cut off would be the next user's.

use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, MySql, MySqlConnection, Row};

use super::fault::{classify, is_denied, is_garbled};
use crate::engine::Record;
pub(super) use crate::engine::record::{maybe, number, text};
use crate::error::{Error, Kind, Result};

/// A connection on which several statements belong together.
pub(super) struct Session {
    connection: Option<PoolConnection<MySql>>,
    /// The side and the URL, as errors name it.
    pub(super) place: Arc<str>,
}

impl Session {
    /// Goes on with a connection of the pool.
    pub(super) fn new(connection: PoolConnection<MySql>, place: Arc<str>) -> Self {
        Session { connection: Some(connection), place }
    }

    /// The connection itself.
    pub(super) fn connection(&mut self) -> Result<&mut MySqlConnection> {
        self.connection
            .as_deref_mut()
            .ok_or_else(|| Error::failed("a connection was used after it was given back"))
    }

    /// Runs statements, several if need be, by the text protocol; returns all their rows as the server
    /// writes them.
    pub(super) async fn query(&mut self, sql: impl Into<String>) -> Result<Vec<Record>> {
        let place = self.place.clone();
        records(self.connection()?, sql).await.map_err(|e| classify(e, &place))
    }

    /// Runs a query that gives just one row.
    pub(super) async fn row(&mut self, sql: impl Into<String>) -> Result<Record> {
        let mut rows = self.query(sql).await?;
        rows.pop().ok_or_else(|| Error::failed(format!("{}: no answer where one row was due", self.place)))
    }

    /// The first row of a query, as the server sent it.
    pub(super) async fn first(&mut self, sql: impl Into<String>) -> Result<Option<MySqlRow>> {
        let place = self.place.clone();
        let row = sqlx::raw_sql(AssertSqlSafe(sql.into())).fetch_optional(self.connection()?).await;
        row.map_err(|e| classify(e, &place))
    }

    /// What an error of this connection means.
    pub(super) fn failed(&self, error: sqlx::Error) -> Error {
        classify(error, &self.place)
    }

    /// Runs statements, several if need be, by the text protocol; returns how many rows they touched (an
    /// UPDATE touches a row that it finds, changed or not).
    pub(super) async fn execute(&mut self, sql: impl Into<String>) -> Result<u64> {
        let place = self.place.clone();
        let done = sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(self.connection()?).await;
        done.map(|done| done.rows_affected()).map_err(|e| classify(e, &place))
    }

    /// As [`Self::execute`], of a statement that writes rows: a character that their columns lack is theirs.
    pub(super) async fn write(&mut self, sql: String) -> Result<u64> {
        let place = self.place.clone();
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.connection()?).await;
        done.map(|done| done.rows_affected()).map_err(|error| {
            let is_of_row = is_garbled(&error);
            let error = classify(error, &place);
            if is_of_row { Error::new(Kind::Data, error.summary()) } else { error }
        })
    }

    /// Runs a prepared statement; returns how many rows it touched.
    pub(super) async fn run(&mut self, sql: impl Into<String>, args: MySqlArguments) -> Result<u64> {
        let place = self.place.clone();
        let done = sqlx::query_with(AssertSqlSafe(sql.into()), args).execute(self.connection()?).await;
        done.map(|done| done.rows_affected()).map_err(|e| classify(e, &place))
    }

    /// Ends the transaction and gives the connection back.
    pub(super) async fn commit(mut self) -> Result<()> {
        self.execute("COMMIT").await?;
        self.close();
        Ok(())
    }

    /// Undoes the transaction and gives the connection back.
    pub(super) async fn rollback(mut self) -> Result<()> {
        self.execute("ROLLBACK").await?;
        self.close();
        Ok(())
    }

    /// Gives the connection back; no transaction may be open, no lock held.
    pub(super) fn close(mut self) {
        self.connection = None;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Runs statements by the text protocol; all their rows as the server writes them.
pub(super) async fn records(
    connection: &mut MySqlConnection,
    sql: impl Into<String>,
) -> Result<Vec<Record>, sqlx::Error> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.into())).fetch_all(connection).await?;
    rows.iter().map(record).collect()
}

/// How often a list of sessions is asked for that can't be shown, and the pause between.
const ASKED: u32 = 5;
const PAUSE: Duration = Duration::from_millis(60);

/// A list of sessions or of their transactions, which MySQL can't show at every moment; `None` where a
/// privilege for it is missing.
pub(super) async fn listed(
    connection: &mut MySqlConnection,
    sql: &str,
) -> Result<Option<Vec<Record>>, sqlx::Error> {
    let mut asked = 0;
    loop {
        asked += 1;
        match records(connection, sql).await {
            Err(error) if is_denied(&error) => return Ok(None),
            Err(error) if is_garbled(&error) && asked < ASKED => tokio::time::sleep(PAUSE).await,
            answer => return answer.map(Some),
        }
    }
}

/// A row as texts.
pub(super) fn record(row: &MySqlRow) -> Result<Record, sqlx::Error> {
    let column = |i| Ok(bytes(row, i)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
    (0..row.len()).map(column).collect()
}

/// A column as the server sent it; `None` is NULL.
pub(super) fn bytes(row: &MySqlRow, column: usize) -> Result<Option<&[u8]>, sqlx::Error> {
    row.try_get_unchecked(column)
}

/// A truth in a record; NULL is false.
pub(super) fn flag(record: &Record, column: usize) -> bool {
    maybe(record, column).is_some_and(|value| !matches!(value, "0" | "NO" | "OFF"))
}
