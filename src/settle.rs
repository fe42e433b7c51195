//! Finds out, once the target's schema is upgraded, which rows are whose: keys that only the target has
//! are *native* (the upgrade made them), keys that only the source has and that are not dirty are *removed*
//! (the upgrade deleted them). Replay and verification leave both alone
//! (docs/how-it-works.md, "ownership is known, not guessed").
//!
//! Runs while replay is paused: the watermarks stand still, and with them what is dirty. The source's keys
//! are read first and the dirty ones after them, so a key that production changed since the pause began is
//! among the dirty ones, whatever it looked like in between.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::copy::no_rows;
use crate::engine::{Feed, KeyDifferences, Limits, Origin, Source, Target, Tx, Watch};
use crate::error::{At, Error, Kind, Result};
use crate::ledger::{Ledger, TableEntry, owned, owned::Owned};
use crate::model::{Block, Bounds, Extent, Key, Layout, OnDelete, Schema, Strategy, TablePlan};
use crate::pair::{self, Pair};
use crate::plan;
use crate::settings::EngineKind;
use crate::state::TableState;

/// How many rows of a keyless table are compared one by one.
const MOST_COMPARED: usize = 200_000;

/// What was found of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The table.
    pub label: String,
    /// How many target rows only the upgrade made.
    pub native: u64,
    /// How many rows the upgrade deleted.
    pub removed: u64,
}

/// Settles every table of the plan; gives those of which not all is production's. Each is recorded in one
/// transaction; dying between does no harm, as settling again finds the same.
///
/// # Errors
/// [`Kind::Refused`] when it can't be told whose rows are whose; nothing is recorded of that table then.
pub async fn settle(pair: &Pair) -> Result<Vec<Settled>> {
    let entry = pair.ledger.read().await?;
    let mut all = Vec::new();
    for table in &pair.plan.tables {
        let label = table.label();
        let copied = entry.tables.iter().find(|t| t.label == label && t.state != TableState::Waiting);
        let found = match (table.strategy, copied) {
            (Strategy::Whole, None) => continue,
            (Strategy::Whole, Some(entry)) => {
                whole(pair, table, entry).await.at(&table.source)?;
                continue;
            }
            (Strategy::Keyed, None) => before_copy(pair, table).await.at(&table.source)?,
            (Strategy::Keyed, Some(entry)) => after_copy(pair, table, entry).await.at(&table.source)?,
        };
        if found.native + found.removed > 0 {
            let what =
                format!("{label}: the upgrade made {} rows and deleted {}", found.native, found.removed);
            pair.ledger.event(&what).await?;
            all.push(found);
        }
    }
    Ok(all)
}

/// Nothing is copied yet: every row that stands there is the upgrade's.
async fn before_copy(pair: &Pair, table: &TablePlan) -> Result<Settled> {
    let mut tx = pair.sides.target.begin().await?;
    let nothing = no_rows(table.form);
    let found = tx.compare_keys(table, Feed::Read(&nothing)).await?;
    record(pair, tx, table, &found.target_only, &[]).await
}

/// What to do where the change log does not tell what production did: both ways end with rows of which
/// it is known whose they are.
const RESTORE_OR_EMPTY: &str = "restore staging to before the upgrade, let replay catch up, and upgrade again; or empty \
                                the table on the target, `highwater upgrade --done`, and once its rows are copied \
                                insert again what the upgrade had made there";

async fn after_copy(pair: &Pair, table: &TablePlan, entry: &TableEntry) -> Result<Settled> {
    let watch = watch(table, entry)?;
    same_keys(table, entry)?;
    let found = match keyed(pair, table, entry, watch).await {
        Err(error) if error.kind() == Kind::Doubtful => return doubted(pair, table, &error.summary()).await,
        found => found?,
    };
    let is_something = !found.native.is_empty() || !found.removed.is_empty();
    if is_something && !is_sound(pair, table, watch.origin).await? {
        drop(found);
        let what = format!("{}: its change log may have missed something", table.label());
        return doubted(pair, table, &what).await;
    }
    record(pair, found.tx, table, &found.native, &found.removed).await
}

