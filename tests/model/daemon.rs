//! highwater's daemon: pieces of work, each read from the source in steps and committed on the
//! target in one transaction. All of it is in memory only, and lost when the daemon dies.

use std::array::from_fn;

use super::positions::{Extent, KEYS, Key, Keys, Position, Rows, State, Watermark};
use super::source::{Committed, Source};
use super::target::{Parked, Target};
use super::{Guard, Guards};

/// What a piece of work does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Begins the copy, or begins it anew: the extent before it becomes the watermark.
    Start,
    /// Copies one key range.
    Chunk(Key),
    /// Replays the next dirty key.
    Batch,
    /// Tries all parked keys again, together.
    Retry,
    /// Removes applied entries from the change log.
    Purge,
}

/// How far a piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The ledger is read.
    Begun,
    KeysRead,
    /// States were read before the keys: what must not be done.
    OnlyStatesRead,
    /// All is read; the target transaction is next, or is under way and late.
    Read,
}

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Work {
    pub kind: Kind,
    pub stage: Stage,
    /// The watermark that stood when it began.
    from: Option<Watermark>,
    /// The watermark after it.
    to: Option<Watermark>,
    keys: Keys,
    states: Rows,
    /// What the snapshot of the states saw.
    extent: Extent,
}

/// A daemon: idle, or at one piece of work.
pub type Daemon = Option<Work>;

impl Guards {
    /// What a reader believes to have seen.
    fn extent(self, committed: &Committed) -> Extent {
        if self.has(Guard::ExtentsAreSnapshots) { committed.ended } else { committed.ended.filled_up() }
    }

    /// Whether a read from `watermark` finds all that it should, rather than a purged log.
    pub fn readable(self, watermark: &Watermark, source: &Committed) -> bool {
        !self.has(Guard::PurgedToInRead) || watermark.old.includes(source.purged_to)
    }

    /// The dirty entries: those that `watermark` does not cover.
    pub fn dirty(watermark: Watermark, source: &Committed) -> impl Iterator<Item = Position> {
        source.log().filter(move |&position| !watermark.covers(position))
    }

    /// The next entry to replay and the watermark after it; none when all is drained.
    fn next_entry(self, mark: Watermark, source: &Committed) -> Option<(Position, Watermark)> {
        let rest = |mark: Watermark| Self::dirty(mark, source).find(|position| mark.new.has(position.xid));
        if let Some(entry) = rest(mark) {
            return Some((entry, Watermark { last: Some(entry), ..mark }));
        }
        let now = self.extent(source);
        let entry = rest(Watermark { old: mark.new, new: now, last: None })?;
        if self.has(Guard::DeltaBeforeNext) {
            Some((entry, Watermark { old: mark.new, new: now, last: Some(entry) }))
        } else {
            Some((entry, Watermark::at(now)))
        }
    }

    /// Whether there is such work to do.
    pub fn is_due(self, kind: Kind, source: &Source, target: &Target) -> bool {
        let source = &source.present;
        let Some(mark) = target.watermark else {
            return kind == Kind::Start && (source.capture || !self.has(Guard::CaptureBeforeCopy));
        };
        let readable = self.readable(&mark, source);
        match kind {
            Kind::Start => !readable,
            Kind::Chunk(key) => !target.copied[key],
            Kind::Batch => target.is_copied() && readable && self.next_entry(mark, source).is_some(),
            Kind::Retry => target.is_copied() && target.parked() != [false; KEYS],
            Kind::Purge => source.has_to_purge(mark.old),
        }
    }

    /// Reads the ledger.
    pub fn begin(self, kind: Kind, target: &Target) -> Work {
        let mut keys = [false; KEYS];
        match kind {
            Kind::Start | Kind::Batch | Kind::Purge => {}
            Kind::Chunk(key) => keys[key] = true,
            Kind::Retry => {
                let first = target.parked().iter().position(|&parked| parked);
                let together = self.has(Guard::ParkedTogether);
                keys = from_fn(|key| target.parked()[key] && (together || Some(key) == first));
            }
        }
        let states = target.parked.map(|parked| if let Parked::Row(state) = parked { state } else { None });
        let stage = match kind {
            Kind::Batch => Stage::Begun,
            Kind::Start | Kind::Chunk(_) | Kind::Retry => Stage::KeysRead,
            Kind::Purge => Stage::Read,
        };
        let from = target.watermark;
        Work { kind, stage, from, to: from, keys, states, extent: Extent::default() }
    }

