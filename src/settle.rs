//! Classifies rows by origin: finds out, once the target's schema is upgraded, which rows are whose: keys that only the target has
//! are *native* (the upgrade made them), keys that only the source has and that are not dirty are *removed*
//! (the upgrade deleted them). Replay and verification leave both alone
//! (docs/how-it-works.md, "ownership is known, not guessed").
//!
//! Runs while replay is paused: the watermarks stand still, and with them what is dirty. The source's keys
//! are read first and the dirty ones after them, so a key that production changed since the pause began is
//! among the dirty ones, whatever it looked like in between.

use std::collections::HashSet;

use crate::copy::no_rows;
use crate::engine::{Feed, KeyDifferences, Limits, Origin, Source, Target, Tx, Watch};
use crate::error::{At, Error, Kind, Result};
use crate::ledger::{Ledger, TableEntry, owned, owned::Owned};
use crate::model::{Block, Bounds, Extent, Key, Layout, OnDelete, Plan, Schema, Strategy, TablePlan};
use crate::pair::{self, Pair};
use crate::plan;
use crate::state::TableState;

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

/// The least share of a table's keys, and the least number of them, that is not taken for an upgrade's will
/// unless the settings say so.
const USUAL_SHARE: f64 = 0.2;
const FEW_KEYS: u64 = 1_000;

/// Classifies the rows of every table of the plan; gives the tables of which not all rows are production's.
/// Nothing is recorded before all tables are found to be plausible. Then each is recorded in one transaction;
/// dying between does no harm, as classifying again finds the same.
///
/// # Errors
/// [`Kind::Refused`] when it can't be told whose rows are whose, or when so many keys differ that it need not be
/// what the upgrade was meant to do.
pub async fn settle(pair: &Pair) -> Result<Vec<Settled>> {
    let entry = pair.ledger.read().await?;
    let schema = pair.sides.source.schema().await?;
    let captured = pair::kept_plan(&schema, &pair.database.name, &pair.ledger, &entry);
    let captured = captured.await?;
    let (mut found, mut implausible) = (Vec::new(), Vec::new());
    for table in &pair.plan.tables {
        let label = table.label();
        let copied = entry.tables.iter().find(|t| t.label == label && t.watermark.is_some());
        let origins = match (table.strategy, copied) {
            (Strategy::Whole, None) => continue,
            (Strategy::Whole, Some(entry)) => {
                whole(pair, table, entry).await.at(&table.source)?;
                continue;
            }
            (Strategy::Keyed, None) => before_copy(pair, table).await.at(&table.source)?,
            (Strategy::Keyed, Some(entry)) => {
                after_copy(pair, table, entry, &captured).await.at(&table.source)?
            }
        };
        let share = plan::origin_share(&pair.database, &table.source).unwrap_or(USUAL_SHARE);
        match origins.implausible(share) {
            Some(what) => implausible.push(format!("{label}: {what}")),
            None => found.push((table, origins)),
        }
    }
    if !implausible.is_empty() {
        return Err(refuse_implausible(pair, &implausible));
    }
    let mut all = Vec::new();
    for (table, origins) in found {
        let settled = record(pair, table, &origins).await.at(&table.source)?;
        if settled.native + settled.removed > 0 {
            let what = format!(
                "{}: the upgrade made {} rows and deleted {}",
                settled.label, settled.native, settled.removed
            );
            pair.ledger.event(&what).await?;
            all.push(settled);
        }
    }
    Ok(all)
}

fn refuse_implausible(pair: &Pair, implausible: &[String]) -> Error {
    let what = format!(
        "the upgrade changed which rows there are by more than an upgrade is expected to: {}",
        implausible.join("; ")
    );
    Error::refused(what).remedy(format!(
        "if that is what the upgrade is meant to do, say so in the settings: `[[database.{}.table]]` with `name` and \
         `origin_share = 1.0` (the share that is meant); else restore staging to before the upgrade, and upgrade again",
        pair.database.name
    ))
}

/// Which keys of a table are not production's to change, and how many of them this upgrade added.
#[derive(Default)]
struct Origins {
    native: Vec<Key>,
    removed: Vec<Key>,
    /// Keys that this upgrade made, of all that the target's own rows have.
    made: Part,
    /// Keys that this upgrade deleted, of all that the source has.
    deleted: Part,
}

/// Some of all.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    some: u64,
    all: u64,
}

impl Part {
    fn share(self) -> f64 {
        self.some as f64 / self.all.max(1) as f64
    }
}

impl Origins {
    /// What an upgrade is not expected to do (docs/how-it-works.md, "ownership is known, not guessed").
    fn implausible(&self, allowed: f64) -> Option<String> {
        let said = |verb: &str, keys: Part| {
            (keys.some > FEW_KEYS && keys.share() > allowed).then(|| {
                format!("it {verb} {} of {} keys ({:.0} %)", keys.some, keys.all, keys.share() * 100.0)
            })
        };
        let said: Vec<String> =
            [said("made", self.made), said("deleted", self.deleted)].into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(" and "))
    }
}

/// Nothing is copied yet: every row that stands there is the upgrade's. No row of production's was there that it
/// could have changed.
async fn before_copy(pair: &Pair, table: &TablePlan) -> Result<Origins> {
    let mut tx = pair.sides.target.begin().await?;
    let nothing = no_rows(table.form);
    let found = tx.compare_keys(table, Feed::Read(&nothing)).await?;
    Ok(Origins { native: found.target_only, ..Origins::default() })
}