/// Whether everything that production did up to now is in the change log: nothing tells of a TRUNCATE that
/// no trigger saw, of triggers that were away for a while, or of commits that a crash took away, but this.
async fn is_sound(pair: &Pair, table: &TablePlan, origin: &Origin) -> Result<bool> {
    let mut generations = pair.sides.source.install(&pair.plan, &|_| {}).await?.into_iter();
    let label = table.label();
    let generation = generations.find(|(found, _)| *found == label).map(|(_, generation)| generation);
    let generation = generation.transpose()?;
    Ok(generation.as_ref() == Some(&origin.generation) && pair.sides.identity.life == origin.identity.life)
}

/// The table will be copied anew. Where nothing stands there, nothing can be taken for somebody else's.
async fn doubted(pair: &Pair, table: &TablePlan, why: &str) -> Result<Settled> {
    if pair::holds_nothing(&pair.sides, Some(&pair.ledger), table).await? {
        return record(pair, pair.sides.target.begin().await?, table, &[], &[]).await;
    }
    let what = format!("{why}: which rows the upgrade made or deleted can't be told");
    Err(Error::refused(what).remedy(RESTORE_OR_EMPTY))
}

/// What was found of a table, in the transaction to record it in.
struct Found {
    tx: Box<dyn Tx>,
    native: Vec<Key>,
    removed: Vec<Key>,
}

async fn keyed(pair: &Pair, table: &TablePlan, entry: &TableEntry, watch: Watch<'_>) -> Result<Found> {
    let parked = pair.ledger.parked(&entry.label, i64::MAX).await?;
    let parked: Vec<Key> = parked.into_iter().map(|p| p.key).collect();
    let mut keys = pair.sides.source.stream(watch, &Bounds::all(), Layout::Keys).await?;
    let mut tx = pair.sides.target.begin().await?;
    let KeyDifferences { source_only, target_only } = tx.compare_keys(table, Feed::Stream(&mut keys)).await?;
    let dirty = Dirty::read(pair, tx.as_mut(), watch, &parked).await?;
    // What is marked already stays so for as long as the row is missing or stands there: production has
    // perhaps written a key since, which is not to make it production's.
    let marked = Marked::read(pair, tx.as_mut(), &entry.label).await?;
    let is_removed = |key: &Key| marked.removed.contains(key) || !dirty.keys.contains(key);
    let removed: Vec<Key> = source_only.into_iter().filter(is_removed).collect();
    let mut native: HashSet<Key> =
        target_only.into_iter().filter(|key| !dirty.standing.contains(key)).collect();
    let unknown = native.difference(&marked.native).count();
    if dirty.truncated && unknown > 0 {
        let what = format!(
            "production truncated the table while it was upgraded: of {unknown} target rows it can't be told whether \
             the upgrade made them"
        );
        return Err(Error::refused(what).remedy(RESTORE_OR_EMPTY));
    }
    native.extend(marked.native);
    if !dirty.truncated && table.rule.on_delete == OnDelete::Delete {
        native.extend(taken(pair, tx.as_mut(), watch, entry.paused.as_ref()).await?);
    }
    Ok(Found { tx, native: native.into_iter().collect(), removed })
}

/// The keys of target rows that are not production's although production has rows with their keys: it made
/// them after the pause, where it had none, so what stands on the target can only come from the upgrade.
async fn taken(pair: &Pair, tx: &mut dyn Tx, watch: Watch<'_>, paused: Option<&Extent>) -> Result<Vec<Key>> {
    let mut taken = Dirty::default();
    if let Some(paused) = paused {
        let arrived = pair.sides.source.arrived(watch, paused).await?;
        taken.look_up(pair, tx, watch, &arrived).await?;
    }
    Ok(taken.standing.into_iter().collect())
}

/// The marks that an earlier upgrade left, or an earlier attempt to settle this one.
struct Marked {
    native: HashSet<Key>,
    removed: HashSet<Key>,
}

impl Marked {
    async fn read(pair: &Pair, tx: &mut dyn Tx, label: &str) -> Result<Self> {
        let database = &pair.database.name;
        let mut all = async |owned| Ok(owned::all(tx, database, label, owned).await?.into_iter().collect());
        Ok(Marked { native: all(Owned::Native).await?, removed: all(Owned::Removed).await? })
    }
}

