//! Applies to the target what is dirty in a held snapshot of the source, with the states of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::error::{Policy, Result};
use crate::ledger::{Entry, TableEntry};
use crate::model::Extent;
use crate::pair::Pair;
use crate::replay::Replay;

/// What is done to a table in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Its dirty keys, up to the snapshot.
    Drain,
    /// Its rows whose lookups may be stale, and its parked keys.
    Again,
}

/// What of each table's log the snapshot shows; or why the target can't be made equal to it.
pub(super) type CaughtUp = std::result::Result<BTreeMap<String, Extent>, String>;

/// Brings every table to the snapshot that `held` reads.
pub(super) async fn catch_up(held: &Arc<Pair>) -> Result<CaughtUp> {
    let mut entry = held.ledger.read().await?;
    if let Some(why) = stopped_by(round(held, &entry, Round::Drain).await)? {
        return Ok(Err(why));
    }
    // A lookup that is made again can make others stale: those behind it, one level with each round.
    for _ in 0..=held.plan.tables.len() {
        entry = held.ledger.read().await?;
        let left = unsettled(&entry);
        if left == 0 {
            break;
        }
        if let Some(why) = stopped_by(round(held, &entry, Round::Again).await)? {
            return Ok(Err(why));
        }
        entry = held.ledger.read().await?;
        if unsettled(&entry) == left && !entry.tables.iter().any(|t| t.requeued > 0) {
            break;
        }
    }
    reached(held).await
}

/// A table that can't go on is a reason; what concerns the connection is an error.
fn stopped_by(done: Result<()>) -> Result<Option<String>> {
    match done {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.policy(), Policy::StopTable | Policy::Reload) => {
            Ok(Some(error.summary()))
        }
        Err(error) => Err(error),
    }
}

fn unsettled(entry: &Entry) -> u64 {
    entry.tables.iter().map(|t| t.requeued + t.parked).sum()
}

async fn round(held: &Arc<Pair>, entry: &Entry, round: Round) -> Result<()> {
    let wanted = |t: &&TableEntry| round == Round::Drain || t.requeued + t.parked > 0;
    let tables: Vec<TableEntry> = entry.tables.iter().filter(wanted).cloned().collect();
    let jobs = tables.into_iter().map(|table| {
        let held = held.clone();
        async move { one(&held, &table, round).await }
    });
    stream::iter(jobs).buffer_unordered(held.replay_jobs()).try_collect().await
}

async fn one(held: &Arc<Pair>, entry: &TableEntry, round: Round) -> Result<()> {
    let plan = held.plan.table(&entry.label).cloned();
    let Some(((table, origin), watermark)) = plan.zip(entry.origin.clone()).zip(entry.watermark.clone())
    else {
        return Ok(());
    };
    let replay = Replay { pair: held.clone(), table, origin };
    if round == Round::Drain {
        replay.drain(watermark, CancellationToken::new()).await?;
        return Ok(());
    }
    if entry.requeued > 0 {
        replay.clone().look_up_again(watermark.clone()).await?;
    }
    if entry.parked > 0 {
        replay.retry(watermark).await?;
    }
    Ok(())
}

/// Whether every table is equal to the snapshot: its watermark covers the log as the snapshot shows it, and
/// nothing of it waits.
async fn reached(held: &Pair) -> Result<CaughtUp> {
    let mut extents = BTreeMap::new();
    for table in &held.plan.tables {
        extents.insert(table.label(), held.sides.source.extent(table).await?);
    }
    let in_the_way = crate::cutover::unreached(held, Some(&extents)).await?.into_iter().next();
    Ok(in_the_way.map_or(Ok(extents), Err))
}
