//! A snapshot that is held: one connection with an open read transaction, which all reads of a pinned source
//! share.
//!
//! SQLite offers no snapshot that two connections can share, so the reads take turns. A read of a keyless table
//! is one statement and holds its turn until the last row was handed over: the task that reads such a stream makes
//! no other read of the same snapshot before its end.
//!
//! Without WAL the open transaction keeps production from committing.

use std::sync::Arc;

use sqlx::SqliteConnection;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::fault::Doing;
use crate::error::{Error, Kind, Result};

const WHAT: &str = "holding a snapshot";

/// The connection of a snapshot. Dropped with its last clone, it ends the transaction.
#[derive(Clone)]
pub(super) struct Pin(Arc<Mutex<SqliteConnection>>);

impl Pin {
    /// Takes the snapshot on a connection of its own.
    pub(super) async fn take(mut connection: SqliteConnection, place: &str) -> Result<Self> {
        // BEGIN takes none: the first statement that reads the file does.
        for sql in ["BEGIN", "SELECT count(*) FROM sqlite_schema"] {
            sqlx::query(sql).execute(&mut connection).await.doing(place, WHAT)?;
        }
        Ok(Pin(Arc::new(Mutex::new(connection))))
    }

    /// Waits for the connection, and checks that it still holds the snapshot: some errors (disk, memory) end a
    /// transaction, and a read after that would silently see another state.
    pub(super) async fn turn(&self, place: &str) -> Result<OwnedMutexGuard<SqliteConnection>> {
        let mut connection = self.0.clone().lock_owned().await;
        match sqlx::query("BEGIN").execute(&mut *connection).await {
            Err(sqlx::Error::Database(e)) if e.message().contains("within a transaction") => Ok(connection),
            Err(error) => Err(error).doing(place, WHAT),
            Ok(_) => {
                sqlx::query("ROLLBACK").execute(&mut *connection).await.doing(place, WHAT)?;
                Err(Error::new(Kind::Unavailable, format!("{place}: the snapshot that was held is lost")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    #[tokio::test]
    async fn a_snapshot_that_is_lost_is_never_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let how = SqliteConnectOptions::new().filename(folder.path().join("f.db")).create_if_missing(true);
        let pin = Pin::take(how.connect().await.unwrap(), "here").await.unwrap();
        for _ in 0..2 {
            drop(pin.turn("here").await.unwrap());
        }
        // As SQLite does by itself when the disk fails.
        sqlx::query("ROLLBACK").execute(&mut *pin.0.lock().await).await.unwrap();
        for _ in 0..2 {
            assert_eq!(pin.turn("here").await.unwrap_err().kind(), Kind::Unavailable);
        }
    }
}
