//! Whose row it is, over an upgrade and a restore, as a model small enough to be explored completely.
//!
//! One key, as each key is classified by itself. Production inserts, updates and deletes its row at any
//! time; replay carries that over until an upgrade pauses it at a consistent point. The upgrade deletes the
//! row, or makes one where none is. Then the keys of both sides are compared and the dirty ones read, in
//! steps between which production writes on; what is concluded is recorded, and replay goes on. The target
//! may be restored to a backup from before, also while that is under way.
//!
//! What must hold:
//! - *deleted stays deleted*: a row that the upgrade deleted does not come back by an update of
//!   production's; when production has deleted or inserted the key since, it is another row;
//! - *made stays made*: no row that the upgrade made is overwritten or deleted;
//! - *nothing is dropped*: when the log is drained, the target has production's row, or the key is parked.
//!
//! The long form, `HIGHWATER_MODEL=long`, has two changes more and a second upgrade, and takes 4 seconds
//! of CPU; the short one takes less than one.

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::is_long;
use crate::support::clock;

const STAYS_DELETED: &str = "what the upgrade deleted stays deleted";
const STAYS_MADE: &str = "what the upgrade made is left alone";
const NOTHING_DROPPED: &str = "nothing of production's is dropped";
const REACHED: &str = "drained after an upgrade";

/// A rule that can be taken out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A key that only the source has, and that production neither inserted nor deleted since the pause,
    /// counts as deleted by the upgrade.
    /// Without: the upgrade deletes a row, production updates it, replay brings it back.
    DeletedIsRecorded,
    /// An update of production's alone does not make the key production's: what counts is an insert or a
    /// delete among the dirty entries.
    /// Without: production updates a row while the upgrade deletes it: it is dirty, and comes back.
    UpdatesDoNotCount,
    /// A delete or an insert of production's ends the record.
    /// Without: the upgrade deletes a row, production deletes it and inserts another: that never comes.
    RecordEnds,
    /// A key that only the target has, and that is not dirty, counts as made by the upgrade.
    /// Without: the upgrade makes a row, production inserts the key, replay overwrites it.
    MadeIsRecorded,
    /// A key with entries since the pause, the first of them an insert, was not there at the pause: what is
    /// there on the target is the upgrade's.
    /// Without: the upgrade makes a row and production inserts the same key meanwhile: both sides have it.
    InsertsSincePauseCount,
    /// Dirty keys are read after the source's keys.
    /// Without: nothing is dirty; production deletes the row; only the target has it: taken for the
    /// upgrade's, and never deleted.
    DirtyAfterKeys,
    /// Replay is paused at a consistent point: nothing is dirty then.
    /// Without: production inserts a key before the pause, the upgrade makes a row of it: an entry from
    /// before says nothing of who made it.
    PausedAtPoint,
    /// The record is made only while the phase is still *upgrading*.
    /// Without: keys are compared, the target is restored, the record of what was there before arrives.
    RecordedInPhase,
    /// Production's row under a key that the upgrade made is parked, not passed.
    /// Without: production inserts the key, the entry is passed, and nothing tells that the row is missing.
    MadeIsParked,
}

/// A row of production's: which insert made it, and how many changes it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Made {
    insert: u8,
    version: u8,
}

/// A row of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Row {
    Production(Made),
    Upgrade,
}

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Insert,
    Update,
    Delete,
}

/// The most changes of an exploration.
const MOST: usize = 6;

/// Production: its row, and the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Source {
    row: Option<Made>,
    log: [Option<Kind>; MOST],
    end: u8,
}

impl Source {
    /// The changes beyond a watermark.
    fn since(&self, from: u8) -> impl Iterator<Item = Kind> + '_ {
        self.log[usize::from(from)..usize::from(self.end)].iter().flatten().copied()
    }

    /// Whether production inserted or deleted the key beyond a watermark.
    fn is_renewed(&self, from: u8) -> bool {
        self.since(from).any(|kind| kind != Kind::Update)
    }

    fn change(&mut self, kind: Kind) {
        let version = self.end + 1;
        self.row = match (kind, self.row) {
            (Kind::Insert, _) => Some(Made { insert: version, version }),
            (Kind::Update, row) => row.map(|row| Made { version, ..row }),
            (Kind::Delete, _) => None,
        };
        self.log[usize::from(self.end)] = Some(kind);
        self.end = version;
    }
}

