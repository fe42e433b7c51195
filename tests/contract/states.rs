//! docs/how-it-works.md, "a term fences its holder", "lookups follow the state of their parent", "a final target
//! is left alone": the states around the rows, and who may change them.

use std::time::Duration;

use highwater::error::{Kind, Result};
use highwater::ledger::{Voidable, Voided};
use highwater::pair;
use highwater::state::{AttemptState, Phase, TableState};

use super::guards::{Bench, bench};
use super::rules::apps;
use super::{CHANGES, settings, shop};
use crate::support::compare::assert_same;
use crate::support::{Engine, Highwater, eventually, soon};

contract!(
    a_holder_that_lost_its_lease_changes_no_state,
    taking_the_lease_makes_an_open_attempt_void_and_lowers_its_fence,
    a_raise_that_arrives_after_a_takeover_fences_nothing,
    what_a_lowered_fence_left_is_dropped,
    a_void_attempt_never_becomes_final,
    no_copy_begins_under_an_open_attempt,
    killed_between_the_last_copy_and_the_phase,
    the_last_open_table_stops_and_the_others_replay,
    lookups_are_done_again_when_their_table_is_included_later,
    a_table_waits_for_what_it_looks_up_to_be_copied,
    nothing_is_made_on_a_final_target,
    a_copy_ends_with_the_full_resync_that_it_begins,
);

fn superseded<T: std::fmt::Debug>(outcome: Result<T>) {
    assert_eq!(outcome.unwrap_err().kind(), Kind::Superseded);
}

async fn phase(bench: &Bench) -> Phase {
    bench.working.ledger.read().await.unwrap().phase
}

/// The old holder does not know yet that another one has the lease.
async fn a_holder_that_lost_its_lease_changes_no_state(engine: Engine) {
    let bench = bench(engine).await;
    let old = bench.working.ledger.clone();
    let new = pair::take_term(&bench.working.sides, &old).await.unwrap();
    let (watermark, origin) = (bench.entry.watermark.clone().unwrap(), bench.entry.origin.clone().unwrap());
    superseded(old.begin_copy("parents", Some("late"), &watermark, &origin, &[]).await);
    superseded(old.end_copy(&bench.table).await);
    superseded(old.stop("parents", "late").await);
    superseded(old.resume("parents").await);
    superseded(old.end_copies().await);
    superseded(old.begin_upgrade(false).await);
    superseded(old.open_attempt(bench.entry_stamp().await).await);
    superseded(old.forget("parents").await);
    superseded(old.check_term().await);
    assert_eq!(phase(&bench).await, Phase::Replaying);
    new.stop("parents", "in time").await.unwrap();
    assert_eq!(new.table("parents").await.unwrap().unwrap().state, TableState::Stopped);
    assert_eq!(new.resume("parents").await.unwrap(), TableState::Replaying);
}

async fn taking_the_lease_makes_an_open_attempt_void_and_lowers_its_fence(engine: Engine) {
    let bench = bench(engine).await;
    let (old, sides) = (bench.working.ledger.clone(), &bench.working.sides);
    let stamp = old.open_attempt(bench.entry_stamp().await).await.unwrap();
    sides.source.raise_fence(&bench.working.plan, stamp, soon()).await.unwrap();
    assert!(bench.pair.source.try_execute("UPDATE parents SET note = 'x' WHERE id = 1").await.is_err());
    let new = pair::take_term(sides, &old).await.unwrap();
    assert_eq!(new.read().await.unwrap().attempt.state, AttemptState::Void);
    bench.pair.source.execute("UPDATE parents SET note = 'x' WHERE id = 1").await;
    superseded(old.make_final(stamp, 0, &[]).await);
    assert_eq!(phase(&bench).await, Phase::Replaying);
}

/// The attempt died before its raise was seen on the source.
async fn a_raise_that_arrives_after_a_takeover_fences_nothing(engine: Engine) {
    let bench = bench(engine).await;
    let (old, sides) = (bench.working.ledger.clone(), &bench.working.sides);
    let stamp = old.open_attempt(bench.entry_stamp().await).await.unwrap();
    pair::take_term(sides, &old).await.unwrap();
    superseded(sides.source.raise_fence(&bench.working.plan, stamp, soon()).await);
    bench.pair.source.execute("UPDATE parents SET note = 'x' WHERE id = 1").await;
    assert!(!sides.source.fence().await.unwrap().raised);
}

