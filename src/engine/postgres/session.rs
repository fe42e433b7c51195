//! One connection in use. It goes back to the pool only when it was left in order: an open transaction
//! or a COPY that was cut off would give the next user rubbish.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, PgPool, Postgres, Row, SqlSafeStr, Statement};

use super::connect::classify;
use crate::engine::Record;
pub(super) use crate::engine::record::{maybe, number, text};
use crate::error::{Error, Result};

/// Where a pool leads, for errors.
pub(super) type Place = Arc<str>;

/// A connection on which several statements belong together.
#[derive(Debug)]
pub(super) struct Session {
    connection: Option<PoolConnection<Postgres>>,
    place: Place,
}

impl Session {
    /// Takes a connection from the pool.
    pub(super) async fn open(pool: &PgPool, place: &Place) -> Result<Self> {
        let connection = pool.acquire().await.map_err(|e| classify(e, place))?;
        Ok(Session::on(connection, place))
    }

    /// Takes a connection that was acquired.
    pub(super) fn on(connection: PoolConnection<Postgres>, place: &Place) -> Self {
        Session { connection: Some(connection), place: Arc::clone(place) }
    }

    /// The connection itself.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection> {
        self.connection
            .as_deref_mut()
            .ok_or_else(|| Error::failed("a connection was used after it was given back"))
    }

    /// Runs statements, several if need be, and returns all their rows as the server writes them.
    pub(super) async fn query(&mut self, sql: impl Into<String>) -> Result<Vec<Record>> {
        let place = Arc::clone(&self.place);
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.into()))
            .fetch_all(self.connection()?)
            .await
            .map_err(|e| classify(e, &place))?;
        rows.iter().map(record).collect()
    }

    /// Runs a statement that gives just one row.
    pub(super) async fn row(&mut self, sql: impl Into<String>) -> Result<Record> {
        let mut rows = self.query(sql).await?;
        rows.pop().ok_or_else(|| Error::failed(format!("{}: no answer where one row was due", self.place)))
    }

    /// Runs statements and returns how many rows they touched.
    pub(super) async fn execute(&mut self, sql: impl Into<String>) -> Result<u64> {
        let place = Arc::clone(&self.place);
        let done = sqlx::raw_sql(AssertSqlSafe(sql.into()))
            .execute(self.connection()?)
            .await
            .map_err(|e| classify(e, &place))?;
        Ok(done.rows_affected())
    }

    /// Runs statements of which the last one ends the transaction. An error of the server's is the inner
    /// one: then the transaction is undone.
    pub(super) async fn attempt(&mut self, sql: impl Into<String>) -> Result<Result<(), sqlx::Error>> {
        let tried = sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(self.connection()?).await;
        let Err(error) = tried else { return Ok(Ok(())) };
        self.execute("ROLLBACK").await?;
        Ok(Err(error))
    }

    /// Runs what must be just one statement.
    pub(super) async fn execute_one(&mut self, sql: impl Into<String>) -> Result<u64> {
        let place = Arc::clone(&self.place);
        let statement = sqlx::query(AssertSqlSafe(sql.into())).persistent(false);
        let done = statement.execute(self.connection()?).await.map_err(|e| classify(e, &place))?;
        Ok(done.rows_affected())
    }

    /// The names of the columns that a query gives, which is not run.
    pub(super) async fn columns(&mut self, sql: impl Into<String>) -> Result<Vec<String>> {
        let place = Arc::clone(&self.place);
        let sql = AssertSqlSafe(sql.into()).into_sql_str();
        let prepared = self.connection()?.prepare(sql).await.map_err(|e| classify(e, &place))?;
        Ok(prepared.columns().iter().map(|c| c.name().to_string()).collect())
    }

    /// Where the connection leads.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Ends the transaction and gives the connection back.
    pub(super) async fn commit(mut self) -> Result<()> {
        self.execute("COMMIT").await?;
        self.connection = None;
        Ok(())
    }

    /// Undoes the transaction and gives the connection back.
    pub(super) async fn rollback(mut self) -> Result<()> {
        self.execute("ROLLBACK").await?;
        self.connection = None;
        Ok(())
    }

    /// Gives the connection back; no transaction may be open.
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

/// Runs statements outside of any transaction.
pub(super) async fn query(pool: &PgPool, place: &Place, sql: impl Into<String>) -> Result<Vec<Record>> {
    let mut session = Session::open(pool, place).await?;
    let rows = session.query(sql).await;
    // An error of a statement leaves the connection in order; a lost connection is noticed by the pool.
    session.close();
    rows
}

fn record(row: &PgRow) -> Result<Record> {
    (0..row.len())
        .map(|i| row.try_get_unchecked::<Option<String>, _>(i).map_err(|e| classify(e, "an answer")))
        .collect()
}

/// A list of names in a record, which the server has written as JSON: a name may hold anything. NULL is none.
pub(super) fn name_list<T: FromIterator<String>>(record: &Record, column: usize) -> Result<T> {
    let list: Vec<String> = serde_json::from_str(maybe(record, column).unwrap_or("[]"))
        .map_err(|e| Error::failed("a list of names can't be read").because(e))?;
    Ok(list.into_iter().collect())
}

/// A boolean in a record; NULL is false.
pub(super) fn flag(record: &Record, column: usize) -> bool {
    maybe(record, column) == Some("t")
}