/// What is recorded of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    Production,
    UpgradeMade,
    UpgradeDeleted,
}

/// Staging with its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Target {
    row: Option<Row>,
    watermark: u8,
    upgrading: bool,
    /// The end of the log at the pause.
    paused: u8,
    origin: Origin,
    parked: bool,
    /// The truth: the insert whose row the upgrade deleted.
    deleted: Option<u8>,
    upgrades: u8,
}

/// How far the comparison of keys is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Compare {
    No,
    /// The source's keys are read: whether the key is among them.
    KeysRead(bool),
    /// The dirty entries were read first: what must not be done. How many there were.
    OnlyDirtyRead(u8),
    /// What is concluded; the target transaction is next.
    Concluded(Origin),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Backup {
    ToBeTaken,
    Taken(Target),
    Restored,
}

/// Everything at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    source: Source,
    target: Target,
    /// A batch whose keys are read up to here.
    batch: Option<u8>,
    compare: Compare,
    backup: Backup,
    /// A row that the upgrade made was overwritten or deleted.
    overwritten: bool,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Change(Kind),
    ReadBatch,
    /// Its states are read, and it commits.
    ApplyBatch,
    Retry,
    BeginUpgrade,
    UpgradeDeletes,
    UpgradeMakes,
    Compare,
    Record,
    TakeBackup,
    RestoreBackup,
}

struct Ownership {
    missing: Option<Rule>,
    changes: u8,
    upgrades: u8,
    /// Whether production has the row at first, and so the target.
    starts_with_row: bool,
}

impl Model for Ownership {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let row = self.starts_with_row.then_some(Made { insert: 0, version: 0 });
        let target = Target {
            row: row.map(Row::Production),
            watermark: 0,
            upgrading: false,
            paused: 0,
            origin: Origin::Production,
            parked: false,
            deleted: None,
            upgrades: 0,
        };
        let source = Source { row, log: [None; MOST], end: 0 };
        let (compare, backup) = (Compare::No, Backup::ToBeTaken);
        vec![World { source, target, batch: None, compare, backup, overwritten: false }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let all = [
            Step::Change(Kind::Insert),
            Step::Change(Kind::Update),
            Step::Change(Kind::Delete),
            Step::ReadBatch,
            Step::ApplyBatch,
            Step::Retry,
            Step::BeginUpgrade,
            Step::UpgradeDeletes,
            Step::UpgradeMakes,
            Step::Compare,
            Step::Record,
            Step::TakeBackup,
            Step::RestoreBackup,
        ];
        steps.extend(all.into_iter().filter(|&step| self.can(step, world)));
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = *world;
        self.take(step, &mut next);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(STAYS_DELETED, |_: &Ownership, world: &World| {
                let target = &world.target;
                let back = |row| matches!(row, Row::Production(made) if Some(made.insert) == target.deleted);
                !target.row.is_some_and(back)
            }),
            Property::always(STAYS_MADE, |_: &Ownership, world: &World| !world.overwritten),
            Property::always(NOTHING_DROPPED, |_: &Ownership, world: &World| {
                !is_drained(world) || has_all(world)
            }),
            Property::sometimes(REACHED, |_: &Ownership, world: &World| {
                is_drained(world) && world.target.upgrades > 0 && world.source.end > 1
            }),
        ]
    }
}

/// Whether the key is said to be the same on both sides.
fn is_drained(world: &World) -> bool {
    let target = &world.target;
    !target.upgrading && target.watermark == world.source.end && !target.parked
}

/// Whether the target has what production has, but for what the upgrade made and deleted.
fn has_all(world: &World) -> bool {
    match (world.source.row, world.target.row) {
        (Some(made), None) => world.target.deleted == Some(made.insert),
        (Some(made), Some(row)) => row == Row::Production(made),
        (None, row) => !matches!(row, Some(Row::Production(_))),
    }
}

