//! Keeps what is the upgrade's out of an act (docs/how-it-works.md, "ownership is known, not guessed"):
//! rows that only it made are left alone, rows that it deleted don't come back.

use std::collections::HashSet;

use crate::engine::{Tx, Watch};
use crate::error::Result;
use crate::ledger::{self, Act, Guarded, Step, owned, owned::Owned};
use crate::model::{Applied, Key};

const NATIVE: &str = "the upgrade made a row with this key, which is not production's to change; to do: delete or \
                      renumber one of both";
const UNCERTAIN: &str = "the upgrade deleted this row, and its change log was interrupted since: whether production \
                         made it anew can't be told; to do: delete it on production, or write it there once more \
                         (delete and insert)";

/// Takes staged keys out that are the upgrade's. Those that production has a row for, where that row can't
/// be told from the upgrade's, are parked.
pub(super) async fn sift(
    tx: &mut dyn Tx,
    act: &Act<'_>,
    guarded: Guarded,
    parked: &HashSet<String>,
) -> Result<Applied> {
    let mut refused = Vec::new();
    if guarded.has_removed {
        refused.extend(removed(tx, act, parked).await?);
    }
    let mut gone = Vec::new();
    if guarded.has_native {
        let (present, absent) = native(tx, act).await?;
        refused.extend(present.into_iter().map(|key| (key, NATIVE.to_string())));
        owned::count_dropped(tx, act, &absent, parked).await?;
        gone = absent;
    }
    ledger::record_parked(tx, act, parked, &gone, &refused).await?;
    Ok(Applied { parked: refused.len() as u64, ..Applied::default() })
}

/// Unstages keys whose rows the upgrade deleted, unless production deleted or inserted them since. Returns
/// those to be parked.
async fn removed(tx: &mut dyn Tx, act: &Act<'_>, parked: &HashSet<String>) -> Result<Vec<(Key, String)>> {
    let numbers = tx.staged(act.table).await?;
    let keys = tx.staged_keys(act.table, &numbers).await?;
    let hits = owned::among(tx, act, Owned::Removed, &keys).await?;
    if hits.is_empty() {
        return Ok(Vec::new());
    }
    let hit_keys: Vec<Key> = hits.iter().map(|i| keys[*i].clone()).collect();
    let renewed: HashSet<Key> = match act.step {
        Step::Batch { from, .. } => {
            let watch = Watch { table: act.table, watermark: from, origin: act.origin };
            act.source.renewed(watch, &hit_keys).await?.into_iter().collect()
        }
        Step::Chunk(_) | Step::Again | Step::Requeued(_) => HashSet::new(),
    };
    let ended: Vec<Key> = hit_keys.iter().filter(|key| renewed.contains(*key)).cloned().collect();
    owned::forget(tx, act, Owned::Removed, &ended).await?;
    let stay: Vec<usize> = hits.into_iter().filter(|i| !renewed.contains(&keys[*i])).collect();
    // The states of a copy anew tell nothing of what happened to the keys meanwhile.
    let park = matches!(act.step, Step::Chunk(_));
    let unstaged: Vec<i64> = stay.iter().map(|i| numbers[*i]).collect();
    tx.unstage(act.table, &unstaged).await?;
    let stay: Vec<Key> = stay.into_iter().map(|i| keys[i].clone()).collect();
    owned::count_dropped(tx, act, &stay, parked).await?;
    Ok(stay.into_iter().filter(|_| park).map(|key| (key, UNCERTAIN.to_string())).collect())
}

/// Ends the marks of rows that somebody took away: the row that stands there now is production's, as no
/// key of a row that the upgrade made was left on the stage.
///
/// # Errors
/// When the target can't be read or written.
pub(super) async fn end_native(tx: &mut dyn Tx, act: &Act<'_>) -> Result<()> {
    let ended: Vec<Key> = native_standing(tx, act).await?.into_iter().map(|(_, key)| key).collect();
    owned::forget(tx, act, Owned::Native, &ended).await
}

/// The staged numbers that stand on the target under a key the upgrade made, with that key.
async fn native_standing(tx: &mut dyn Tx, act: &Act<'_>) -> Result<Vec<(i64, Key)>> {
    let columns: Vec<String> = act.table.matched().map(|(pair, _)| pair.target.clone()).collect();
    let standing: Vec<(i64, Key)> = tx
        .standing(act.table, &columns)
        .await?
        .into_iter()
        .map(|(number, values)| (number, values.into_iter().map(Option::unwrap_or_default).collect()))
        .collect();
    let keys: Vec<Key> = standing.iter().map(|(_, key)| key.clone()).collect();
    let hits = owned::among(tx, act, Owned::Native, &keys).await?;
    Ok(standing.into_iter().enumerate().filter(|(i, _)| hits.contains(i)).map(|(_, row)| row).collect())
}

/// Unstages keys that would touch rows which the upgrade made: those that production has a row for, and
/// those that it hasn't.
async fn native(tx: &mut dyn Tx, act: &Act<'_>) -> Result<(Vec<Key>, Vec<Key>)> {
    let numbers: Vec<i64> = native_standing(tx, act).await?.into_iter().map(|(number, _)| number).collect();
    if numbers.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let is_present: HashSet<i64> = tx.staged_present(act.table).await?.into_iter().collect();
    let keys = tx.staged_keys(act.table, &numbers).await?;
    tx.unstage(act.table, &numbers).await?;
    let (present, absent): (Vec<_>, Vec<_>) =
        numbers.iter().zip(keys).partition(|(number, _)| is_present.contains(number));
    let keys = |some: Vec<(&i64, Key)>| some.into_iter().map(|(_, key)| key).collect();
    Ok((keys(present), keys(absent)))
}
