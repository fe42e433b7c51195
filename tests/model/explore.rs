//! Every step in every order, and what must hold after each.

use stateright::{Model, Property};

use super::daemon::{Daemon, Kind, Stage};
use super::positions::{A, B, Change, Extent, KEYS, Key, Rows, Watermark};
use super::source::{Source, WRITERS, Writer};
use super::target::{Parked, Target};
use super::{Guard, Guards};

pub const COVERED_MEANS_EQUAL: &str = "covered means equal";
pub const GETS_IN_SYNC: &str = "left alone, it gets in sync";
const IN_SYNC: &str = "in sync";

/// The rows before anything happens.
const ROWS: Rows = [Some(1), Some(2)];

/// How many daemons there are: they may be workers of one process, or one may be late and replaced.
const DAEMONS: usize = 2;

/// What a daemon may do, in the order of its preference.
const KINDS: [Kind; 6] = [Kind::Start, Kind::Chunk(A), Kind::Chunk(B), Kind::Batch, Kind::Retry, Kind::Purge];

/// More pieces of work than it takes to copy, drain and unpark everything.
const ENOUGH_WORK: usize = 20;

/// What happens in one exploration: small enough to be complete.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub writers: [Option<Change>; WRITERS],
    /// Whether the table is copied already, or capture and copy are still to come.
    pub starts_copied: bool,
    pub purges: bool,
    /// Commits reach the disk later, and may be lost before.
    pub source_may_crash: bool,
    pub target_may_be_restored: bool,
}

impl Scenario {
    /// Two daemons, nothing to do, no mishap.
    pub const QUIET: Scenario = Scenario {
        writers: [None; WRITERS],
        starts_copied: true,
        purges: false,
        source_may_crash: false,
        target_may_be_restored: false,
    };
}

/// The backup of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backup {
    ToBeTaken,
    Taken(Target),
    Restored,
}

/// Everything at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    pub source: Source,
    pub target: Target,
    pub daemons: [Daemon; DAEMONS],
    pub backup: Backup,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Write(usize),
    Commit(usize),
    RollBack(usize),
    Flush,
    SourceCrashes,
    InstallCapture,
    TakeBackup,
    RestoreBackup,
    Begin(usize, Kind),
    Read(usize),
    Apply(usize),
    /// Committed, but the answer is lost: the daemon will try the same again.
    ApplyUnheard(usize),
    DaemonCrashes(usize),
}

/// The model: a scenario under guards.
pub struct DataPath {
    pub scenario: Scenario,
    pub guards: Guards,
}

impl Model for DataPath {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let copied = Target {
            rows: ROWS,
            watermark: Some(Watermark::at(Extent::default())),
            copied: [true; KEYS],
            parked: [Parked::No; KEYS],
        };
        vec![World {
            source: Source::new(ROWS, self.scenario.writers, self.scenario.starts_copied),
            target: if self.scenario.starts_copied { copied } else { Target::empty() },
            daemons: [None; DAEMONS],
            backup: if self.scenario.target_may_be_restored { Backup::ToBeTaken } else { Backup::Restored },
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        steps_of_production(&world.source, steps);
        self.steps_of_operators(world, steps);
        for daemon in 0..DAEMONS {
            self.steps_of_daemon(daemon, world, steps);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = *world;
        self.take(step, &mut next);
        if !self.scenario.source_may_crash {
            next.source.flush();
        }
        // One daemon is like another: which of them is at which work makes no difference.
        next.daemons.sort_unstable();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(COVERED_MEANS_EQUAL, |model: &DataPath, world: &World| {
                let rows = world.source.present.rows;
                (0..KEYS).all(|key| !model.is_covered(key, world) || world.target.rows[key] == rows[key])
            }),
            Property::always(GETS_IN_SYNC, |model: &DataPath, world| model.gets_in_sync(*world)),
            Property::sometimes(IN_SYNC, |model: &DataPath, world: &World| {
                world.source.is_quiet() && world.source.present.rows != ROWS && model.is_in_sync(world)
            }),
        ]
    }
}

impl DataPath {
    /// Whether highwater takes `key` to be the same on both sides.
    fn is_covered(&self, key: Key, world: &World) -> bool {
        let source = &world.source.present;
        let Some(mark) = world.target.watermark else { return false };
        source.capture
            && world.target.is_copied()
            && world.target.parked[key] == Parked::No
            && self.guards.readable(&mark, source)
            && Guards::dirty(mark, source).all(|position| position.key != key)
    }

    fn is_in_sync(&self, world: &World) -> bool {
        [A, B].iter().all(|&key| self.is_covered(key, world))
    }

