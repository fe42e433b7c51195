//! Looked-up values and the states of tables, as a model small enough to be explored completely.
//!
//! A parent with one row, and a child with one row whose rule looks a value up in the parent, on the target.
//! Either table can wait, be copied, replay, be stopped with a reason; the parent can be excluded and
//! included, and copied again. Parent and child are written by transactions of their own, side by side, and a
//! child's transaction looks up some time before it commits.
//!
//! What must hold:
//! - *in sync means looked up*: where both tables are said to be in sync, the child holds what a look-up
//!   finds now;
//! - *left alone, it gets in sync*, with the row of the parent that production has.
//!
//! The long form, `HIGHWATER_MODEL=long`, has one change, stop, exclusion and copy more of each,
//! and takes 11 seconds of CPU; the short one takes less than one.

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::is_long;
use crate::support::clock;

const LOOKED_UP: &str = "in sync means looked up";
const GETS_IN_SYNC: &str = "left alone, it gets in sync";
const IN_SYNC: &str = "in sync with a changed parent";

/// More steps than it takes from anywhere to in sync.
const ENOUGH_STEPS: usize = 30;

/// A rule that can be taken out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A parent's transaction that changes looked-up values notes its dependants, in itself.
    /// Without: the parent's row changes, the child is not dirty and keeps the old value.
    ParentNotes,
    /// What takes up a note waits for the child's transactions, by the child's ledger row.
    /// Without: a child's batch looks up; the parent changes and notes; the note is done; the batch
    /// commits the old value.
    NoteWaits,
    /// A note goes only if it was there when the transaction that did it began.
    /// Without: a note is taken up and looked up for; the parent changes and notes again; the end of the
    /// first removes both.
    NoteIsSeen,
    /// The transaction that ends a parent's copy notes all dependants; also one that excludes a parent in
    /// the middle of it.
    /// Without: the parent is excluded, the child copied with NULL; the parent is included and copied; the
    /// child keeps its NULL.
    EndOfCopyNotes,
    /// A table that was stopped before the end of its first copy is still to be copied.
    /// Without: the parent is stopped in its copy, let go, and counts as copied without its row.
    StoppedIsNotCopied,
    /// A table with notes is not in sync.
    /// Without: the parent changes; the child is said to be in sync before its note is done.
    NotedIsNotInSync,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Excluded,
    Waiting,
    Copying,
    Replaying,
    /// With a reason, out of a copy or out of replay.
    Stopped {
        was_copied: bool,
    },
}

/// What a child's transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Chunk,
    Batch,
    Note,
}

/// A transaction of the child: it has looked up, and is to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Work {
    kind: Kind,
    value: Option<u8>,
    /// The note that was there when it began.
    note: u8,
}

/// Everything at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    /// The parent's value on the source.
    source: u8,
    /// The same on the target; none: no row.
    parent: Option<u8>,
    parent_state: State,
    parent_dirty: bool,
    /// The parent's chunk is done.
    parent_copied: bool,
    /// What the child's row holds; none: no row; NULL inside.
    child: Option<Option<u8>>,
    child_state: State,
    child_dirty: bool,
    /// The number of the last note that stands; 0: no note.
    note: u8,
    notes: u8,
    work: [Option<Work>; 2],
    child_changes: u8,
    stops: u8,
    exclusions: u8,
    resyncs: u8,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    ChangeParent,
    ChangeChild,
    Exclude,
    Include,
    StopParent,
    LetGo,
    BeginParent,
    CopyParent,
    EndParent,
    ResyncParent,
    ReplayParent,
    BeginChild,
    EndChild,
    Look(usize, Kind),
    Commit(usize),
    /// The process dies with its transaction.
    Drop(usize),
}

/// What one fresh process does, in the order of its preference.
const DUTIES: [Step; 12] = [
    Step::LetGo,
    Step::Include,
    Step::BeginParent,
    Step::CopyParent,
    Step::EndParent,
    Step::ReplayParent,
    Step::BeginChild,
    Step::Commit(0),
    Step::Look(0, Kind::Chunk),
    Step::EndChild,
    Step::Look(0, Kind::Batch),
    Step::Look(0, Kind::Note),
];

struct Lookups {
    missing: Option<Rule>,
    /// How often each mishap happens.
    each: u8,
}