/// The keys that production changed since replay was paused; and parked ones, as what production did with
/// them is still to come.
#[derive(Default)]
struct Dirty {
    keys: HashSet<Key>,
    /// The matched columns of the target rows of these.
    standing: HashSet<Key>,
    truncated: bool,
}

impl Dirty {
    async fn read(pair: &Pair, tx: &mut dyn Tx, watch: Watch<'_>, parked: &[Key]) -> Result<Self> {
        let mut dirty = Dirty::default();
        dirty.look_up(pair, tx, watch, parked).await?;
        let limits =
            Limits { rows: pair.settings.replay.batch_rows, bytes: pair.settings.replay.batch_bytes };
        // What production writes from here on is not asked for: it may write faster than this reads. That a
        // batch says there is no more is no end: it speaks of the delta that was being drained at the pause.
        let extent = pair.sides.source.extent(watch.table).await?;
        let mut from = watch.watermark.clone();
        loop {
            let batch = pair.sides.source.batch(Watch { watermark: &from, ..watch }, limits).await?;
            dirty.truncated |= batch.prune;
            if batch.keys > 0 {
                dirty.take(tx, watch.table, &batch.states.blocks).await?;
            }
            if batch.to.reaches(&extent) {
                return Ok(dirty);
            }
            from = batch.to;
        }
    }

    async fn look_up(&mut self, pair: &Pair, tx: &mut dyn Tx, watch: Watch<'_>, keys: &[Key]) -> Result<()> {
        let most = usize::try_from(pair.settings.replay.batch_rows).unwrap_or(usize::MAX);
        for some in keys.chunks(most.max(1)) {
            let states = pair.sides.source.states(watch, some).await?;
            self.take(tx, watch.table, &states.blocks).await?;
        }
        Ok(())
    }

    async fn take(&mut self, tx: &mut dyn Tx, table: &TablePlan, states: &[Block]) -> Result<()> {
        let columns: Vec<String> = table.matched().map(|(pair, _)| pair.target.clone()).collect();
        tx.stage(table, Feed::Read(states)).await?;
        let numbers = tx.staged(table).await?;
        self.keys.extend(tx.staged_keys(table, &numbers).await?);
        for (_, values) in tx.standing(table, &columns).await? {
            self.standing.insert(values.into_iter().map(Option::unwrap_or_default).collect());
        }
        tx.unstage(table, &numbers).await
    }
}

/// Notes of each table what there is of its log now that replay is paused, if nothing is noted yet. Noted
/// later than the pause it is as true: of the keys that production changed by then nothing is concluded.
///
/// # Errors
/// When the source can't be read or the target not be written.
pub async fn note_pause(source: &dyn Source, ledger: &Ledger) -> Result<()> {
    for entry in ledger.read().await?.tables {
        if let (Some(table), Some(_), None) = (&entry.plan, &entry.watermark, &entry.paused) {
            ledger.set_paused(&entry.label, &source.extent(table).await?).await?;
        }
    }
    Ok(())
}

/// Notes of each keyless table what identifies its rows on the target, before the upgrade begins.
///
/// # Errors
/// When the target can't be read or written.
pub async fn keep_baselines(target: &dyn Target, ledger: &Ledger, engine: EngineKind) -> Result<()> {
    let schema = target.schema().await?;
    for entry in ledger.read().await?.tables {
        let Some(table) = entry.plan.as_ref().filter(|t| t.strategy == Strategy::Whole) else { continue };
        // What was changed unannounced is no baseline: settling compares with production's rows then.
        let baseline = if stands(&schema, table) { baseline(target, table, engine).await? } else { None };
        ledger.set_baseline(&entry.label, baseline).await?;
    }
    Ok(())
}

/// Whether a table's columns on the target are those that the plan writes.
fn stands(schema: &Schema, table: &TablePlan) -> bool {
    schema.table(&table.target).is_some_and(|found| {
        let is_there = |name: &str, type_name: &str| {
            found.columns.iter().any(|c| c.name == name && c.type_name == type_name)
        };
        table.columns.iter().all(|c| is_there(&c.target, &c.target_type))
    })
}

