//! The data path as a model small enough to be explored completely.
//!
//! Two keys, a unique value column, up to three transactions of production, two daemons that know
//! nothing of each other. Every step is one that a real server or daemon takes at once; between
//! any two steps anything else may happen: a commit, a crash, a restored backup. The checker tries
//! every order, so a rule that holds here holds for the interleaving nobody thought of.
//!
//! It reads in this order:
//! - `positions`: places in the change log, extents, watermarks, and which covers which;
//! - `source`: production, its transactions, its change log, what a crash takes from it;
//! - `target`: rows and ledger, and *make these keys equal to the source*, the one act of writing;
//! - `daemon`: the steps of a piece of work (start a copy, chunk, batch, retry, purge) and the
//!   checks that the target transaction makes before it commits;
//! - `explore`: the steps in any order, and what must hold after each;
//! - here: the guards, and for each the scenario that loses a row when it is missing.
//!
//! What must hold:
//! - *covered means equal*: a key without a dirty entry, not parked, is the same on both sides. At
//!   every moment, not only at the end; so a lost row and a resurrected one are both seen at once;
//! - *left alone, it gets in sync*: from every moment one fresh daemon, undisturbed, copies, drains and
//!   unparks everything and ends with equal rows; so no guard refuses for ever;
//! - *in sync* is reached with production's last word.
//!
//! Two smaller models stand beside it, `lookups` (looked-up values and the states of tables) and `origin`
//! (whose row it is, over an upgrade and a restore), and `cutover` (lease, phase, attempt and fence). With
//! `HIGHWATER_MODEL=long` these three are explored in a longer form.
//!
//! A late transaction of a daemon that has been replaced needs no step of its own: it is the other
//! daemon taking its time. There is no lease here at all: the guards suffice without.

mod cutover;
mod daemon;
mod explore;
mod lookups;
mod origin;
mod positions;
mod source;
mod target;

use explore::{DataPath, Scenario};
use positions::{A, B, Change};
use stateright::{Checker, HasDiscoveries, Model};

use crate::support::clock;

/// A rule of the protocol that can be taken out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// An extent is what one snapshot saw, not the highest position in it.
    /// Without: 1 and 2 write, 2 commits, the reader passes to "2", 1 commits and is never read.
    ExtentsAreSnapshots,
    /// A limited read drains the delta of one snapshot before it takes the next.
    /// Without: the snapshot has two entries, the batch takes one, the other counts as read.
    DeltaBeforeNext,
    /// States are read after the keys.
    /// Without: the state is read, production changes it, the key is read and passed with the old state.
    StatesAfterKeys,
    /// What was read is applied when the source can no longer lose it.
    /// Without: a commit is applied, the source crashes and has never heard of it; its position is
    /// given to another transaction, which counts as read.
    FlushBeforeApply,
    /// A read refuses when entries beyond its watermark were purged.
    /// Without: applied, purged, the target restored from a backup: nothing is dirty, the row is old.
    PurgedToInRead,
    /// States are applied only if the snapshot they were read in covers the watermark that stands.
    /// Without: a retry reads a parked row, production changes it, a batch applies the change and
    /// passes, the retry commits the old value.
    StatesCoverWatermark,
    /// A batch commits only if the watermark is still the one it started from.
    /// Without: a batch is read, the target is restored from a backup, the batch commits and passes
    /// everything between the backup and its start.
    CompareAndSet,
    /// A parked entry holds the key, and a retry reads the row anew.
    /// Without: a row is parked, deleted or changed by production, and put back by the retry.
    ParkedAreKeys,
    /// All parked keys are retried in one transaction.
    /// Without: two rows have swapped unique values, and each waits for the other for ever.
    ParkedTogether,
    /// Capture is in force before the copy starts.
    /// Without: a chunk is read, production writes unseen, capture is installed.
    CaptureBeforeCopy,
    /// Replay starts from the extent before the copy.
    /// Without: a chunk is read, production changes its row, the copy ends and replay starts there.
    StartBeforeCopy,
}

impl Guard {
    /// What no longer holds without it.
    fn keeps(self) -> &'static str {
        match self {
            Guard::ExtentsAreSnapshots
            | Guard::DeltaBeforeNext
            | Guard::StatesAfterKeys
            | Guard::FlushBeforeApply
            | Guard::PurgedToInRead
            | Guard::StatesCoverWatermark
            | Guard::CompareAndSet
            | Guard::ParkedAreKeys
            | Guard::CaptureBeforeCopy
            | Guard::StartBeforeCopy => explore::COVERED_MEANS_EQUAL,
            Guard::ParkedTogether => explore::GETS_IN_SYNC,
        }
    }
}

