//! What a report rests on: nothing of it is inferred from a phase.

use std::collections::{BTreeMap, HashSet};

use crate::engine::Watch;
use crate::error::Result;
use crate::ledger::AttemptState;
use crate::model::Extent;
use crate::pair::Pair;
use crate::state::TableState;

/// What of each table's log has to be applied.
pub(super) type Barrier = BTreeMap<String, Extent>;

/// How many parked keys of a table are shown.
const PARKED_SHOWN: i64 = 3;

/// What of the ledger's tables is not equal to the source, and of each whether its watermark covers `barrier`
/// (without one: that it is replayed and nothing of it waits).
///
/// # Errors
/// When the ledger can't be read.
pub async fn unreached(pair: &Pair, barrier: Option<&BTreeMap<String, Extent>>) -> Result<Vec<String>> {
    let entry = pair.ledger.read().await?;
    let mut reasons = Vec::new();
    for table in &pair.plan.tables {
        let label = table.label();
        if !entry.tables.iter().any(|t| t.label == label) {
            reasons.push(format!("{label}: it is not copied"));
        }
    }
    for table in &entry.tables {
        let label = &table.label;
        if table.state != TableState::Replaying {
            let why = table.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            reasons.push(format!("{label}: it is {}{why}", table.state));
            continue;
        }
        let covers = |extent: &Extent| table.watermark.as_ref().is_some_and(|w| w.reaches(extent));
        if barrier.is_some_and(|barrier| !barrier.get(label).is_some_and(covers)) {
            reasons.push(format!("{label}: not all of its log was applied"));
        }
        if table.requeued > 0 {
            reasons
                .push(format!("{label}: what its rows look up has changed, and they are not made equal yet"));
        }
        if table.parked > 0 {
            let some = pair.ledger.parked(label, PARKED_SHOWN).await?;
            let some: Vec<String> =
                some.iter().map(|p| format!("({}): {}", p.key.join(", "), p.reason)).collect();
            reasons.push(format!("{label}: {} rows are parked: {}", table.parked, some.join("; ")));
        }
    }
    Ok(reasons)
}

/// Everything that keeps a database from being drained to `barrier`.
pub(super) async fn reasons(pair: &Pair, barrier: Option<&Barrier>) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    // Capture is looked at once more: had it been silent since, nothing here would be true.
    for found in pair.sides.source.inspect(&pair.plan).await? {
        if found.fault.is_some() {
            reasons.push(format!("{}: its capture is not sound", found.label));
        }
    }
    // Tables that came after the copy and have no place on the target.
    for blocker in pair.plan.blockers.iter().filter(|b| b.table.is_some()) {
        reasons.push(format!("{}: {}", blocker.table.clone().unwrap_or_default(), blocker.what));
    }
    let open = pair.ledger.open_definitions().await?.len();
    if open > 0 {
        reasons.push(format!("{open} indexes, keys or views are still to be made on the target"));
    }
    reasons.extend(unreached(pair, barrier).await?);
    Ok(reasons)
}

/// The tables of which the log holds something that is not applied.
pub(super) async fn dirty(pair: &Pair) -> Result<Vec<String>> {
    let entry = pair.ledger.read().await?;
    let mut watches = Vec::new();
    for table in &pair.plan.tables {
        let known = entry.tables.iter().find(|t| t.label == table.label());
        let known = known.and_then(|t| t.watermark.as_ref().zip(t.origin.as_ref()));
        watches.extend(known.map(|(watermark, origin)| Watch { table, watermark, origin }));
    }
    let dirty = pair.sides.source.poll(&watches).await?;
    let written = watches.iter().zip(dirty).filter(|(_, dirty)| *dirty);
    Ok(written.map(|(watch, _)| watch.table.source.to_string()).collect())
}

/// Why a database that became final is not so any more, if it isn't. What can't be told is a reason, too.
pub(super) async fn fence_broken(pair: &Pair) -> Result<Vec<String>> {
    let source = &pair.sides.source;
    let attempt = pair.ledger.read().await?.attempt;
    let mut reasons = Vec::new();
    if attempt.state != AttemptState::Final {
        reasons.push(format!("the ledger has no final attempt: attempt {} is not", attempt.stamp));
    }
    match source.fence().await {
        Ok(fence) if !fence.raised => reasons.push("the fence is not up: production can write".to_string()),
        Ok(fence) if fence.stamp != attempt.stamp => {
            let (found, ours) = (fence.stamp, attempt.stamp);
            reasons.push(format!("the fence is that of attempt {found}, and not of {ours}, which was final"));
        }
        Ok(_) => {
            if let Err(error) = source.prove_fence(&pair.plan, attempt.stamp).await {
                reasons.push(format!("the fence can't be proved: {}", error.summary()));
            }
        }
        Err(error) => reasons.push(format!("the fence can't be read: {}", error.summary())),
    }
    match dirty(pair).await {
        Ok(dirty) => {
            reasons.extend(
                dirty.iter().map(|label| format!("{label} was written on the source since it was final")),
            );
        }
        Err(error) => reasons.push(format!("the change logs can't be read: {}", error.summary())),
    }
    Ok(reasons)
}

/// What the target's sequences would give next, against what is in use: reasons, where values that are taken
/// would be given; and what is good to know (docs/how-it-works.md, "sequences are checked by what they feed").
pub(super) async fn sequences(pair: &Pair) -> Result<(Vec<String>, Vec<String>)> {
    let uses = pair.sides.target.sequence_uses(&pair.plan).await?;
    let known: HashSet<String> =
        pair.sides.source.sequences().await?.iter().map(|s| s.name.name.to_lowercase()).collect();
    let (mut reasons, mut remarks) = (Vec::new(), Vec::new());
    for found in uses {
        let (sequence, table, column) = (&found.sequence, &found.table, &found.column);
        if let Some(farthest) = found.farthest.filter(|_| found.is_behind) {
            reasons.push(format!(
                "sequence {sequence} is behind: it would give {} for {table}.{column}, which goes to {farthest} \
                 already; fix: {}",
                found.next, found.remedy
            ));
        } else if !known.contains(&sequence.name.to_lowercase()) {
            remarks.push(format!(
                "sequence {sequence}, which feeds {table}.{column}, has no partner of its name on the source: it was \
                 not moved; it is beyond every value in use"
            ));
        }
    }
    Ok((reasons, remarks))
}