impl Ownership {
    fn has(&self, rule: Rule) -> bool {
        self.missing != Some(rule)
    }

    fn can(&self, step: Step, world: &World) -> bool {
        let (source, target) = (&world.source, &world.target);
        let is_late = world.compare != Compare::No;
        match step {
            Step::Change(kind) => source.end < self.changes && (kind == Kind::Insert) == source.row.is_none(),
            Step::ReadBatch => !target.upgrading && target.watermark < source.end && world.batch.is_none(),
            Step::ApplyBatch => world.batch.is_some(),
            Step::Retry => !target.upgrading && target.parked,
            Step::BeginUpgrade => !target.upgrading && !is_late && target.upgrades < self.upgrades,
            Step::UpgradeDeletes => {
                target.upgrading && !is_late && matches!(target.row, Some(Row::Production(_)))
            }
            // A row that it deletes and makes again is production's still, with other values.
            Step::UpgradeMakes => {
                target.upgrading && !is_late && target.row.is_none() && target.deleted.is_none()
            }
            Step::Compare => (target.upgrading || is_late) && !matches!(world.compare, Compare::Concluded(_)),
            Step::Record => matches!(world.compare, Compare::Concluded(_)),
            Step::TakeBackup => world.backup == Backup::ToBeTaken && !target.upgrading,
            Step::RestoreBackup => matches!(world.backup, Backup::Taken(_)),
        }
    }

    fn take(&self, step: Step, world: &mut World) {
        match step {
            Step::Change(kind) => world.source.change(kind),
            Step::ReadBatch => world.batch = Some(world.source.end),
            Step::ApplyBatch => {
                let Some(to) = world.batch.take() else { return };
                if !world.target.upgrading && to > world.target.watermark {
                    let is_renewed = world.source.is_renewed(world.target.watermark);
                    self.apply(is_renewed, world);
                    world.target.watermark = to;
                }
            }
            Step::Retry => self.apply(false, world),
            Step::BeginUpgrade => self.begin(world),
            Step::UpgradeDeletes => {
                if let Some(Row::Production(made)) = world.target.row.take() {
                    world.target.deleted = Some(made.insert);
                }
            }
            Step::UpgradeMakes => world.target.row = Some(Row::Upgrade),
            Step::Compare => self.compare(world),
            Step::Record => self.record(world),
            Step::TakeBackup => world.backup = Backup::Taken(world.target),
            Step::RestoreBackup => {
                if let Backup::Taken(target) = world.backup {
                    world.target = target;
                    world.backup = Backup::Restored;
                }
            }
        }
    }

    /// Pauses replay, at a point where all that production did is applied.
    fn begin(&self, world: &mut World) {
        if self.has(Rule::PausedAtPoint) {
            let is_renewed = world.source.is_renewed(world.target.watermark);
            self.apply(is_renewed, world);
            world.target.watermark = world.source.end;
        }
        world.target.upgrading = true;
        world.target.paused = world.source.end;
        world.target.upgrades += 1;
    }

    /// Makes the key equal to production's state, unless it is the upgrade's.
    fn apply(&self, is_renewed: bool, world: &mut World) {
        let target = &mut world.target;
        let state = world.source.row;
        if target.origin == Origin::UpgradeDeleted {
            if !(is_renewed && self.has(Rule::RecordEnds)) {
                return;
            }
            target.origin = Origin::Production;
        }
        if target.origin == Origin::UpgradeMade && target.row.is_some() {
            target.parked = state.is_some() && self.has(Rule::MadeIsParked);
            return;
        }
        target.origin = Origin::Production;
        world.overwritten |= target.row == Some(Row::Upgrade);
        target.row = state.map(Row::Production);
        target.parked = false;
    }

    fn compare(&self, world: &mut World) {
        let (source, target) = (&world.source, &world.target);
        let here = source.row.is_some();
        world.compare = match world.compare {
            Compare::No if self.has(Rule::DirtyAfterKeys) => Compare::KeysRead(here),
            Compare::No => Compare::OnlyDirtyRead(source.end),
            Compare::KeysRead(here) => Compare::Concluded(self.conclude(here, source.end, source, target)),
            Compare::OnlyDirtyRead(end) => Compare::Concluded(self.conclude(here, end, source, target)),
            Compare::Concluded(origin) => Compare::Concluded(origin),
        };
    }

