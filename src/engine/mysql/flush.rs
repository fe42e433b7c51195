//! A committed row can vanish: another session may see a commit before it is on disk, and after a crash
//! it is gone and its numbers are given out again (`docs/how-it-works.md`, "a commit can vanish"). So
//! nothing that was read is passed on before the server has flushed its redo log as far as it stood at
//! the read.

use std::time::Duration;

use tokio::time::Instant;

use super::session::{Session, maybe, number, text};
use super::source::Inner;
use crate::engine::Record;
use crate::error::{Error, Kind, Result};

/// How long the flush may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pauses between two looks, in milliseconds; the last one goes on.
const PAUSES: [u64; 5] = [1, 2, 5, 10, 20];

/// After how many looks the flush is forced.
const LOOKS: usize = 3;

/// How long MySQL's status may show less than what was committed, where commits don't wait for the disk: its log
/// writer sleeps for up to a tenth of a second.
const LAG: Duration = Duration::from_millis(250);

/// How far the redo log is written, and how far it is on disk.
#[derive(Debug, Clone, Copy)]
struct Redo {
    current: u64,
    flushed: u64,
}

/// How far the redo log stood at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    at: u64,
    /// Whether commits of that moment may lie beyond it (see [`LAG`]).
    lags: bool,
}

/// What tells how far the redo log is. The names differ: MySQL has `Innodb_redo_log_current_lsn`, MariaDB
/// `Innodb_lsn_current`.
pub(super) const POSITION: &str = "SHOW GLOBAL STATUS LIKE 'Innodb%lsn%'; \
    SHOW GLOBAL VARIABLES LIKE 'innodb_flush_log_at_trx_commit'";

/// How far the redo log stood, by the answer to [`POSITION`]; `None` when the server does not tell (MySQL
/// before 8.0.30): then its restarts are watched instead, as a part of [`crate::engine::Identity::life`].
pub(super) fn position(status: &[Record]) -> Result<Option<Position>> {
    let says = |wanted: &str, value: fn(&str) -> bool| {
        status.iter().any(|row| maybe(row, 0) == Some(wanted) && maybe(row, 1).is_some_and(value))
    };
    let lags = says("Innodb_redo_log_current_lsn", |_| true)
        && says("innodb_flush_log_at_trx_commit", |value| value != "1");
    Ok(redo(status)?.map(|redo| Position { at: redo.current, lags }))
}

/// Waits until the redo log is on disk up to `position`. No transaction may be open in the session.
pub(super) async fn flushed(source: &Inner, session: &mut Session, position: Option<Position>) -> Result<()> {
    let Some(mut position) = position else { return Ok(()) };
    if position.lags {
        // MySQL flushes all that is committed before it answers.
        if session.execute("FLUSH LOCAL ENGINE LOGS").await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(LAG).await;
        position = self::position(&session.query(POSITION).await?)?.unwrap_or(position);
    }
    let position = position.at;
    let end = Instant::now() + PATIENCE;
    let mut looks = 0;
    while redo(&session.query(POSITION).await?)?.is_some_and(|redo| redo.flushed < position) {
        if Instant::now() >= end {
            return Err(Error::new(
                Kind::Unavailable,
                format!(
                    "{}: the server has not flushed its redo log up to {position} for {PATIENCE:?}",
                    session.place
                ),
            )
            .remedy("see whether the source's disk is overloaded or full"));
        }
        if looks == LOOKS {
            force(source, session).await?;
        }
        let pause = PAUSES.get(looks).or(PAUSES.last()).copied().unwrap_or(20);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        looks += 1;
    }
    Ok(())
}

/// With `innodb_flush_log_at_trx_commit = 1` a commit of our own flushes what stands before it. With 0
/// and 2 only FLUSH does; whoever may not say that waits until the server flushes by itself, once a
/// second.
async fn force(source: &Inner, session: &mut Session) -> Result<()> {
    let setting = session.row("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit").await?;
    if text(&setting, 0)? == "1" {
        let (heartbeat, database) = (source.names.own("heartbeat"), source.names.database_literal());
        session
            .execute(format!("UPDATE {heartbeat} SET beat = beat + 1 WHERE database_name = {database}"))
            .await?;
    } else if let Err(error) = session.execute("FLUSH LOCAL ENGINE LOGS").await {
        tracing::debug!(error = %error.summary(), "the redo log is not flushed by us");
    }
    Ok(())
}

fn redo(status: &[Record]) -> Result<Option<Redo>> {
    let (mut current, mut flushed) = (None, None);
    for row in status {
        match text(row, 0)? {
            "Innodb_redo_log_current_lsn" | "Innodb_lsn_current" => current = Some(number(row, 1)?),
            "Innodb_redo_log_flushed_to_disk_lsn" | "Innodb_lsn_flushed" => flushed = Some(number(row, 1)?),
            _ => {}
        }
    }
    Ok(current.zip(flushed).map(|(current, flushed)| Redo { current, flushed }))
}
