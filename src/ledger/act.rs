//! What every transaction that writes rows does first and last.

use std::collections::HashSet;

use super::{Nonce, from_json, integer, key_hash, now, one, owned, point, superseded, text, to_json};
use crate::engine::{Arg, Origin, Source, Tx};
use crate::error::{Error, Result};
use crate::model::{Extent, Key, TablePlan, Watermark};
use crate::state::{Phase, TableState};

/// What a target transaction is about to do to one table.
#[derive(Clone, Copy)]
pub struct Act<'a> {
    /// The database.
    pub database: &'a str,
    /// The epoch that was read with the states.
    pub epoch: i64,
    /// The table.
    pub table: &'a TablePlan,
    /// The log that the states were found by.
    pub origin: &'a Origin,
    /// The extent at which the states were read.
    pub read_at: &'a Extent,
    /// Where its states were read.
    pub source: &'a dyn Source,
    /// The hold of replay that it acts under; without one it is refused while another's hold is in force.
    pub hold: Option<&'a Nonce>,
    /// The step.
    pub step: Step<'a>,
}

/// What the guard found of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarded {
    /// How it stands.
    pub state: TableState,
    /// Whether the upgrade made rows of it.
    pub has_native: bool,
    /// Whether the upgrade deleted rows of it.
    pub has_removed: bool,
}

/// A step of making keys equal to the source.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// One chunk of a copy.
    Chunk(i64),
    /// The next batch: the watermark moves on.
    Batch {
        /// From where.
        from: &'a Watermark,
        /// To where.
        to: &'a Watermark,
    },
    /// Keys that were passed before: parked ones, or the end of a reload. The watermark stays.
    Again,
    /// Keys that were passed before and whose lookups may be stale: with these entries of the ledger
    /// they are done.
    Requeued(&'a [String]),
}

/// Refuses unless the database is still in `epoch`, and keeps it there until the transaction ends: the
/// first step of every transaction that writes to the product's tables or sequences.
///
/// # Errors
/// [`Kind::Superseded`](crate::error::Kind) when the epoch is another one.
pub async fn hold_epoch(tx: &mut dyn Tx, database: &str, epoch: i64) -> Result<()> {
    let sql = "SELECT epoch FROM {l}epochs WHERE database_name = ?1{for share}";
    let row = one(tx.rows(sql, &[database.into()]).await?)?;
    if integer(&row, 0)? == epoch { Ok(()) } else { Err(superseded(database, "the epoch has changed")) }
}

/// Refuses unless the target is still highwater's to write: once it is final the application may be at
/// work there (docs/how-it-works.md, "a final target is left alone"). With the epoch held the phase stays:
/// what changes it takes the epoch exclusively.
/// A hold of replay for a consistent point is checked the same way, and the point that the target is at ends
/// with the first act after it (docs/how-it-works.md, "a point reads every table in one snapshot").
async fn check_phase(tx: &mut dyn Tx, act: &Act<'_>) -> Result<()> {
    let database = act.database;
    let sql = "SELECT phase, replay_hold, point_at FROM {l}databases WHERE database_name = ?1";
    let row = one(tx.rows(sql, &[database.into()]).await?)?;
    match text(&row, 0)?.parse()? {
        Phase::Copying | Phase::Replaying => {}
        Phase::Upgrading => return Err(superseded(database, "its schema is being upgraded")),
        Phase::Final => {
            return Err(Error::refused(format!(
                "database {database}: it is final, and nothing of its target is written any more"
            ))
            .remedy("to go back to replaying: `highwater final-sync --lower`"));
        }
    }
    if row.get(1).and_then(Option::as_deref) != act.hold.map(Nonce::text) {
        return Err(superseded(database, "replay is held for a consistent point"));
    }
    if row.get(2).is_some_and(Option::is_some) {
        point::end(tx, database).await?;
    }
    Ok(())
}

/// Refuses the act unless it is still right: the database is not final, the epoch is the one read with
/// the states, and the states are newer than what was applied. Holds all of it until the transaction
/// ends.
///
/// The epoch is locked, not just read: a promotion between the check and our commit would let us
/// overwrite what the promoted side's users write. The table's row is locked, because a retry or a
/// chunk read before a batch and committed after it would bring old values back.
///
/// # Errors
/// [`Kind::Superseded`](crate::error::Kind) when it must be read again,
/// [`Kind::Refused`](crate::error::Kind) when the database is final.
pub async fn guard(tx: &mut dyn Tx, act: &Act<'_>) -> Result<Guarded> {
    let label = act.table.label();
    hold_epoch(tx, act.database, act.epoch).await?;
    check_phase(tx, act).await?;
    // Chunks of one table run side by side.
    let lock = if matches!(act.step, Step::Chunk(_)) { "{for share}" } else { "{for update}" };
    let sql = format!(
        "SELECT state, watermark, origin, \
         (SELECT min(n.key_hash) FROM {{l}}native n WHERE n.database_name = ?1 AND n.label = ?2), \
         (SELECT min(r.key_hash) FROM {{l}}removed r WHERE r.database_name = ?1 AND r.label = ?2) \
         FROM {{l}}tables WHERE database_name = ?1 AND label = ?2{lock}"
    );
    let args: [Arg; 2] = [act.database.into(), label.as_str().into()];
    let row = one(tx.rows(&sql, &args).await?)?;
    let state: TableState = text(&row, 0)?.parse()?;
    let copying = matches!(state, TableState::Copying | TableState::Resyncing);
    let fits = match act.step {
        Step::Chunk(_) => copying,
        Step::Batch { .. } => state == TableState::Replaying,
        Step::Again => copying || state == TableState::Replaying,
        Step::Requeued(_) => state == TableState::Replaying,
    };
    if !fits {
        return Err(superseded(&label, &format!("it is {state}")));
    }
    let watermark = Watermark::from_text(text(&row, 1)?)?;
    if let Step::Batch { from, .. } = act.step
        && watermark != *from
    {
        return Err(superseded(&label, "its watermark has moved"));
    }
    if !act.read_at.covers(&watermark) {
        return Err(superseded(&label, "its rows were read before what is applied already"));
    }
    let origin: Origin = from_json(text(&row, 2)?)?;
    if origin != *act.origin {
        return Err(superseded(&label, "its change log has been replaced"));
    }
    let has = |place: usize| row.get(place).is_some_and(Option::is_some);
    Ok(Guarded { state, has_native: has(3), has_removed: has(4) })
}