/// Triggers of the fence on change logs.
fn fence_triggers(engine: Engine) -> &'static str {
    engine.pick(
        "SELECT count(*) FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid WHERE p.proname = 'refuse'",
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%fence%'",
        "SELECT count(*) FROM information_schema.triggers WHERE trigger_name LIKE 'fence%' \
         AND trigger_schema = 'highwater_capture' AND event_object_table LIKE CONCAT(DATABASE(), '.%')",
    )
}

/// The process that lowered the fence died before it dropped the triggers. They refuse no write; the daemon drops them.
async fn what_a_lowered_fence_left_is_dropped(engine: Engine) {
    let bench = bench(engine).await;
    let (source, production) = (&bench.working.sides.source, &bench.pair.source);
    let before = production.value(fence_triggers(engine)).await;
    let stamp = bench.working.ledger.open_attempt(bench.entry_stamp().await).await.unwrap();
    source.raise_fence(&bench.working.plan, stamp, soon()).await.unwrap();
    bench.working.ledger.make_void(stamp, Voidable::Open).await.unwrap();
    source.lower_fence(stamp).await.unwrap();
    assert_ne!(production.value(fence_triggers(engine)).await, before);
    let daemon = settings(&bench.pair).setting("schedule.purge", "* * * * * *").spawn(&["run"]);
    eventually(Duration::from_secs(20), || async {
        let left = production.value(fence_triggers(engine)).await;
        if left == before { Ok(()) } else { Err(format!("{left} and not {before}")) }
    })
    .await;
    production.execute("UPDATE parents SET note = 'x' WHERE id = 1").await;
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn a_void_attempt_never_becomes_final(engine: Engine) {
    let bench = bench(engine).await;
    let ledger = &bench.working.ledger;
    let tables = ledger.read().await.unwrap().tables;
    let stamp = ledger.open_attempt(bench.entry_stamp().await).await.unwrap();
    assert_eq!(stamp.attempt % 2, 0, "room for its lowering");
    ledger.make_void(stamp, Voidable::Final).await.unwrap();
    superseded(ledger.make_final(stamp, 0, &tables).await);
    ledger.make_void(stamp, Voidable::Final).await.unwrap();
    let next = ledger.open_attempt(stamp).await.unwrap();
    assert!(next.attempt > stamp.attempt);
    ledger.make_void(stamp, Voidable::Final).await.unwrap();
    let fewer = ledger.make_final(next, 0, &tables[1..]).await;
    superseded(fewer);
    ledger.make_final(next, 0, &tables).await.unwrap();
    assert_eq!(phase(&bench).await, Phase::Final);
    superseded(ledger.open_attempt(next).await);
    assert_eq!(
        ledger.make_void(next, Voidable::Open).await.unwrap(),
        Voided::Final,
        "a dying attempt leaves it"
    );
    assert_eq!(phase(&bench).await, Phase::Final);
    ledger.make_void(next, Voidable::Final).await.unwrap();
    assert_eq!(phase(&bench).await, Phase::Replaying);
}

async fn no_copy_begins_under_an_open_attempt(engine: Engine) {
    let bench = bench(engine).await;
    let ledger = &bench.working.ledger;
    ledger.open_attempt(bench.entry_stamp().await).await.unwrap();
    let (watermark, origin) = (bench.entry.watermark.clone().unwrap(), bench.entry.origin.clone().unwrap());
    superseded(ledger.begin_copy("parents", Some("doubt"), &watermark, &origin, &[]).await);
    superseded(ledger.begin_upgrade(false).await);
    assert_eq!(ledger.table("parents").await.unwrap().unwrap().state, TableState::Replaying);
}

async fn shown_phase(highwater: &Highwater) -> String {
    let status = highwater.run(&["status", "--json"]).await.json();
    status["databases"][0]["phase"].as_str().unwrap_or_default().to_owned()
}

async fn killed_between_the_last_copy_and_the_phase(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.clone().fault("after_copy_ends@3=kill").run(&["copy"]).await.killed();
    assert_eq!(shown_phase(&highwater).await, "copying");
    pair.source.execute(CHANGES).await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(shown_phase(&highwater).await, "replaying");
    assert_same(&pair).await;
}

async fn the_last_open_table_stops_and_the_others_replay(engine: Engine) {
    let pair = engine.pair().await;
    let tables = "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE z (id INTEGER PRIMARY KEY)";
    pair.execute_on_both(tables).await;
    pair.source.execute("INSERT INTO a VALUES (1); INSERT INTO z VALUES (1)").await;
    let highwater = settings(&pair);
    let without = highwater.clone().setting("database.main.exclude", "[\"z\"]");
    without.fault("before_copy_ends=kill").run(&["copy"]).await.killed();
    assert_eq!(shown_phase(&highwater).await, "copying");
    pair.target.execute("INSERT INTO z VALUES (7)").await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("table stopped").await;
    eventually(Duration::from_secs(30), async || shown_phase(&highwater).await == "replaying").await;
}

/// Every lookup would stay NULL for ever, with as many rows on both sides.
async fn lookups_are_done_again_when_their_table_is_included_later(engine: Engine) {
    let (pair, highwater) = apps(engine).await;
    let without = highwater.clone().setting("database.main.exclude", "[\"apps\"]");
    without.run(&["copy"]).await.ok();
    assert_eq!(pair.target.value("SELECT count(app_id) FROM tokens").await, "0");
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_eq!(pair.target.value("SELECT count(app_id) FROM tokens").await, "2");
    assert_eq!(pair.target.value("SELECT app_id FROM tokens WHERE id = 2").await, "2");
}

async fn a_table_waits_for_what_it_looks_up_to_be_copied(engine: Engine) {
    let (pair, highwater) = apps(engine).await;
    pair.execute_on_both("CREATE TABLE other (id INTEGER PRIMARY KEY)").await;
    let begun = highwater.clone().setting("database.main.exclude", "[\"apps\", \"tokens\"]");
    begun.run(&["copy"]).await.ok();
    pair.target.execute("INSERT INTO apps VALUES (9, 'stray')").await;
    highwater.run(&["copy"]).await.expect_code(4).says("apps");
    assert_eq!(pair.target.value("SELECT count(*) FROM tokens").await, "0", "it waits");
    highwater.run(&["final-sync", "--fence"]).await.expect_code(4);
    pair.target.execute("DELETE FROM apps").await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value("SELECT count(app_id) FROM tokens").await, "2");
}

