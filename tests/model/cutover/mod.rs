//! The end of the window as a model small enough to be explored completely: lease, phase, attempt and fence.
//!
//! Two processes that may each believe to hold the lease, one captured table, an application that writes
//! wherever it is let. Every target transaction and every statement on the source is one step; between any
//! two steps anything else may happen: a crash, a takeover, a lost answer, a request that arrives after its
//! sender gave it up, a restored target. Rows are counted only: how many changes production has made, and
//! how many of them are known to be on the target.
//!
//! It reads in this order:
//! - `source`: production's writer, the fence on the change log, raises and lowers on their way;
//! - `ledger`: term, phase, attempt, table state, and the transitions between them, each with the states
//!   that it leads from;
//! - `process`: what a process does next by what it has read;
//! - `explore`: the steps in any order, and what must hold after each;
//! - here: the rules, and for each the scenario that ends badly when it is missing.
//!
//! What must hold:
//! - *final means that every change is applied*, as recorded and as the operator was told;
//! - *final means that production is fenced*: no write is taken on both sides, unless the operator has given
//!   the explicit command to lower the fence;
//! - *no rows are written* on a target that the operator was told is final, or while the upgrade's scripts run;
//! - *what was said to be lowered stays lowered*, whatever arrives late;
//! - *nothing is copied under the fence*;
//! - *left alone, production writes or final is said*: from every moment one fresh process gets to replaying
//!   with the fence down, unless *final* stands, and from there to *final*. Only after a restore of the target
//!   the explicit command may be needed.
//!
//! A row act or a transition of a process that was replaced needs no step of its own: it is the other
//! process taking its time. A request whose sender was told that it failed, and goes on, is kept apart.
//!
//! Left out: promotion, several tables and logs, crashes of the source, a target that is restored after the
//! application has written it (neither ledger nor fence can know of that).
//!
//! The tests here explore 240,000 states with all rules, and take 9 seconds of CPU altogether (debug build).
//! The long form, `HIGHWATER_MODEL=long`, has one change and one takeover more in each scenario: 510,000
//! states for `FENCE` and 630,000 for `LATE`, for example.

mod explore;
mod ledger;
mod process;
mod source;

use explore::{Cutover, Scenario};
use stateright::{Checker, HasDiscoveries, Model};

use super::is_long;
use crate::support::clock;

/// A rule of the protocol that can be taken out, to see what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The fence is raised by DDL on the change log, which waits for those who have written it and is
    /// hidden by no snapshot.
    /// Without: a writer's snapshot is older than the flag; it writes and commits after the barrier.
    FenceIsNoFlag,
    /// The fence is lowered by data: triggers of attempts below the stamp let writers pass, also those
    /// that arrive later.
    /// Without: a raise is given up, its trigger dropped, "production writes again" said; the raise arrives.
    LoweredByData,
    /// The number of an attempt is stored on the source before anything else of it is sent.
    /// Without: opening attempt 2 fails, it is lowered all the same, late; another process opens attempt 2
    /// and ends it; the lower arrives.
    NumbersAreReserved,
    /// The term is compared in the transaction that changes a state, and held.
    /// Without: an ex-holder ends a copy; the table was copied again meanwhile, and is not yet.
    TermIsHeld,
    /// Taking the lease makes open attempts of earlier terms void, and the taker lowers their fence.
    /// Without: a process dies with the fence up; the next one replays, and production stays fenced.
    TakeoverVoids,
    /// A transition leads from the expected states only.
    /// Without: the record of *final* is given up as lost, the attempt made void, the fence lowered; the
    /// record arrives.
    ExpectedState,
    /// The state is set before the fence is lowered.
    /// Without: the fence of a final attempt is lowered, the process dies, production writes: the attempt is
    /// recorded as final.
    StateBeforeFence,
    /// The transaction that records *final* asserts that the watermark covers the barrier.
    /// Without: what was drained before the fence is taken for all.
    WatermarkIsAsserted,
    /// A term names the ledger that it was taken in.
    /// Without: an attempt is made void and lowered, late; the target is restored to a moment when it was
    /// open, with the term of its process, which ends it as final; the lower arrives.
    TermIsOfItsLedger,
    /// *Final* is said only after a look at the fence.
    /// Without: *final* is recorded and lowered by command; a restored ledger says *final* again.
    FenceIsRead,
    /// A process lowers the stamp of its own attempt.
    /// Without: an attempt loses its lease; another ends *final*; the first gives up and lowers what is up.
    OwnStampOnly,
    /// No copy begins while an attempt is open.
    /// Without: the request to copy a table again arrives under the fence.
    NoCopyUnderFence,
}

