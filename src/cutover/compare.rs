//! Compares the rows of both sides at one state of the source: held in a snapshot, or fenced.

use std::collections::HashSet;

use crate::engine::{Feed, Watch};
use crate::error::{At, Result};
use crate::ledger::TableEntry;
use crate::ledger::owned::{self, Owned};
use crate::model::{Bounds, Key, Layout, OnDelete, Strategy, TablePlan};
use crate::pair::Pair;

/// How many keys that exist on one side only are shown.
const STRAYS_SHOWN: usize = 3;

/// What was counted of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The table.
    pub label: String,
    /// Its rows on the source.
    pub source: u64,
    /// Its rows on the target.
    pub target: u64,
    /// How both sides differ, where they may not.
    pub difference: Option<String>,
}

/// Compares the rows of every table: by number, and by key where not every row has its counterpart.
///
/// # Errors
/// When a side can't be read.
pub async fn rows(pair: &Pair) -> Result<Vec<Counted>> {
    let entry = pair.ledger.read().await?;
    let mut all = Vec::with_capacity(pair.plan.tables.len());
    for table in &pair.plan.tables {
        let known = entry.tables.iter().find(|t| t.label == table.label());
        all.push(one(pair, table, known).await.at(&table.source)?);
    }
    Ok(all)
}

async fn one(pair: &Pair, table: &TablePlan, known: Option<&TableEntry>) -> Result<Counted> {
    let sides = &pair.sides;
    let (source, target) = tokio::try_join!(sides.source.count(table), sides.target.count(table))?;
    let owned = pair.ledger.owned(&table.label()).await?;
    let difference = match known.filter(|_| is_partial(table, owned)) {
        Some(known) => strays(pair, table, known).await?,
        None => (source != target)
            .then(|| format!("{}: {source} rows on the source, {target} on the target", table.source)),
    };
    Ok(Counted { label: table.label(), source, target, difference })
}

/// Whether a keyed table has rows on one side that are not to be on the other: its rule leaves some out or
/// keeps some, another table goes into the same one, or the upgrade made or deleted some.
fn is_partial(table: &TablePlan, (native, removed): (u64, u64)) -> bool {
    let rule = &table.rule;
    let by_rule = rule.filter.is_some() || rule.transform.is_some() || rule.on_delete == OnDelete::Keep;
    let by_upgrade = native + removed > 0;
    table.strategy == Strategy::Keyed && (by_rule || by_upgrade || table.constants().next().is_some())
}

/// What exists on one side of such a table and should exist on both.
async fn strays(pair: &Pair, table: &TablePlan, known: &TableEntry) -> Result<Option<String>> {
    // A table without these is not copied, which is told by its state.
    let Some((watermark, origin)) = known.watermark.as_ref().zip(known.origin.as_ref()) else {
        return Ok(None);
    };
    let watch = Watch { table, watermark, origin };
    let mut keys = pair.sides.source.stream(watch, &Bounds::all(), Layout::Keys).await?;
    let mut tx = pair.sides.target.begin().await?;
    let found = tx.compare_keys(table, Feed::Stream(&mut keys)).await?;
    let database = &pair.database.name;
    let removed = owned::all(tx.as_mut(), database, &known.label, Owned::Removed).await?;
    let native = owned::all(tx.as_mut(), database, &known.label, Owned::Native).await?;
    // What a command leaves out is known to the command alone.
    let missing = if table.rule.transform.is_some() { Vec::new() } else { found.source_only };
    let missing = without(missing, removed);
    let keeps = table.rule.on_delete == OnDelete::Keep;
    let too_much = if keeps { Vec::new() } else { without(found.target_only, native) };
    if missing.is_empty() && too_much.is_empty() {
        return Ok(None);
    }
    let told =
        [(missing, "rows are missing on the target"), (too_much, "rows of the target are not production's")]
            .into_iter()
            .filter(|(keys, _)| !keys.is_empty())
            .map(|(keys, what)| {
                let some: Vec<String> =
                    keys.iter().take(STRAYS_SHOWN).map(|key| format!("({})", key.join(", "))).collect();
                format!("{} {what}: {}", keys.len(), some.join(" "))
            });
    Ok(Some(format!("{}: {}", table.source, told.collect::<Vec<_>>().join("; "))))
}

fn without(keys: Vec<Key>, others: Vec<Key>) -> Vec<Key> {
    let others: HashSet<Key> = others.into_iter().collect();
    keys.into_iter().filter(|key| !others.contains(key)).collect()
}
