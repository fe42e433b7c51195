//! The one act: *make these keys equal to the source*.
//!
//! Copy, replay, retry, reload and repair are this act on different key sets. Each call is one target
//! transaction: guard, rows, parked keys, watermark or chunk, commit. There is no other way to write
//! a row.

mod requeue;
mod sift;

use requeue::LookedUp;

use crate::engine::{Feed, Target, Tx};
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::ledger::{self, Act, Step, owned, owned::Owned};
use crate::model::{Applied, Key, RowStream};

/// How many rows that a batch refused are tried one by one; beyond that they are parked as they are. A rule
/// that fits no row would take hours else, in one transaction.
const MOST_TRIED_ALONE: usize = 1_000;

/// Makes the target's rows of the keys in `states` equal; with `keys` (all keys of the source), also
/// deletes the target rows whose key is not among those. Rows that the target refuses are parked.
///
/// # Errors
/// [`Kind::Superseded`] when the act is not right any more; what the engine says otherwise.
pub async fn states(
    target: &dyn Target,
    act: &Act<'_>,
    states: Feed<'_>,
    keys: Option<RowStream>,
) -> Result<Applied> {
    let mut tx = target.begin().await?;
    let guarded = ledger::guard(tx.as_mut(), act).await?;
    let (rows, bytes) = tx.stage(act.table, states).await?;
    let parked = ledger::parked_hashes(tx.as_mut(), act).await?;
    let mut applied = Applied::default();
    if rows > 0 {
        if guarded.has_native || guarded.has_removed {
            applied.add(&sift::sift(tx.as_mut(), act, guarded, &parked).await?);
        }
        let looked_up = LookedUp::read(tx.as_mut(), act, guarded).await?;
        let outcome = equalise(tx.as_mut(), act).await?;
        fault::point("after_equalise").await?;
        applied.add(&outcome.applied);
        record(tx.as_mut(), act, &parked, &outcome.refused).await?;
        if guarded.has_native {
            sift::end_native(tx.as_mut(), act).await?;
        }
        applied.parked += count(outcome.refused.len());
        if let Some(looked_up) = looked_up {
            looked_up.note(tx.as_mut(), act).await?;
        }
    }
    if let Some(mut keys) = keys {
        let keep = match guarded.has_native {
            true => owned::all(tx.as_mut(), act.database, &act.table.label(), Owned::Native).await?,
            false => Vec::new(),
        };
        let pruned = tx.prune(act.table, Feed::Stream(&mut keys), &keep).await?;
        if pruned > 0 {
            requeue::all(tx.as_mut(), act).await?;
        }
        applied.deleted += pruned;
    }
    ledger::advance(tx.as_mut(), act, rows, bytes).await?;
    commit(tx, act).await?;
    Ok(applied)
}

/// Loads a chunk of a first copy right into its table, which was empty when the copy began. Returns
/// rows and bytes.
///
/// # Errors
/// [`Kind::Data`] when a row collides or is refused: nothing is written then, and the chunk is to be
/// done through [`states`], which parks what is refused.
pub async fn load(target: &dyn Target, act: &Act<'_>, mut rows: RowStream) -> Result<(u64, u64)> {
    let mut tx = target.begin().await?;
    ledger::guard(tx.as_mut(), act).await?;
    let (rows, bytes) = tx.load(act.table, Feed::Stream(&mut rows)).await?;
    ledger::advance(tx.as_mut(), act, rows, bytes).await?;
    commit(tx, act).await?;
    Ok((rows, bytes))
}

/// Makes a keyless table hold just the rows of the stream.
///
/// # Errors
/// As [`states`]; a row that is refused refuses the whole table, as there is no key to park.
pub async fn whole(target: &dyn Target, act: &Act<'_>, mut rows: RowStream) -> Result<Applied> {
    let mut tx = target.begin().await?;
    ledger::guard(tx.as_mut(), act).await?;
    let applied = tx.replace(act.table, Feed::Stream(&mut rows)).await?;
    ledger::forget_parked(tx.as_mut(), act).await?;
    if applied != Applied::default() {
        requeue::all(tx.as_mut(), act).await?;
    }
    ledger::advance(tx.as_mut(), act, applied.inserted, 0).await?;
    commit(tx, act).await?;
    Ok(applied)
}

/// Moves the watermark over an extent in which nothing of the table was dirty.
///
/// # Errors
/// As [`states`].
pub async fn pass(target: &dyn Target, act: &Act<'_>) -> Result<()> {
    let mut tx = target.begin().await?;
    ledger::guard(tx.as_mut(), act).await?;
    ledger::advance(tx.as_mut(), act, 0, 0).await?;
    commit(tx, act).await
}

async fn commit(tx: Box<dyn Tx>, act: &Act<'_>) -> Result<()> {
    let (before, after) = match act.step {
        Step::Chunk(_) => ("before_chunk_commit", "after_chunk_commit"),
        Step::Batch { .. } => ("before_batch_commit", "after_batch_commit"),
        Step::Again | Step::Requeued(_) => ("before_retry_commit", "after_retry_commit"),
    };
    fault::point(before).await?;
    tx.commit().await?;
    // Here the answer may be lost: the work is done, and we don't know. The caller goes on from the
    // ledger, whose watermark and chunk states say so.
    fault::point(after).await
}

struct Outcome {
    applied: Applied,
    refused: Vec<(i64, String)>,
}