/// What identifies the rows of a keyless target table, whatever their order, by the columns that are carried
/// as they are; `None` where there are too many rows.
async fn baseline(target: &dyn Target, table: &TablePlan, engine: EngineKind) -> Result<Option<String>> {
    let mut columns: Vec<(&str, &str)> = table
        .columns
        .iter()
        .filter(|c| c.expression.is_none())
        .map(|c| (c.source.as_str(), c.target.as_str()))
        .collect();
    // In the order of the source's names, which the upgrade does not change.
    columns.sort_unstable();
    // With the table's name, as SQLite takes a quoted name that it doesn't know for a text.
    let from = plan::quoted_table(engine, &table.target);
    let list: Vec<String> =
        columns.iter().map(|(_, target)| format!("{from}.{}", plan::quoted(engine, target))).collect();
    let sql = format!("SELECT {} FROM {from}", list.join(", "));
    let rows = target.ask(&sql, MOST_COMPARED + 1).await?;
    if rows.len() > MOST_COMPARED {
        return Ok(None);
    }
    let mut digests: Vec<[u8; 32]> =
        rows.iter().map(|row| Sha256::digest(serde_json::to_vec(row).unwrap_or_default()).into()).collect();
    digests.sort_unstable();
    Ok(Some(hex::encode(Sha256::digest(digests.concat()))))
}

/// A keyless table has no keys to tell rows apart by. Where the upgrade left its rows alone, it goes on; else
/// whatever production does there next would undo the upgrade.
async fn whole(pair: &Pair, table: &TablePlan, entry: &TableEntry) -> Result<()> {
    let (target, engine) = (pair.sides.target.as_ref(), pair.database.target.engine());
    if entry.baseline.is_some() && baseline(target, table, engine).await? == entry.baseline {
        return Ok(());
    }
    let watch = watch(table, entry)?;
    let mut rows = pair.sides.source.stream(watch, &Bounds::all(), Layout::Plain).await?;
    let mut tx = target.begin().await?;
    let differs = tx.replace(table, Feed::Stream(&mut rows)).await?;
    drop(tx);
    if differs.deleted == 0 && differs.inserted == 0 {
        return Ok(());
    }
    let what = format!(
        "it has no key, and {} of its rows on the target are not production's, {} of production's are missing: the \
         upgrade's changes can't be told from production's",
        differs.deleted, differs.inserted
    );
    let remedy = "name columns that are unique in a rule (`key`) before the copy, or add it to `exclude`; then \
                  `highwater upgrade --done` again";
    Err(Error::refused(what).remedy(remedy))
}

async fn record(
    pair: &Pair,
    mut tx: Box<dyn Tx>,
    table: &TablePlan,
    native: &[Key],
    removed: &[Key],
) -> Result<Settled> {
    let (database, label) = (&pair.database.name, table.label());
    owned::record(tx.as_mut(), database, &label, Owned::Native, native).await?;
    owned::record(tx.as_mut(), database, &label, Owned::Removed, removed).await?;
    tx.commit().await?;
    Ok(Settled { label, native: native.len() as u64, removed: removed.len() as u64 })
}

fn watch<'a>(table: &'a TablePlan, entry: &'a TableEntry) -> Result<Watch<'a>> {
    match (&entry.watermark, &entry.origin, entry.state) {
        (Some(watermark), Some(origin), TableState::Replaying | TableState::Stopped) => {
            Ok(Watch { table, watermark, origin })
        }
        _ => Err(Error::new(
            Kind::Refused,
            format!("it is {}, so it can't be told which rows the upgrade made or deleted", entry.state),
        )
        .remedy("let every table be copied before the upgrade begins")),
    }
}

/// The change log holds the keys that were captured. Under another key or filter all of the source's rows
/// would seem to be the upgrade's doing.
fn same_keys(table: &TablePlan, entry: &TableEntry) -> Result<()> {
    let Some(before) = &entry.plan else { return Ok(()) };
    let changed = if before.key != table.key {
        "key"
    } else if before.rule.filter != table.rule.filter {
        "where"
    } else {
        return Ok(());
    };
    let what = format!("its rule's `{changed}` is not the one that it was copied under");
    let remedy = "put it back as it was; what says which rows are carried must be there before the copy";
    Err(Error::refused(what).remedy(remedy))
}