/// The rules in force.
#[derive(Debug, Clone, Copy)]
struct Rules {
    missing: Option<Rule>,
}

impl Rules {
    const ALL: Rules = Rules { missing: None };

    fn without(rule: Rule) -> Rules {
        Rules { missing: Some(rule) }
    }

    fn has(self, rule: Rule) -> bool {
        self.missing != Some(rule)
    }
}

/// One attempt, one takeover.
const QUIET: Scenario = Scenario {
    changes: 1,
    takes: 2,
    attempts: 1,
    lifts: 0,
    resyncs: 0,
    upgrades: 0,
    starts_copied: true,
    may_be_restored: false,
    has_late_requests: false,
};

/// Attempts of several processes, and the command to lower a final one.
const FENCE: Scenario = Scenario { takes: 3, attempts: 2, lifts: 1, ..QUIET };

/// Requests of the ledger arrive after their sender gave them up.
const LATE: Scenario = Scenario { attempts: 2, has_late_requests: true, ..QUIET };

/// The same, and one of them copies the table again.
const LATE_COPY: Scenario = Scenario { takes: 1, resyncs: 1, has_late_requests: true, ..QUIET };

/// The table is copied, upgraded, copied again.
const STATES: Scenario = Scenario { resyncs: 1, upgrades: 1, starts_copied: false, ..QUIET };

/// The target is restored from a backup.
const RESTORE: Scenario = Scenario { takes: 3, lifts: 1, may_be_restored: true, ..QUIET };

/// The scenario in the form that is asked for.
fn sized(scenario: Scenario) -> Scenario {
    let more = u8::from(is_long());
    Scenario { changes: scenario.changes + more, takes: scenario.takes + more, ..scenario }
}

/// With every rule in force all holds, whatever the order.
fn assert_sound(scenario: Scenario) {
    clock::start();
    let model = Cutover { scenario: sized(scenario), rules: Rules::ALL };
    model.checker().threads(2).spawn_bfs().join().assert_properties();
}

/// Without `rule` some order breaks `property`.
fn assert_needed(rule: Rule, scenario: Scenario, property: &'static str) {
    clock::start();
    let model = Cutover { scenario, rules: Rules::without(rule) };
    let broken = HasDiscoveries::AnyOf([property].into());
    model.checker().finish_when(broken).spawn_bfs().join().assert_any_discovery(property);
}

/// Makes a test of each scenario, and of each rule that it shows to be needed.
macro_rules! explore {
    ($($sound:ident: $scenario:ident { $($needed:ident: $rule:ident breaks $property:ident),* $(,)? })+) => { $(
        #[test]
        fn $sound() {
            assert_sound($scenario);
        }
        $(
            #[test]
            fn $needed() {
                assert_needed(Rule::$rule, $scenario, explore::$property);
            }
        )*
    )+ };
}

explore! {
    one_attempt_is_never_falsely_final: QUIET {
        writes_pass_if_the_fence_is_a_flag: FenceIsNoFlag breaks NO_FALSE_FINAL,
        a_late_raise_fences_production_if_lowering_drops_triggers: LoweredByData breaks SAID_IS_SO,
        production_stays_fenced_if_a_takeover_leaves_attempts_open: TakeoverVoids breaks RECOVERS,
        changes_are_missing_if_final_does_not_assert_the_watermark: WatermarkIsAsserted breaks NO_FALSE_FINAL,
    }
    several_attempts_are_never_falsely_final: FENCE {
        final_is_unfenced_if_the_fence_goes_before_the_state: StateBeforeFence breaks ONE_PRIMARY,
        final_is_unfenced_if_an_attempt_lowers_what_is_up: OwnStampOnly breaks ONE_PRIMARY,
    }
    late_requests_do_no_harm: LATE {
        final_is_unfenced_if_attempt_numbers_repeat: NumbersAreReserved breaks ONE_PRIMARY,
        final_is_unfenced_if_a_late_record_is_taken: ExpectedState breaks ONE_PRIMARY,
    }
    a_late_copy_does_no_harm: LATE_COPY {
        a_copy_begins_under_the_fence_if_open_attempts_do_not_forbid_it: NoCopyUnderFence breaks SHORT_OUTAGE,
    }
    states_of_an_ex_holder_do_no_harm: STATES {
        changes_are_missing_if_an_ex_holder_ends_a_copy: TermIsHeld breaks NO_FALSE_FINAL,
    }
    a_restored_target_is_never_falsely_final: RESTORE {
        final_is_unfenced_if_a_restore_brings_a_term_back: TermIsOfItsLedger breaks ONE_PRIMARY,
        final_is_unfenced_if_the_ledger_is_believed_alone: FenceIsRead breaks ONE_PRIMARY,
    }
}