impl Model for Lookups {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            source: 1,
            parent: None,
            parent_state: State::Waiting,
            parent_dirty: false,
            parent_copied: false,
            child: None,
            child_state: State::Waiting,
            child_dirty: false,
            note: 0,
            notes: 0,
            work: [None; 2],
            child_changes: 0,
            stops: 0,
            exclusions: 0,
            resyncs: 0,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let wishes = [
            (Step::ChangeParent, world.source <= self.each),
            (Step::ChangeChild, world.child_changes < self.each),
            (Step::Exclude, world.exclusions < self.each),
            (Step::StopParent, world.stops < self.each),
            (Step::ResyncParent, world.resyncs < self.each),
        ];
        steps.extend(
            wishes
                .into_iter()
                .filter(|&(step, wished)| wished && self.can(step, world))
                .map(|(step, _)| step),
        );
        let second = [Kind::Chunk, Kind::Batch, Kind::Note].map(|kind| Step::Look(1, kind));
        let ends = [Step::Commit(1), Step::Drop(0), Step::Drop(1)];
        let all = DUTIES.into_iter().chain(second).chain(ends);
        steps.extend(all.filter(|&step| self.can(step, world)));
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = *world;
        self.take(step, &mut next);
        next.work.sort_unstable();
        next.work.reverse();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LOOKED_UP, |model: &Lookups, world: &World| {
                !model.is_in_sync(world) || world.child == Some(world.parent)
            }),
            Property::always(GETS_IN_SYNC, |model: &Lookups, world: &World| model.gets_in_sync(*world)),
            Property::sometimes(IN_SYNC, |model: &Lookups, world: &World| {
                model.is_in_sync(world) && world.source > 1 && world.parent == Some(world.source)
            }),
        ]
    }
}

impl Lookups {
    fn has(&self, rule: Rule) -> bool {
        self.missing != Some(rule)
    }

    /// Whether highwater says that both tables are in sync.
    fn is_in_sync(&self, world: &World) -> bool {
        let parent = world.parent_state == State::Excluded
            || world.parent_state == State::Replaying && !world.parent_dirty;
        let noted = world.note > 0 && self.has(Rule::NotedIsNotInSync);
        parent && world.child_state == State::Replaying && !world.child_dirty && !noted
    }

    fn gets_in_sync(&self, mut world: World) -> bool {
        world.work = [None; 2];
        for _ in 0..ENOUGH_STEPS {
            let Some(step) = DUTIES.into_iter().find(|&step| self.can(step, &world)) else { break };
            self.take(step, &mut world);
        }
        self.is_in_sync(&world) && world.child == Some(Some(world.source))
    }

    fn can(&self, step: Step, world: &World) -> bool {
        let parent = world.parent_state;
        match step {
            Step::ChangeParent | Step::ChangeChild => true,
            Step::Exclude => parent != State::Excluded,
            Step::Include => parent == State::Excluded,
            Step::StopParent => matches!(parent, State::Copying | State::Replaying),
            Step::LetGo => matches!(parent, State::Stopped { .. }),
            Step::BeginParent => parent == State::Waiting,
            Step::CopyParent => parent == State::Copying && !world.parent_copied,
            Step::EndParent => parent == State::Copying && world.parent_copied,
            Step::ResyncParent => parent == State::Replaying,
            Step::ReplayParent => parent == State::Replaying && world.parent_dirty,
            // A child is copied after its parent, where the parent is copied at all.
            Step::BeginChild => {
                world.child_state == State::Waiting && !matches!(parent, State::Waiting | State::Copying)
            }
            Step::EndChild => world.child_state == State::Copying && world.child.is_some(),
            Step::Look(work, kind) => world.work[work].is_none() && self.is_due(kind, world),
            Step::Commit(work) | Step::Drop(work) => world.work[work].is_some(),
        }
    }

    /// Whether a child's transaction of this kind can begin. One at a time holds the child's ledger row.
    fn is_due(&self, kind: Kind, world: &World) -> bool {
        let mut open = world.work.iter().flatten();
        let is_free = match kind {
            Kind::Chunk | Kind::Batch => {
                open.all(|work| work.kind == Kind::Note && !self.has(Rule::NoteWaits))
            }
            Kind::Note => open.all(|work| work.kind != Kind::Note && !self.has(Rule::NoteWaits)),
        };
        is_free
            && match kind {
                Kind::Chunk => world.child_state == State::Copying && world.child.is_none(),
                Kind::Batch => world.child_state == State::Replaying && world.child_dirty,
                Kind::Note => world.child_state == State::Replaying && world.note > 0,
            }
    }

