//! The end of the window: drained, final, and everything that must not pass for either.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use highwater::engine::{Lowered, Stamp};
use highwater::error::Kind;
use highwater::follow::{Follow, Goal};
use highwater::state::TableState;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::guards::{Bench, bench};
use super::{CHANGES, ROWS, TABLES, settings, shop};
use crate::support::compare::assert_same;
use crate::support::{Db, Engine, Pair};

contract!(
    drains_and_says_so,
    a_daemon_hands_over_and_takes_back,
    final_with_a_fence_that_stays,
    final_stays_final_when_the_application_writes_the_target,
    a_daemon_leaves_a_final_target_alone,
    a_table_that_came_later_is_not_forgotten,
    a_lowered_fence_lets_writers_pass,
    not_final_means_no_fence,
    killed_with_the_fence_up,
    not_copied_is_not_converged,
    rows_that_a_rule_leaves_out_are_not_missing,
    killed_between_the_state_and_the_fence,
    not_final_once_the_fence_was_lowered_by_another,
    nothing_is_fenced_while_one_database_is_not_ready,
    time_and_a_signal_end_the_outage,
    an_attempt_that_is_given_up_leaves_a_later_fence_alone,
    nothing_is_copied_under_the_fence,
    a_fence_that_went_up_after_the_question_keeps_clean_away,
);

async fn drains_and_says_so(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    pair.source.execute(CHANGES).await;
    let report = highwater.run(&["final-sync", "--json"]).await.ok().json();
    assert_eq!(report["verdict"], "drained", "{report}");
    assert_eq!(report["converged"], true, "{report}");
    assert_same(&pair).await;
    highwater.run(&["final-sync"]).await.ok().says("drained");
}

