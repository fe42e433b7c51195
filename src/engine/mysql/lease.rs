//! The lease: a lock of a session on the target, so that it falls with the process or its connection.

use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use sqlx::MySqlConnection;

use super::connect::{Server, farewell};
use super::fault::classify;
use super::session::{flag, maybe, records};
use super::value::literal;
use crate::engine::Lease;
use crate::error::{Error, Kind, Result};

/// How long the server may take to say that the lock is still held.
const PATIENCE: Duration = Duration::from_secs(10);

/// A lease that is held on a connection of its own.
pub(super) struct MysqlLease {
    connection: MySqlConnection,
    name: String,
    place: String,
}

/// The name of the lock that is the lease of `database` of a migration, as SQL. All databases of a
/// server share these names, which are 64 characters at most.
pub(super) fn name(server: &Server, migration: &str, database: &str) -> String {
    let mut hasher = Sha256::new();
    for word in [&server.database, migration, database] {
        hasher.update(word.as_bytes());
        hasher.update([0]);
    }
    literal(&format!("highwater:{}", hex::encode(&hasher.finalize()[..20])))
}

/// Takes the lease if nobody holds it.
///
/// # Errors
/// When the server can't be reached.
pub(super) async fn take(server: &Server, name: String) -> Result<Option<MysqlLease>> {
    let failed = |e| classify(e, &server.place);
    let mut connection = server.apart().await?;
    let taken = records(&mut connection, format!("SELECT GET_LOCK({name}, 0)")).await.map_err(failed)?;
    match taken.first().and_then(|row| maybe(row, 0)) {
        Some("1") => {}
        Some(_) => {
            farewell(connection).await;
            return Ok(None);
        }
        None => return Err(Error::failed(format!("{}: the server gives no locks", server.place))),
    }
    let mut lease = MysqlLease { connection, name, place: server.place.to_string() };
    // Behind a proxy the lock belongs to a session that isn't ours.
    lease.check().await?;
    Ok(Some(lease))
}

/// Whether somebody holds the lease.
///
/// # Errors
/// When the server can't be reached.
pub(super) async fn is_held(server: &Server, name: &str) -> Result<bool> {
    let mut session = server.session().await?;
    let free = session.row(format!("SELECT IS_FREE_LOCK({name})")).await?;
    session.close();
    Ok(!flag(&free, 0))
}

#[async_trait]
impl Lease for MysqlLease {
    async fn check(&mut self) -> Result<()> {
        let held = format!("SELECT IS_USED_LOCK({}) = CONNECTION_ID()", self.name);
        let asked = records(&mut self.connection, held);
        let lost = |why: String| {
            Error::new(Kind::Superseded, format!("{}: the lease was lost: {why}", self.place))
                .remedy("the daemon goes on from the ledger once it has the lease again")
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(rows)) if rows.first().is_some_and(|row| flag(row, 0)) => Ok(()),
            Ok(Ok(_)) => Err(lost("its session does not hold the lock (is a proxy in between?)".into())),
            Ok(Err(e)) => Err(lost(classify(e, &self.place).summary())),
            Err(_) => Err(lost("the server does not answer".into())),
        }
    }

    async fn release(mut self: Box<Self>) -> Result<()> {
        let failed = |e| classify(e, &self.place);
        let release = format!("SELECT RELEASE_LOCK({})", self.name);
        records(&mut self.connection, release).await.map_err(failed)?;
        farewell(self.connection).await;
        Ok(())
    }
}
