//! A snapshot that is held: one session keeps it open, readers enter it.

use std::sync::{Arc, Mutex};

use sqlx::{Executor, PgConnection, Row};

use super::connect::{apart, classify, literal};
use super::flush::flushed;
use super::session::Session;
use super::source::PostgresSource;
use crate::error::{Error, Kind, Result};
use crate::model::Snapshot;

/// What begins a transaction that reads.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;";

/// A held snapshot. It ends with the last one who has it.
#[derive(Debug)]
pub(super) struct Pin {
    id: String,
    snapshot: Snapshot,
    /// A connection of its own: held for long, it would be missing in the pool.
    _holder: Mutex<PgConnection>,
}

impl PostgresSource {
    /// As [`Source::pinned`](crate::engine::Source::pinned).
    pub(super) async fn pin(&self) -> Result<Self> {
        let failed = |error| classify(error, &self.place);
        let mut holder = apart(&self.endpoint, &self.place).await?;
        holder.execute(BEGIN).await.map_err(failed)?;
        let row = holder
            .fetch_one(
                "SELECT pg_export_snapshot(), pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text",
            )
            .await
            .map_err(failed)?;
        let column = |n: usize| row.try_get::<String, _>(n).map_err(failed);
        let (id, snapshot, lsn) = (column(0)?, column(1)?.parse()?, column(2)?);
        // docs/how-it-works.md, "a commit can vanish": once, for all that is read in the snapshot.
        let mut session = self.session().await?;
        flushed(self, &mut session, &lsn).await?;
        session.close();
        let pin = Pin { id, snapshot, _holder: Mutex::new(holder) };
        let mut pinned = self.clone();
        pinned.pin = Some(Arc::new(pin));
        Ok(pinned)
    }

    /// What a transaction that reads is to begin with. In a held snapshot it is begun already: that the
    /// snapshot is gone must not pass for a fault of what is read.
    pub(super) async fn begin_read(&self, session: &mut Session) -> Result<&'static str> {
        let Some(pin) = &self.pin else { return Ok(BEGIN) };
        session.execute(BEGIN).await?;
        let enter = format!("SET TRANSACTION SNAPSHOT {}", literal(&pin.id));
        session.execute(enter).await.map_err(|error| match error.kind() {
            Kind::Unavailable => error,
            _ => self.snapshot_is_gone().because(error),
        })?;
        Ok("")
    }

    /// Checks that what a transaction sees is the held snapshot, if there is one: after a restart of the
    /// server another session may have exported one under the same name.
    pub(super) fn sees_pin(&self, seen: &Snapshot) -> Result<()> {
        match &self.pin {
            Some(pin) if &pin.snapshot != seen => Err(self.snapshot_is_gone()),
            _ => Ok(()),
        }
    }

    fn snapshot_is_gone(&self) -> Error {
        Error::new(Kind::Unavailable, format!("{}: the session that held the snapshot has ended", self.place))
            .remedy("nothing: what needed the snapshot is begun again with another one")
    }
}