async fn a_daemon_hands_over_and_takes_back(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute(CHANGES).await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
    pair.source.execute("UPDATE parents SET note = 'later'").await;
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn final_with_a_fence_that_stays(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    pair.source.execute(CHANGES).await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_same(&pair).await;
    assert!(write_is_refused(&pair.source).await);
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    highwater.run(&["clean", "--yes"]).await.expect_code(3).says("fence");
}

async fn final_stays_final_when_the_application_writes_the_target(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok();
    pair.target.execute("DELETE FROM audit; INSERT INTO parents VALUES (9000, 'new', 'x')").await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert!(write_is_refused(&pair.source).await, "the fence stands");
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE id = 9000").await, "1");
}

/// Production's administrator clears up on the old side: whatever is noticed of that, the target is the
/// application's.
async fn a_daemon_leaves_a_final_target_alone(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    pair.target.execute("INSERT INTO parents VALUES (9000, 'new', 'x')").await;
    let clear_up = "DROP TABLE audit; CREATE TABLE audit (happened INTEGER, what TEXT)";
    pair.source.execute(engine.pick(clear_up, clear_up, "TRUNCATE audit; ALTER TABLE parents FORCE")).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(daemon.terminate().await, Some(0));
    for command in ["copy", "final-sync"] {
        let output = highwater.run(&[command]).await;
        assert!(matches!(output.code, Some(0 | 3 | 4)), "{output:?}");
    }
    let daemon = highwater.spawn(&["run"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pair.target.value("SELECT count(*) FROM audit").await, "200");
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE id = 9000").await, "1");
    drop(daemon);
    assert!(write_is_refused(&pair.source).await, "the fence stands");
}

async fn a_table_that_came_later_is_not_forgotten(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    pair.source.execute("CREATE TABLE later (id INTEGER PRIMARY KEY); INSERT INTO later VALUES (1)").await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("later: the target has no such table");
    pair.target.execute("CREATE TABLE later (id INTEGER PRIMARY KEY)").await;
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
}

async fn a_lowered_fence_lets_writers_pass(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok();
    highwater.run(&["final-sync", "--lower"]).await.ok();
    assert!(!write_is_refused(&pair.source).await);
    highwater.run(&["final-sync", "--lower"]).await.ok();
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn not_final_means_no_fence(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let tight = engine.pick(
        "ALTER TABLE parents ADD CONSTRAINT tight CHECK (name <> 'tight')",
        "DROP TABLE parents; CREATE TABLE parents (id INTEGER PRIMARY KEY, \
         name VARCHAR(40) NOT NULL UNIQUE CHECK (name <> 'tight'), note TEXT)",
        "ALTER TABLE parents ADD CONSTRAINT tight CHECK (name <> 'tight')",
    );
    pair.target.execute(tight).await;
    highwater.run(&["copy"]).await.ok();
    pair.source.execute("UPDATE parents SET name = 'tight' WHERE id = 1").await;
    highwater
        .run(&["final-sync", "--fence"])
        .await
        .expect_code(4)
        .says("parked")
        .says("the fence was not raised");
    assert!(!write_is_refused(&pair.source).await, "production writes again");
}

async fn killed_with_the_fence_up(engine: Engine) {
    for fault in ["after_attempt_opened=kill", "after_fence_raised=kill", "after_final=kill"] {
        let (pair, highwater) = shop(engine).await;
        highwater.run(&["copy"]).await.ok();
        highwater.clone().fault(fault).run(&["final-sync", "--fence"]).await.killed();
        highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        assert_same(&pair).await;
        highwater.clone().fault("before_fence_lowered=kill").run(&["final-sync", "--lower"]).await.killed();
        assert!(write_is_refused(&pair.source).await, "the fence was not lowered");
        highwater.run(&["final-sync", "--lower"]).await.ok();
        assert!(!write_is_refused(&pair.source).await);
    }
}

async fn not_copied_is_not_converged(engine: Engine) {
    let (_pair, highwater) = shop(engine).await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("nothing is copied yet");
}

/// Whether a write to the source fails because of the fence.
pub(super) async fn write_is_refused(source: &Db) -> bool {
    let written = source.try_execute("UPDATE parents SET note = note WHERE id = 1").await;
    written.is_err_and(|error| is_by_the_fence(&error))
}

/// Each engine has its own way to say so: an error code where there are some.
fn is_by_the_fence(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.code().as_deref() == Some("HW001") || error.message().contains("highwater fence")
}

/// As many rows on both sides, but not the same: keys are compared where a rule leaves rows out.
async fn rows_that_a_rule_leaves_out_are_not_missing(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let highwater = highwater.text("[[database.main.table]]\nname = \"children\"\nwhere = \"n < 2\"\n");
    highwater.run(&["copy"]).await.ok();
    pair.target.execute("DELETE FROM children WHERE parent_id = 7 AND n = 1").await;
    pair.target.execute("INSERT INTO children VALUES (7, 99, 'stray')").await;
    let refused = highwater.run(&["final-sync", "--fence"]).await.expect_code(4);
    refused.says("1 rows are missing on the target: (7, 1)").says("not production's: (7, 99)");
    pair.target.execute("DELETE FROM children WHERE n = 99").await;
    pair.target.execute("INSERT INTO children VALUES (7, 1, 'c19')").await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_eq!(pair.target.value("SELECT count(*) FROM children").await, "1000");
}

/// docs/how-it-works.md, "state first, then the fence": whatever dies between, `final` is not said of rows that
/// production wrote since.
async fn killed_between_the_state_and_the_fence(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    for fault in ["before_fence_lowered=kill", "after_fence_lowered=kill"] {
        highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        highwater.clone().fault(fault).run(&["final-sync", "--lower"]).await.killed();
        assert_eq!(pair.target.value(phase(engine)).await, "replaying", "{fault}");
        if fault.starts_with("before") {
            assert!(write_is_refused(&pair.source).await, "{fault}");
            highwater.run(&["final-sync", "--lower"]).await.ok();
        }
        pair.source.execute(&format!("UPDATE parents SET note = '{fault}' WHERE id = 1")).await;
        let report = highwater.run(&["final-sync", "--json"]).await.ok().json();
        assert_eq!(report["databases"][0]["verdict"], "drained", "{report}");
        assert_same(&pair).await;
    }
}

fn phase(engine: Engine) -> &'static str {
    let plain = "SELECT phase FROM highwater_ledger_databases";
    engine.pick("SELECT phase FROM highwater_ledger.databases", plain, plain)
}

/// A source as highwater sees it.
async fn source_of(pair: &Pair) -> Arc<dyn highwater::engine::Source> {
    let database = super::guards::database(pair);
    let settings = highwater::settings::Settings::with_databases(vec![database.clone()]);
    highwater::pair::connect(&database, &settings).await.unwrap().source
}

/// docs/how-it-works.md, "the fence goes up last": `final` is never inferred from a phase.
async fn not_final_once_the_fence_was_lowered_by_another(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok();
    let source = source_of(&pair).await;
    let stamp = source.fence().await.unwrap().stamp;
    assert_eq!(source.lower_fence(stamp).await.unwrap(), Lowered::Down);
    for command in [&["final-sync"][..], &["final-sync", "--fence"]] {
        highwater.run(command).await.expect_code(4).says("the fence is not up");
    }
    pair.source.execute("UPDATE parents SET note = 'late' WHERE id = 1").await;
    highwater.run(&["final-sync", "--fence"]).await.expect_code(4).says("parents was written on the source");
    assert_eq!(pair.target.value(phase(engine)).await, "final", "the target is left alone");
    assert_eq!(pair.target.value("SELECT note FROM parents WHERE id = 1").await, "NULL");
    highwater.run(&["final-sync", "--lower"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_same(&pair).await;
}

async fn nothing_is_fenced_while_one_database_is_not_ready(engine: Engine) {
    let (ready, other) = (engine.pair().await, engine.pair().await);
    for pair in [&ready, &other] {
        pair.execute_on_both(TABLES).await;
        pair.source.execute(ROWS).await;
    }
    let highwater = settings(&ready).database("other", &other);
    let checkpoint = "[[database.other.checkpoint]]\nname = \"never\"\ntables = [\"nowhere\"]\n";
    let highwater = highwater.text(checkpoint);
    highwater.run(&["copy"]).await.ok();
    let report = highwater.run(&["final-sync", "--fence", "--json"]).await.expect_code(4).json();
    let reasons = |n: usize| report["databases"][n]["reasons"].to_string();
    assert!(reasons(0).contains("not ready: other"), "{report}");
    assert!(reasons(1).contains("never"), "{report}");
    for pair in [&ready, &other] {
        assert!(!write_is_refused(&pair.source).await);
        assert_eq!(source_of(pair).await.fence().await.unwrap().stamp.attempt, 0, "it was never raised");
    }
    other.target.execute("CREATE TABLE nowhere (id INTEGER)").await;
    let report = highwater.run(&["final-sync", "--fence", "--json"]).await.ok().json();
    assert!(report["databases"][1]["outage"]["seconds"].is_number(), "{report}");
    assert!(write_is_refused(&ready.source).await && write_is_refused(&other.source).await);
}

/// Whatever is being done under the fence.
async fn time_and_a_signal_end_the_outage(engine: Engine) {
    for (timeout, by_signal) in [("60s", true), ("25s", false)] {
        let (pair, highwater) = shop(engine).await;
        highwater.run(&["copy"]).await.ok();
        let (halted, pause) = highwater.clone().pause_at("after_fence_raised");
        let syncing = halted.spawn(&["final-sync", "--fence", "--timeout", timeout]);
        pause.reached().await;
        assert!(write_is_refused(&pair.source).await);
        if by_signal {
            syncing.signal("INT");
        }
        syncing.wait_for_log("the fence is lowered: production writes again").await;
        assert_eq!(syncing.wait().await, Some(4));
        assert!(!write_is_refused(&pair.source).await);
        highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        assert_same(&pair).await;
    }
}

/// docs/how-it-works.md, "an attempt touches its own stamp only".
async fn an_attempt_that_is_given_up_leaves_a_later_fence_alone(engine: Engine) {
    let Bench { pair, working, .. } = bench(engine).await;
    let highwater = settings(&pair);
    let (halted, pause) = highwater.pause_at("after_fence_raised");
    let dying = halted.spawn(&["final-sync", "--fence"]);
    pause.reached().await;
    let source = &working.sides.source;
    let later = Stamp { epoch: 0, attempt: source.fence().await.unwrap().stamp.attempt + 2 };
    source.raise_fence(&working.plan, later, Instant::now() + Duration::from_secs(30)).await.unwrap();
    dying.signal("INT");
    dying.wait_for_log("was left alone").await;
    assert_eq!(dying.wait().await, Some(4));
    let found = source.fence().await.unwrap();
    assert!(found.raised && found.stamp == later, "{found:?}");
    assert!(write_is_refused(&pair.source).await);
}

async fn nothing_is_copied_under_the_fence(engine: Engine) {
    let Bench { working, pair: _pair, .. } = bench(engine).await;
    let mut lease = working.sides.target.try_lease("main").await.unwrap().unwrap();
    let working = Arc::new(working);
    let mut extents = BTreeMap::new();
    let mut generations = BTreeMap::new();
    for table in &working.plan.tables {
        extents.insert(table.label(), working.sides.source.extent(table).await.unwrap());
        generations.insert(table.label(), Ok("another".to_owned()));
    }
    working.ledger.open_attempt(working.sides.source.fence().await.unwrap().stamp).await.unwrap();
    let goal = Goal::Reach(extents);
    let follow = Follow::new(working.clone(), goal, CancellationToken::new()).await.unwrap();
    let ended = follow.run(&generations, lease.as_mut(), &mut mpsc::channel(1).1).await;
    assert_eq!(ended.map_err(|e| e.kind()), Err(Kind::NotConverged));
    let entry = working.ledger.read().await.unwrap();
    assert!(entry.tables.iter().all(|t| t.state == TableState::Replaying), "{:?}", entry.tables);
}

async fn a_fence_that_went_up_after_the_question_keeps_clean_away(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let (asking, answer) = highwater.clone().pause_at("after_clean_looked");
    let cleaning = asking.spawn(&["clean", "--yes"]);
    answer.reached().await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    answer.go_on();
    assert_eq!(cleaning.wait().await, Some(3));
    assert!(write_is_refused(&pair.source).await, "the fence stands");
    assert_eq!(pair.target.value(phase(engine)).await, "final");
}

/// docs/how-it-works.md, "sequences are checked by what they feed": whatever they are called.
#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_of_another_name_is_checked() {
    let pair = Engine::Postgres.pair().await;
    let table = |sequence: &str| {
        format!(
            "CREATE SEQUENCE {sequence}; \
             CREATE TABLE items (id integer PRIMARY KEY DEFAULT nextval('{sequence}'), name text)"
        )
    };
    pair.source.execute(&table("items_seq")).await;
    pair.target.execute(&table("renamed_seq")).await;
    pair.source.execute("INSERT INTO items (name) VALUES ('a'), ('b'), ('c')").await;
    let highwater = settings(&pair);
    highwater.run(&["copy"]).await.ok();
    let refused = highwater.run(&["final-sync", "--fence"]).await.expect_code(4);
    refused.says("sequence renamed_seq is behind").says("setval").says("the fence was not raised");
    pair.target.execute("SELECT setval('renamed_seq', 3)").await;
    highwater
        .run(&["final-sync", "--fence"])
        .await
        .ok()
        .says("renamed_seq, which feeds items.id, has no partner");
}