    /// Whether one fresh daemon, with production quiet and no mishap, makes both sides equal.
    fn gets_in_sync(&self, mut world: World) -> bool {
        (0..WRITERS).for_each(|writer| world.source.roll_back(writer));
        world.source.install_capture();
        world.daemons = [None; DAEMONS];
        for _ in 0..ENOUGH_WORK {
            let mut due =
                KINDS.into_iter().filter(|&kind| self.guards.is_due(kind, &world.source, &world.target));
            let Some(kind) = due.next() else { break };
            self.take(Step::Begin(0, kind), &mut world);
            while world.daemons[0].is_some_and(|work| work.stage != Stage::Read) {
                self.take(Step::Read(0), &mut world);
            }
            self.take(Step::Apply(0), &mut world);
        }
        self.is_in_sync(&world) && world.target.rows == world.source.present.rows
    }

    fn steps_of_operators(&self, world: &World, steps: &mut Vec<Step>) {
        let source = &world.source;
        let copies_first = !self.guards.has(Guard::CaptureBeforeCopy) && world.target.watermark.is_none();
        if source.can_install_capture() && !copies_first {
            steps.push(Step::InstallCapture);
        }
        if source.present != source.durable {
            steps.push(Step::Flush);
        }
        if self.scenario.source_may_crash && (source.present != source.durable || source.has_open_writers()) {
            steps.push(Step::SourceCrashes);
        }
        match world.backup {
            Backup::ToBeTaken => steps.push(Step::TakeBackup),
            Backup::Taken(_) => steps.push(Step::RestoreBackup),
            Backup::Restored => {}
        }
    }

    fn steps_of_daemon(&self, daemon: usize, world: &World, steps: &mut Vec<Step>) {
        if let Some(work) = world.daemons[daemon] {
            steps.push(Step::DaemonCrashes(daemon));
            if work.stage != Stage::Read {
                steps.push(Step::Read(daemon));
            } else if self.guards.is_flushed(&work, &world.source) {
                steps.push(Step::Apply(daemon));
                steps.push(Step::ApplyUnheard(daemon));
            }
            return;
        }
        for kind in KINDS {
            let wanted = kind != Kind::Purge || self.scenario.purges;
            if wanted && self.guards.is_due(kind, &world.source, &world.target) {
                steps.push(Step::Begin(daemon, kind));
            }
        }
    }

    fn take(&self, step: Step, world: &mut World) {
        match step {
            Step::Write(writer) => {
                if let Writer::Waiting(change) = world.source.writers[writer] {
                    world.source.write(writer, change);
                }
            }
            Step::Commit(writer) => world.source.commit(writer),
            Step::RollBack(writer) => world.source.roll_back(writer),
            Step::Flush => world.source.flush(),
            Step::SourceCrashes => self.crash_source(world),
            Step::InstallCapture => world.source.install_capture(),
            Step::TakeBackup => world.backup = Backup::Taken(world.target),
            Step::RestoreBackup => {
                if let Backup::Taken(target) = world.backup {
                    world.target = target;
                    world.backup = Backup::Restored;
                }
            }
            Step::Begin(daemon, kind) => world.daemons[daemon] = Some(self.guards.begin(kind, &world.target)),
            Step::Read(daemon) => {
                let read = world.daemons[daemon].and_then(|work| self.guards.read(work, &world.source));
                world.daemons[daemon] = read;
            }
            Step::Apply(daemon) => {
                self.apply(daemon, world);
                world.daemons[daemon] = None;
            }
            Step::ApplyUnheard(daemon) => self.apply(daemon, world),
            Step::DaemonCrashes(daemon) => world.daemons[daemon] = None,
        }
    }

    fn apply(&self, daemon: usize, world: &mut World) {
        match world.daemons[daemon] {
            Some(work) if work.kind == Kind::Purge => Guards::purge(&work, &mut world.source),
            Some(work) => self.guards.apply(work, &world.source, &mut world.target),
            None => {}
        }
    }

    /// The daemons' connections break: a read that was not known to be flushed never will be.
    fn crash_source(&self, world: &mut World) {
        for daemon in &mut world.daemons {
            *daemon = daemon.filter(|work| self.guards.is_flushed(work, &world.source));
        }
        world.source.crash();
    }
}

fn steps_of_production(source: &Source, steps: &mut Vec<Step>) {
    for (writer, state) in source.writers.iter().enumerate() {
        match *state {
            Writer::Waiting(change) if source.can_write(change) => steps.push(Step::Write(writer)),
            Writer::Open(..) => steps.extend([Step::Commit(writer), Step::RollBack(writer)]),
            Writer::Waiting(_) | Writer::Ended => {}
        }
    }
}
