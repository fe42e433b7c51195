//! Taking capture off: triggers first, so that no write meets a missing log.

use std::time::Duration;

use super::capture::Trigger;
use super::connect::{Flavour, Server};
use super::facts::{self, Facts};
use super::install::take_turns;
use super::lock::Locking;
use super::names::Names;
use super::session::number;
use super::value::{literal, quote};
use crate::engine::CaptureHere;
use crate::error::Result;

/// How long an attempt to lock a table may take, where the settings don't say.
const TIMEOUT: Duration = Duration::from_millis(200);

/// Removes everything of the migration that belongs to this database.
pub(super) async fn remove(server: &Server, names: &Names, timeout: Duration) -> Result<()> {
    let mut locking = Locking::open(server, timeout).await?;
    drop_triggers(&mut locking, names).await?;
    let session = &mut locking.session;
    take_turns(session, names).await?;
    for (table, log) in facts::logs(session, names).await? {
        facts::forget(session, names, &table, &log).await?;
    }
    let lowered = (names.flavour == Flavour::Mysql).then_some("lowered");
    for table in ["triggers", "passed", "fence", "heartbeat", "meta"].into_iter().chain(lowered) {
        let own = names.own(table);
        let sql = format!("DELETE FROM {own} WHERE database_name = {}", names.database_literal());
        facts::if_there(session, sql).await?;
    }
    if names.flavour == Flavour::Mariadb {
        let sql = format!("DROP SEQUENCE IF EXISTS {}", names.lowered_sequence());
        facts::if_there(session, sql).await?;
    }
    for own in [names.canary_name(), names.missed_name()] {
        facts::if_there(session, format!("DROP TABLE IF EXISTS {}", names.own(&own))).await?;
    }
    if is_unused(&mut locking, names).await? {
        let sql = format!("DROP DATABASE IF EXISTS {}", quote(&names.capture));
        locking.session.execute(sql).await?;
    }
    drop(locking);
    Ok(())
}

/// Whether no other database of this server is captured.
async fn is_unused(locking: &mut Locking<'_>, names: &Names) -> Result<bool> {
    let others =
        facts::if_there(&mut locking.session, format!("SELECT 1 FROM {} LIMIT 1", names.own("meta")));
    let others = others.await?.is_some_and(|rows| !rows.is_empty());
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
        literal(&names.capture)
    );
    Ok(!others && number::<u64>(&locking.session.row(sql).await?, 0)? > 0)
}

async fn drop_triggers(locking: &mut Locking<'_>, names: &Names) -> Result<()> {
    for trigger in triggers(locking, names).await? {
        locking.run(&trigger.remove(), &trigger.database, &trigger.table).await?;
    }
    Ok(())
}

/// The triggers of the migration in the database.
async fn triggers(locking: &mut Locking<'_>, names: &Names) -> Result<Vec<Trigger>> {
    let mut facts = Facts::default();
    facts.read_triggers(&mut locking.session, names).await?;
    let own = facts.triggers.into_values();
    Ok(own.filter(|t| t.database == names.database && t.is_of(names)).collect())
}

/// Whether triggers of the migration stand in this database, and whether they were made for it: those
/// that a dump brought along are of another server or another database.
pub(super) async fn capture_here(server: &Server, names: &Names) -> Result<CaptureHere> {
    let mut locking = Locking::open(server, TIMEOUT).await?;
    let meta = facts::meta(&mut locking.session, names).await?;
    let found = triggers(&mut locking, names).await?;
    drop(locking);
    Ok(match meta {
        Some(meta) if meta.here => CaptureHere::Own,
        _ if found.is_empty() => CaptureHere::None,
        _ => CaptureHere::Foreign,
    })
}

/// Removes the triggers that a dump brought along.
pub(super) async fn remove_foreign(server: &Server, names: &Names) -> Result<()> {
    let mut locking = Locking::open(server, TIMEOUT).await?;
    drop_triggers(&mut locking, names).await?;
    drop(locking);
    Ok(())
}
