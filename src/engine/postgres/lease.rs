//! The lease: a session lock on the target, so that it falls with the process or its connection.

use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use super::connect::{apart, classify};
use super::target::Shared;
use crate::engine::Lease;
use crate::error::{Error, Kind, Result};

/// How long the server may take to say that the lock is still held.
const PATIENCE: Duration = Duration::from_secs(10);

/// The two halves of an advisory lock's number as `pg_locks` shows them.
const HELD: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND classid::bigint = ($1 >> 32) & 4294967295 AND objid::bigint = $1 & 4294967295
      AND ($2 OR pid = pg_catalog.pg_backend_pid()))";

/// A lease that is held on a connection of its own.
pub(super) struct PgLease {
    connection: PgConnection,
    number: i64,
    place: String,
}

/// The number of an advisory lock that stands for `words`.
pub(super) fn lock_number(words: &[&str]) -> i64 {
    let mut hasher = Sha256::new();
    for word in words {
        hasher.update(word.as_bytes());
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    digest.iter().take(8).fold(0_i64, |number, byte| (number << 8) | i64::from(*byte))
}

/// Takes the lease of `database` if nobody holds it.
pub(super) async fn try_lease(shared: &Shared, database: &str) -> Result<Option<PgLease>> {
    let number = shared.lease_number(database);
    let place = shared.place.clone();
    let failed = |e| classify(e, &place);
    let mut connection = apart(&shared.endpoint, &place).await?;
    let taken: bool = sqlx::query_scalar("SELECT pg_catalog.pg_try_advisory_lock($1)")
        .bind(number)
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
    if !taken {
        connection.close().await.map_err(failed)?;
        return Ok(None);
    }
    let mut lease = PgLease { connection, number, place: shared.place.clone() };
    // Behind a transaction pooler the lock belongs to a session that isn't ours.
    lease.check().await?;
    Ok(Some(lease))
}

/// Whether somebody holds the lease of `database`.
pub(super) async fn lease_held(shared: &Shared, database: &str) -> Result<bool> {
    sqlx::query_scalar(HELD)
        .bind(shared.lease_number(database))
        .bind(true)
        .fetch_one(&mut *shared.acquire().await?)
        .await
        .map_err(|e| classify(e, &shared.place))
}

#[async_trait]
impl Lease for PgLease {
    async fn check(&mut self) -> Result<()> {
        let asked = sqlx::query_scalar(HELD).bind(self.number).bind(false).fetch_one(&mut self.connection);
        let lost = |why: String| {
            Error::new(Kind::Superseded, format!("{}: the lease was lost: {why}", self.place))
                .remedy("the daemon goes on from the ledger once it has the lease again")
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(lost("its session does not hold the lock (is a pooler in between?)".into())),
            Ok(Err(e)) => Err(lost(classify(e, &self.place).summary())),
            Err(_) => Err(lost("the server does not answer".into())),
        }
    }

    async fn release(mut self: Box<Self>) -> Result<()> {
        let failed = |e| classify(e, &self.place);
        sqlx::query("SELECT pg_catalog.pg_advisory_unlock($1)")
            .bind(self.number)
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        self.connection.close().await.map_err(failed)
    }
}