    /// Whose the key is: `here` is whether the source had it, `end` how far dirty entries were read.
    fn conclude(&self, here: bool, end: u8, source: &Source, target: &Target) -> Origin {
        let dirty = Source { end, ..*source };
        let from = target.watermark.min(end);
        let is_dirty = dirty.since(from).next().is_some() || target.parked;
        let is_production = if self.has(Rule::UpdatesDoNotCount) {
            dirty.is_renewed(from) || target.parked
        } else {
            is_dirty
        };
        let was_there = from < target.paused.min(end);
        let inserted = !was_there && dirty.since(from).next() == Some(Kind::Insert);
        let deleted = here && (!is_production || target.origin == Origin::UpgradeDeleted);
        let made = !here && !is_dirty || target.origin == Origin::UpgradeMade;
        let made_too = inserted && self.has(Rule::InsertsSincePauseCount);
        match target.row {
            None if deleted && self.has(Rule::DeletedIsRecorded) => Origin::UpgradeDeleted,
            Some(_) if made && self.has(Rule::MadeIsRecorded) || made_too => Origin::UpgradeMade,
            _ => Origin::Production,
        }
    }

    fn record(&self, world: &mut World) {
        let Compare::Concluded(origin) = world.compare else { return };
        world.compare = Compare::No;
        if world.target.upgrading || !self.has(Rule::RecordedInPhase) {
            world.target.origin = origin;
            world.target.upgrading = false;
        }
    }
}

fn model(missing: Option<Rule>, starts_with_row: bool) -> Ownership {
    let (changes, upgrades) = if is_long() { (5, 2) } else { (3, 1) };
    Ownership { missing, changes, upgrades, starts_with_row }
}

#[test]
fn rows_keep_their_origin() {
    clock::start();
    for starts_with_row in [true, false] {
        model(None, starts_with_row).checker().threads(2).spawn_bfs().join().assert_properties();
    }
}

/// Without `rule` some order breaks `property`.
fn assert_needed(rule: Rule, property: &'static str) {
    clock::start();
    let is_broken = [true, false].into_iter().any(|starts_with_row| {
        let broken = HasDiscoveries::AnyOf([property].into());
        let checker = model(Some(rule), starts_with_row).checker().finish_when(broken).spawn_bfs().join();
        checker.discovery(property).is_some()
    });
    assert!(is_broken, "without {rule:?} it still holds that {property}");
}

/// Makes a test of each rule.
macro_rules! needed {
    ($($name:ident: $rule:ident breaks $property:ident),+ $(,)?) => { $(
        #[test]
        fn $name() {
            assert_needed(Rule::$rule, $property);
        }
    )+ };
}

needed! {
    deleted_rows_come_back_if_they_are_not_recorded: DeletedIsRecorded breaks STAYS_DELETED,
    deleted_rows_come_back_if_updates_make_them_productions: UpdatesDoNotCount breaks STAYS_DELETED,
    new_rows_are_dropped_if_the_record_does_not_end: RecordEnds breaks NOTHING_DROPPED,
    made_rows_are_overwritten_if_they_are_not_recorded: MadeIsRecorded breaks STAYS_MADE,
    made_rows_are_overwritten_if_inserts_since_the_pause_do_not_count: InsertsSincePauseCount breaks STAYS_MADE,
    deletes_are_dropped_if_dirty_keys_are_read_first: DirtyAfterKeys breaks NOTHING_DROPPED,
    made_rows_are_overwritten_if_something_is_dirty_at_the_pause: PausedAtPoint breaks STAYS_MADE,
    rows_are_dropped_if_a_record_arrives_after_a_restore: RecordedInPhase breaks NOTHING_DROPPED,
    rows_are_dropped_if_they_are_not_parked: MadeIsParked breaks NOTHING_DROPPED,
}
