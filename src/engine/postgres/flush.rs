//! A committed row can vanish: after a crash of the source, commits of sessions with
//! `synchronous_commit = off` are gone and their transaction numbers are given out again. So nothing that
//! was read is passed on before the server has flushed its log as far as it stood at the read.

use std::time::Duration;

use tokio::time::Instant;

use super::session::{Session, flag};
use super::source::PostgresSource;
use crate::error::{Error, Kind, Result};
use crate::model::quote;

/// How long the flush may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pauses between two looks, in milliseconds; the last one goes on.
const PAUSES: [u64; 5] = [1, 2, 5, 10, 20];

/// After how many looks a commit of our own forces the flush.
const LOOKS: usize = 7;

/// Waits until the source has flushed up to `lsn`. No transaction may be open in the session.
pub(super) async fn flushed(source: &PostgresSource, session: &mut Session, lsn: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut looks = 0;
    while !flag(&session.row(format!("SELECT pg_current_wal_flush_lsn() >= '{lsn}'")).await?, 0) {
        if Instant::now() >= end {
            return Err(Error::new(
                Kind::Unavailable,
                format!("{}: the server has not flushed its log up to {lsn} for {PATIENCE:?}", source.place),
            )
            .remedy("see whether the source's disk is overloaded or full"));
        }
        // The insert position can stand above the flushed one for seconds beside an idle open writer, and
        // for ever after a switch of the log file.
        if looks % LOOKS == LOOKS - 1 {
            force(source, session).await?;
        } else {
            let pause = PAUSES.get(looks).or(PAUSES.last()).copied().unwrap_or(20);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        looks += 1;
    }
    Ok(())
}

async fn force(source: &PostgresSource, session: &mut Session) -> Result<()> {
    session
        .execute(format!(
            "BEGIN; SET LOCAL synchronous_commit = 'local'; UPDATE {}.heartbeat SET beat = beat + 1; COMMIT",
            quote(&source.schema)
        ))
        .await?;
    Ok(())
}