/// The guards in force.
#[derive(Debug, Clone, Copy)]
struct Guards {
    missing: Option<Guard>,
}

impl Guards {
    const ALL: Guards = Guards { missing: None };

    fn without(guard: Guard) -> Guards {
        Guards { missing: Some(guard) }
    }

    fn has(self, guard: Guard) -> bool {
        self.missing != Some(guard)
    }
}

/// Production writes while two daemons replay: commits in any order, deltas larger than a batch.
const REPLAY: Scenario = Scenario {
    writers: [Some(Change::both(3, 4)), Some(Change::set(A, 5)), Some(Change::delete(B))],
    ..Scenario::QUIET
};

/// The source loses commits that it had shown, and gives their positions to others.
const SOURCE_CRASH: Scenario = Scenario {
    writers: [Some(Change::set(A, 3)), Some(Change::delete(B)), Some(Change::set(B, 5))],
    source_may_crash: true,
    ..Scenario::QUIET
};

/// Production writes while capture is installed and the table copied.
const COPY: Scenario = Scenario {
    writers: [Some(Change::set(A, 3)), Some(Change::set(B, 1)), Some(Change::delete(A))],
    starts_copied: false,
    ..Scenario::QUIET
};

/// Unique values move between rows: no batch can hold the swap, so rows are parked and retried.
const PARKED: Scenario = Scenario {
    writers: [Some(Change::both(2, 1)), Some(Change::set(A, 3)), Some(Change::set(B, 2))],
    ..Scenario::QUIET
};

/// The target is restored from a backup, while the change log is purged.
const RESTORE: Scenario = Scenario {
    writers: [Some(Change::set(A, 3)), Some(Change::set(B, 4)), None],
    purges: true,
    target_may_be_restored: true,
    ..Scenario::QUIET
};

/// All of it at once, with less of each.
const EVERYTHING: Scenario = Scenario {
    writers: [Some(Change::both(2, 1)), Some(Change::set(A, 3)), None],
    starts_copied: false,
    purges: true,
    source_may_crash: true,
    target_may_be_restored: true,
};

/// Whether `HIGHWATER_MODEL=long` asks for the long form of the models that have one.
fn is_long() -> bool {
    std::env::var("HIGHWATER_MODEL").is_ok_and(|form| form == "long")
}

/// With every guard in force all holds, whatever the order.
fn assert_sound(scenario: Scenario) {
    clock::start();
    let model = DataPath { scenario, guards: Guards::ALL };
    model.checker().threads(2).spawn_bfs().join().assert_properties();
}

/// Without `guard` some order breaks what it keeps.
fn assert_needed(guard: Guard, scenario: Scenario) {
    clock::start();
    let model = DataPath { scenario, guards: Guards::without(guard) };
    let broken = HasDiscoveries::AnyOf([guard.keeps()].into());
    let checker = model.checker().finish_when(broken).spawn_bfs().join();
    checker.assert_any_discovery(guard.keeps());
}

/// Makes a test of each scenario, and of each guard that it shows to be needed.
macro_rules! explore {
    ($($sound:ident: $scenario:ident { $($needed:ident: $guard:ident),* $(,)? })+) => { $(
        #[test]
        fn $sound() {
            assert_sound($scenario);
        }
        $(
            #[test]
            fn $needed() {
                assert_needed(Guard::$guard, $scenario);
            }
        )*
    )+ };
}

explore! {
    replay_keeps_every_row: REPLAY {
        rows_are_lost_if_extents_are_maxima: ExtentsAreSnapshots,
        rows_are_lost_if_a_delta_is_left_behind: DeltaBeforeNext,
        rows_are_lost_if_states_are_read_before_keys: StatesAfterKeys,
    }
    source_crash_keeps_every_row: SOURCE_CRASH {
        rows_are_lost_if_unflushed_commits_are_applied: FlushBeforeApply,
    }
    copy_keeps_every_row: COPY {
        rows_are_lost_if_capture_comes_after_the_copy: CaptureBeforeCopy,
        rows_are_lost_if_replay_starts_after_the_copy: StartBeforeCopy,
    }
    parked_rows_are_kept: PARKED {
        rows_are_resurrected_if_parked_entries_hold_rows: ParkedAreKeys,
        rows_go_back_if_states_may_be_older_than_the_watermark: StatesCoverWatermark,
        swaps_never_end_if_parked_keys_are_retried_alone: ParkedTogether,
    }
    restored_target_keeps_every_row: RESTORE {
        rows_are_lost_if_a_purge_goes_unnoticed: PurgedToInRead,
        rows_are_lost_if_the_watermark_is_overwritten: CompareAndSet,
    }
    everything_at_once_keeps_every_row: EVERYTHING {}
}