/// Makes all staged keys equal, and finds the rows that the target refuses.
///
/// First all at once. If that fails: rows of one batch may only be in each other's way (two that swap
/// a unique value), so they are lifted out and put back. If that fails, halves, quarters and so on
/// find the rows that are refused; these are lifted out together and put back one by one, so that a
/// row which is bad in itself doesn't hold up a swap beside it.
async fn equalise(tx: &mut dyn Tx, act: &Act<'_>) -> Result<Outcome> {
    let table = act.table;
    tx.savepoint().await?;
    match tx.equalise(table, None).await {
        Ok(applied) => {
            tx.release().await?;
            return Ok(Outcome { applied, refused: Vec::new() });
        }
        Err(error) => refusal(tx, error).await?,
    };
    if tx.can_lift(act.table) {
        tx.savepoint().await?;
        match lift_and_put(tx, act).await {
            Ok(applied) => {
                tx.release().await?;
                return Ok(Outcome { applied, refused: Vec::new() });
            }
            Err(error) => refusal(tx, error).await?,
        };
    }
    let mut numbers = tx.staged(table).await?;
    if matches!(act.step, Step::Again) && numbers.len() > MOST_TRIED_ALONE {
        // Begun elsewhere each time: those behind too many that stay refused have their turn too.
        let begin = rand::random_range(0..numbers.len());
        numbers.rotate_left(begin);
    }
    let mut outcome = bisect(tx, act, &numbers).await?;
    if tx.can_lift(act.table) && (2..=MOST_TRIED_ALONE).contains(&outcome.refused.len()) {
        put_one_by_one(tx, act, &mut outcome).await?;
    }
    Ok(outcome)
}

async fn lift_and_put(tx: &mut dyn Tx, act: &Act<'_>) -> Result<Applied> {
    tx.lift(act.table, None).await?;
    tx.put(act.table, None).await
}

/// Applies the numbers in ever smaller parts until what remains refused is single rows, or too many are.
async fn bisect(tx: &mut dyn Tx, act: &Act<'_>, numbers: &[i64]) -> Result<Outcome> {
    let mut outcome = Outcome { applied: Applied::default(), refused: Vec::new() };
    let halves = |part: &[i64]| {
        let (left, right) = part.split_at(part.len() / 2);
        [right.to_vec(), left.to_vec()]
    };
    let mut parts: Vec<Vec<i64>> = halves(numbers).into();
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        tx.savepoint().await?;
        match tx.equalise(act.table, Some(&part)).await {
            Ok(applied) => {
                tx.release().await?;
                outcome.applied.add(&applied);
            }
            Err(error) => {
                let reason = refusal(tx, error).await?;
                match part.as_slice() {
                    [number] => outcome.refused.push((*number, reason)),
                    rows if outcome.refused.len() >= MOST_TRIED_ALONE => {
                        let reason = format!("it or a row beside it is refused: {reason}");
                        outcome.refused.extend(rows.iter().map(|number| (*number, reason.clone())));
                    }
                    _ => parts.extend(halves(&part)),
                }
            }
        }
    }
    Ok(outcome)
}

/// Lifts the refused rows out together, so that none stands in another's way, and puts each back
/// alone. A row that is refused even so goes back as it was; if even that can't be (another row took
/// its unique value), all of them stay as they were, and parked.
async fn put_one_by_one(tx: &mut dyn Tx, act: &Act<'_>, outcome: &mut Outcome) -> Result<()> {
    let numbers: Vec<i64> = outcome.refused.iter().map(|(number, _)| *number).collect();
    tx.savepoint().await?;
    let tried = async {
        tx.lift(act.table, Some(&numbers)).await?;
        let mut second = Outcome { applied: Applied::default(), refused: Vec::new() };
        for number in numbers {
            tx.savepoint().await?;
            match tx.put(act.table, Some(&[number])).await {
                Ok(applied) => {
                    tx.release().await?;
                    second.applied.add(&applied);
                }
                Err(error) => second.refused.push((number, refusal(tx, error).await?)),
            }
        }
        let still: Vec<i64> = second.refused.iter().map(|(number, _)| *number).collect();
        tx.put_back(act.table, &still).await?;
        Ok(second)
    };
    match tried.await {
        Ok(second) => {
            tx.release().await?;
            outcome.applied.add(&second.applied);
            outcome.refused = second.refused;
        }
        Err(error) => {
            refusal(tx, error).await?;
        }
    }
    Ok(())
}

async fn record(
    tx: &mut dyn Tx,
    act: &Act<'_>,
    parked: &std::collections::HashSet<String>,
    refused: &[(i64, String)],
) -> Result<()> {
    let mut keys = Vec::new();
    if !parked.is_empty() {
        let numbers = tx.staged(act.table).await?;
        keys = tx.staged_keys(act.table, &numbers).await?;
    }
    let numbers: Vec<i64> = refused.iter().map(|(number, _)| *number).collect();
    let refused_keys =
        if numbers.is_empty() { Vec::new() } else { tx.staged_keys(act.table, &numbers).await? };
    let refused: Vec<(Key, String)> =
        refused_keys.into_iter().zip(refused).map(|(key, (_, reason))| (key, reason.clone())).collect();
    ledger::record_parked(tx, act, parked, &keys, &refused).await
}

/// After an error that the rows are to blame for: undoes the attempt and gives the reason. Any other
/// error is handed on.
async fn refusal(tx: &mut dyn Tx, error: Error) -> Result<String> {
    if error.kind() != Kind::Data {
        return Err(error);
    }
    tx.rollback_to_savepoint().await?;
    Ok(error.summary())
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