    /// The next read on the source; none when there is nothing to do after all.
    pub fn read(self, work: Work, source: &Source) -> Daemon {
        let source = &source.present;
        match work.stage {
            Stage::Begun if self.has(Guard::StatesAfterKeys) => self.read_keys(work, Stage::KeysRead, source),
            Stage::Begun => Some(self.read_states(work, Stage::OnlyStatesRead, source)),
            Stage::OnlyStatesRead => self.read_keys(work, Stage::Read, source),
            Stage::KeysRead | Stage::Read => Some(self.read_states(work, Stage::Read, source)),
        }
    }

    fn read_keys(self, mut work: Work, stage: Stage, source: &Committed) -> Daemon {
        let from = work.from.filter(|from| self.readable(from, source))?;
        let (entry, to) = self.next_entry(from, source)?;
        work.keys[entry.key] = true;
        work.to = Some(to);
        work.stage = stage;
        Some(work)
    }

    fn read_states(self, mut work: Work, stage: Stage, source: &Committed) -> Work {
        work.extent = self.extent(source);
        if work.kind == Kind::Start {
            work.to = Some(Watermark::at(work.extent));
        } else if work.kind != Kind::Retry || self.has(Guard::ParkedAreKeys) {
            work.states = source.rows;
        }
        work.stage = stage;
        work
    }

    /// Whether the source can no longer lose what was read.
    pub fn is_flushed(self, work: &Work, source: &Source) -> bool {
        let durable = self.extent(&source.durable);
        let keys_are = work.to.is_none_or(|to| durable.includes(to.new));
        !self.has(Guard::FlushBeforeApply) || durable.includes(work.extent) && keys_are
    }

    /// The target transaction: everything, or nothing when a guard refuses.
    pub fn apply(self, work: Work, source: &Source, target: &mut Target) {
        if !self.allows(&work, target) {
            return;
        }
        match work.kind {
            Kind::Start => *target = Target { rows: target.rows, watermark: work.to, ..Target::empty() },
            Kind::Chunk(key) => {
                self.make_equal(work, target);
                target.copied[key] = true;
                if target.is_copied() && !self.has(Guard::StartBeforeCopy) {
                    target.watermark = Some(Watermark::at(self.extent(&source.present)));
                }
            }
            Kind::Batch => {
                self.make_equal(work, target);
                target.watermark = work.to;
            }
            Kind::Retry => self.make_equal(work, target),
            Kind::Purge => {}
        }
    }

    /// What the target transaction checks, its ledger row locked.
    fn allows(self, work: &Work, target: &Target) -> bool {
        let unmoved = !self.has(Guard::CompareAndSet) || work.from == target.watermark;
        let covers = target.watermark.is_some_and(|mark| work.extent.covers(&mark));
        let newer = !self.has(Guard::StatesCoverWatermark) || covers;
        match work.kind {
            Kind::Start => unmoved,
            Kind::Batch => unmoved && newer,
            Kind::Chunk(key) => !target.copied[key] && newer,
            Kind::Retry => newer,
            Kind::Purge => false,
        }
    }

    fn make_equal(self, work: Work, target: &mut Target) {
        let keys_only = self.has(Guard::ParkedAreKeys);
        let park = |state: State| if keys_only { Parked::Key } else { Parked::Row(state) };
        target.make_equal(work.keys, work.states, park);
    }

    /// Purges what stood applied when the work began.
    pub fn purge(work: &Work, source: &mut Source) {
        if let Some(mark) = work.from {
            source.present.purge(mark.old);
        }
    }
}