/// The hashes of the table's parked keys, as this transaction sees them.
///
/// # Errors
/// When the target can't be read.
pub async fn parked_hashes(tx: &mut dyn Tx, act: &Act<'_>) -> Result<HashSet<String>> {
    let sql = "SELECT key_hash FROM {l}parked WHERE database_name = ?1 AND label = ?2";
    let rows = tx.rows(sql, &[act.database.into(), act.table.label().into()]).await?;
    rows.iter().map(|r| Ok(text(r, 0)?.to_string())).collect()
}

/// Forgets those of the parked hashes that are among the keys that were made equal, and parks the
/// keys that were refused.
///
/// # Errors
/// When the target can't be written.
pub async fn record_parked(
    tx: &mut dyn Tx,
    act: &Act<'_>,
    parked: &HashSet<String>,
    keys: &[Key],
    refused: &[(Key, String)],
) -> Result<()> {
    let table: [Arg; 2] = [act.database.into(), act.table.label().into()];
    let refused_hashes: HashSet<String> = refused.iter().map(|(key, _)| key_hash(key)).collect();
    for hash in keys.iter().map(key_hash).filter(|h| parked.contains(h) && !refused_hashes.contains(h)) {
        let args = [table[0].clone(), table[1].clone(), hash.into()];
        let sql = "DELETE FROM {l}parked WHERE database_name = ?1 AND label = ?2 AND key_hash = ?3";
        tx.execute(sql, &args).await?;
    }
    for (key, reason) in refused {
        park(tx, &table, key, reason).await?;
    }
    Ok(())
}

/// Moves the watermark, or closes the chunk, as the last write of the transaction.
///
/// # Errors
/// [`Kind::Superseded`](crate::error::Kind) when the chunk was done by somebody else.
pub async fn advance(tx: &mut dyn Tx, act: &Act<'_>, rows: u64, bytes: u64) -> Result<()> {
    let label = act.table.label();
    let table: [Arg; 2] = [act.database.into(), label.as_str().into()];
    let number = |n: u64| Arg::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    match act.step {
        Step::Chunk(chunk) => {
            let args = [table[0].clone(), table[1].clone(), chunk.into(), number(rows), number(bytes)];
            let sql = "UPDATE {l}chunks SET state = 'done', row_count = ?4, byte_count = ?5 \
                       WHERE database_name = ?1 AND label = ?2 AND chunk = ?3 AND state = 'waiting'";
            if tx.execute(sql, &args).await? != 1 {
                return Err(superseded(&label, "the chunk was copied by another process"));
            }
        }
        Step::Batch { to, .. } => {
            let args = [table[0].clone(), table[1].clone(), to.to_text().into()];
            let sql = "UPDATE {l}tables SET watermark = ?3 WHERE database_name = ?1 AND label = ?2";
            tx.execute(sql, &args).await?;
        }
        Step::Again => {}
        Step::Requeued(entries) => owned::forget_requeued(tx, act, entries).await?,
    }
    Ok(())
}

/// Forgets parked keys of a table that was made equal as a whole.
///
/// # Errors
/// When the target can't be written.
pub async fn forget_parked(tx: &mut dyn Tx, act: &Act<'_>) -> Result<()> {
    let sql = "DELETE FROM {l}parked WHERE database_name = ?1 AND label = ?2";
    tx.execute(sql, &[act.database.into(), act.table.label().into()]).await?;
    Ok(())
}

async fn park(tx: &mut dyn Tx, table: &[Arg; 2], key: &Key, reason: &str) -> Result<()> {
    let args = [table[0].clone(), table[1].clone(), key_hash(key).into(), reason.into()];
    let known = "UPDATE {l}parked SET reason = ?4 WHERE database_name = ?1 AND label = ?2 AND key_hash = ?3";
    if tx.execute(known, &args).await? == 0 {
        let [database, label, hash, reason] = args;
        let args = [database, label, hash, to_json(key).into(), reason, now().into()];
        let sql = "INSERT INTO {l}parked (database_name, label, key_hash, key_json, reason, since) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        tx.execute(sql, &args).await?;
    }
    Ok(())
}