    fn take(&self, step: Step, world: &mut World) {
        match step {
            Step::ChangeParent => {
                world.source += 1;
                world.parent_dirty = true;
            }
            Step::ChangeChild => {
                world.child_changes += 1;
                world.child_dirty = true;
            }
            Step::Exclude => {
                world.exclusions += 1;
                if matches!(world.parent_state, State::Copying | State::Stopped { was_copied: false }) {
                    self.note(Rule::EndOfCopyNotes, world);
                }
                world.parent_state = State::Excluded;
            }
            Step::Include => world.parent_state = State::Waiting,
            Step::StopParent => {
                world.stops += 1;
                world.parent_state = State::Stopped { was_copied: world.parent_state == State::Replaying };
            }
            Step::LetGo => self.let_go(world),
            Step::BeginParent | Step::ResyncParent => {
                world.resyncs += u8::from(step == Step::ResyncParent);
                world.parent_state = State::Copying;
                world.parent_copied = false;
            }
            // As long as a table is copied, what it changes is noted at the end.
            Step::CopyParent => {
                world.parent = Some(world.source);
                world.parent_copied = true;
            }
            Step::EndParent => {
                world.parent_state = State::Replaying;
                self.note(Rule::EndOfCopyNotes, world);
            }
            Step::ReplayParent => {
                let differs = world.parent != Some(world.source);
                world.parent = Some(world.source);
                world.parent_dirty = false;
                if differs {
                    self.note(Rule::ParentNotes, world);
                }
            }
            Step::BeginChild => world.child_state = State::Copying,
            Step::EndChild => world.child_state = State::Replaying,
            Step::Look(at, kind) => {
                world.work[at] = Some(Work { kind, value: world.parent, note: world.note });
            }
            Step::Commit(at) => self.commit(at, world),
            Step::Drop(at) => world.work[at] = None,
        }
    }

    fn let_go(&self, world: &mut World) {
        let State::Stopped { was_copied } = world.parent_state else { return };
        let is_copied = was_copied || !self.has(Rule::StoppedIsNotCopied);
        world.parent_state = if is_copied { State::Replaying } else { State::Copying };
    }

    /// Notes all rows of the child; one that is still to be copied looks up later anyhow.
    fn note(&self, rule: Rule, world: &mut World) {
        if self.has(rule) && world.child_state != State::Waiting {
            world.notes += 1;
            world.note = world.notes;
        }
    }

    fn commit(&self, at: usize, world: &mut World) {
        let Some(work) = world.work[at].take() else { return };
        let fits = match work.kind {
            Kind::Chunk => world.child_state == State::Copying,
            Kind::Batch | Kind::Note => world.child_state == State::Replaying,
        };
        if !fits {
            return;
        }
        world.child = Some(work.value);
        match work.kind {
            Kind::Chunk => {}
            Kind::Batch => world.child_dirty = false,
            Kind::Note if world.note == work.note || !self.has(Rule::NoteIsSeen) => world.note = 0,
            Kind::Note => {}
        }
    }
}

fn model(missing: Option<Rule>) -> Lookups {
    Lookups { missing, each: if is_long() { 2 } else { 1 } }
}

#[test]
fn lookups_follow_their_parent() {
    clock::start();
    model(None).checker().threads(2).spawn_bfs().join().assert_properties();
}

/// Without `rule` some order breaks `property`.
fn assert_needed(rule: Rule, property: &'static str) {
    clock::start();
    let broken = HasDiscoveries::AnyOf([property].into());
    model(Some(rule)).checker().finish_when(broken).spawn_bfs().join().assert_any_discovery(property);
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
    lookups_stay_old_if_a_parent_does_not_note: ParentNotes breaks LOOKED_UP,
    lookups_stay_old_if_a_note_overtakes_a_batch: NoteWaits breaks LOOKED_UP,
    lookups_stay_old_if_a_second_note_goes_with_the_first: NoteIsSeen breaks LOOKED_UP,
    lookups_stay_null_if_the_end_of_a_parents_copy_does_not_note: EndOfCopyNotes breaks LOOKED_UP,
    lookups_stay_null_if_a_stopped_parent_counts_as_copied: StoppedIsNotCopied breaks GETS_IN_SYNC,
    lookups_are_old_while_in_sync_is_said_if_notes_do_not_count: NotedIsNotInSync breaks LOOKED_UP,
}