async fn nothing_is_made_on_a_final_target(engine: Engine) {
    let pair = engine.pair().await;
    pair.source.execute("CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1)").await;
    let highwater = settings(&pair).setting("copy.schema", "create");
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    pair.source.execute("CREATE TABLE later (id INTEGER PRIMARY KEY)").await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("following").await;
    highwater.run(&["copy"]).await.expect_code(3);
    assert_eq!(daemon.terminate().await, Some(0));
    assert!(pair.target.try_execute("SELECT * FROM later").await.is_err(), "the target is the application's");
}

/// The change log of `parents`, as its own engine's SQL names it.
async fn log_of_parents(bench: &Bench) -> String {
    let name = "SELECT CONCAT('highwater_capture.`', DATABASE(), '.parents`')";
    match bench.pair.source.engine() {
        Engine::Postgres => "highwater_capture.\"public.parents\"".to_owned(),
        Engine::Sqlite => "highwater_capture_log_parents".to_owned(),
        Engine::Mysql | Engine::Mariadb => bench.pair.source.value(name).await,
    }
}

/// A lost change log needs a full resync. Until a job has begun it the ledger says `replaying`.
async fn a_copy_ends_with_the_full_resync_that_it_begins(engine: Engine) {
    let bench = bench(engine).await;
    let log = log_of_parents(&bench).await;
    bench.pair.source.execute(&format!("DROP TABLE {log}")).await;
    let (halted, pause) = settings(&bench.pair).pause_at("before_copy_begins");
    let copying = halted.spawn(&["copy"]);
    pause.reached().await;
    // A connection that knows SQLite's schema without the log would not look whether it is there again.
    bench.pair.source.connect().await.execute(CHANGES).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    pause.go_on();
    let code = copying.wait().await;
    assert_eq!(code, Some(0));
    settings(&bench.pair).run(&["final-sync"]).await.ok();
    assert_same(&bench.pair).await;
}