/// What to do where the change log does not tell what production did: both ways end with rows of which
/// it is known whose they are.
const RESTORE_OR_EMPTY: &str = "restore staging to before the upgrade, let replay catch up, and upgrade again; or empty \
                                the table on the target, `highwater upgrade --done`, and once its rows are copied \
                                insert again what the upgrade had made there";

async fn after_copy(pair: &Pair, table: &TablePlan, entry: &TableEntry, captured: &Plan) -> Result<Origins> {
    let watch = watch(table, entry)?;
    same_keys(table, entry)?;
    let found = match keyed(pair, table, entry, watch).await {
        Err(error) if error.kind() == Kind::Doubtful => return doubted(pair, table, &error.summary()).await,
        found => found?,
    };
    let is_something = !found.native.is_empty() || !found.removed.is_empty();
    if is_something && !is_sound(pair, table, watch.origin, captured).await? {
        let what = format!("{}: its change log may have missed something", table.label());
        return doubted(pair, table, &what).await;
    }
    Ok(found)
}

/// Whether everything that production did up to now is in the change log: nothing tells of a TRUNCATE that
/// no trigger saw, of triggers that were away for a while, or of commits that a crash took away, but this.
/// Capture is what it was made for, whatever is to be captured from now on: it is not changed here.
async fn is_sound(pair: &Pair, table: &TablePlan, origin: &Origin, captured: &Plan) -> Result<bool> {
    let label = table.label();
    let verdicts = pair.sides.source.inspect(captured).await?;
    let verdict = verdicts.into_iter().find(|verdict| verdict.label == label);
    let is_intact = verdict.is_some_and(|verdict| {
        verdict.fault.is_none() && verdict.generation.as_ref() == Some(&origin.generation)
    });
    Ok(is_intact && pair.sides.identity.life == origin.identity.life)
}

/// A full resync of the table will follow. Where nothing stands there, nothing can be taken for another's.
async fn doubted(pair: &Pair, table: &TablePlan, why: &str) -> Result<Origins> {
    if pair::holds_nothing(&pair.sides, Some(&pair.ledger), table).await? {
        return Ok(Origins::default());
    }
    let what = format!("{why}: which rows the upgrade made or deleted can't be told");
    Err(Error::refused(what).remedy(RESTORE_OR_EMPTY))
}

async fn keyed(pair: &Pair, table: &TablePlan, entry: &TableEntry, watch: Watch<'_>) -> Result<Origins> {
    let parked = pair.ledger.parked(&entry.label, i64::MAX).await?;
    let parked: Vec<Key> = parked.into_iter().map(|p| p.key).collect();
    let mut keys = pair.sides.source.stream(watch, &Bounds::all(), Layout::Keys).await?;
    let mut tx = pair.sides.target.begin().await?;
    let KeyDifferences { source_keys, source_only, target_only } =
        tx.compare_keys(table, Feed::Stream(&mut keys)).await?;
    let target_keys = (source_keys + target_only.len() as u64).saturating_sub(source_only.len() as u64);
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
    if !dirty.truncated && table.rule.on_delete == OnDelete::Delete {
        native.extend(taken(pair, tx.as_mut(), watch, entry.paused.as_ref()).await?);
    }
    // An earlier upgrade's were plausible, or allowed, then.
    let made = native.difference(&marked.native).count() as u64;
    let deleted = removed.iter().filter(|key| !marked.removed.contains(*key)).count() as u64;
    native.extend(marked.native);
    Ok(Origins {
        native: native.into_iter().collect(),
        removed,
        made: Part { some: made, all: target_keys },
        deleted: Part { some: deleted, all: source_keys },
    })
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
pub async fn keep_baselines(target: &dyn Target, ledger: &Ledger) -> Result<()> {
    let schema = target.schema().await?;
    for entry in ledger.read().await?.tables {
        let Some(table) = entry.plan.as_ref().filter(|t| t.strategy == Strategy::Whole) else { continue };
        // What was changed unannounced is no baseline: settling compares with production's rows then.
        let baseline = match stands(&schema, table) {
            true => Some(baseline(target, table).await.at(&table.source)?),
            false => None,
        };
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
/// as they are.
async fn baseline(target: &dyn Target, table: &TablePlan) -> Result<String> {
    let mut columns: Vec<(&str, &str)> = table
        .columns
        .iter()
        .filter(|c| c.expression.is_none())
        .map(|c| (c.source.as_str(), c.target.as_str()))
        .collect();
    // In the order of the source's names, which the upgrade does not change.
    columns.sort_unstable();
    let columns: Vec<&str> = columns.into_iter().map(|(_, target)| target).collect();
    target.digest(table, &columns).await
}

/// A keyless table has no keys to tell rows apart by. Where the upgrade left its rows alone, it goes on; else
/// whatever production does there next would undo the upgrade.
async fn whole(pair: &Pair, table: &TablePlan, entry: &TableEntry) -> Result<()> {
    let target = pair.sides.target.as_ref();
    if let Some(before) = &entry.baseline
        && baseline(target, table).await? == *before
    {
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

async fn record(pair: &Pair, table: &TablePlan, origins: &Origins) -> Result<Settled> {
    let (database, label) = (&pair.database.name, table.label());
    let mut tx = pair.ledger.begin_upgrading().await?;
    owned::record(tx.as_mut(), database, &label, Owned::Native, &origins.native).await?;
    owned::record(tx.as_mut(), database, &label, Owned::Removed, &origins.removed).await?;
    tx.commit().await?;
    Ok(Settled { label, native: origins.native.len() as u64, removed: origins.removed.len() as u64 })
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
