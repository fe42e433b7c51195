//! The end of the window: drained, final, and everything that must not pass for either.

use std::time::Duration;

use super::{CHANGES, shop};
use crate::support::compare::assert_same;
use crate::support::{Db, Engine};

contract!(
    drains_and_says_so,
    a_daemon_hands_over_and_takes_back,
    final_with_a_fence_that_stays,
    final_stays_final_when_the_application_writes_the_target,
    a_daemon_leaves_a_final_target_alone,
    a_table_that_came_later_is_not_forgotten,
    a_lifted_fence_lets_writers_pass,
    not_final_means_no_fence,
    killed_with_the_fence_up,
    not_copied_is_not_converged,
    rows_that_a_rule_leaves_out_are_not_missing,
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
        assert!(matches!(output.code, Some(0 | 4)), "{output:?}");
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

async fn a_lifted_fence_lets_writers_pass(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok();
    highwater.run(&["final-sync", "--lift"]).await.ok();
    assert!(!write_is_refused(&pair.source).await);
    highwater.run(&["final-sync", "--lift"]).await.ok();
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
    highwater.run(&["final-sync", "--fence"]).await.expect_code(4).says("parked").says("lifted");
    assert!(!write_is_refused(&pair.source).await, "production writes again");
}

async fn killed_with_the_fence_up(engine: Engine) {
    for fault in ["after_attempt_opened=kill", "after_fence_raised=kill", "after_final=kill"] {
        let (pair, highwater) = shop(engine).await;
        highwater.run(&["copy"]).await.ok();
        highwater.clone().fault(fault).run(&["final-sync", "--fence"]).await.killed();
        highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        assert_same(&pair).await;
        highwater.clone().fault("before_fence_lifted=kill").run(&["final-sync", "--lift"]).await.killed();
        assert!(write_is_refused(&pair.source).await, "the lift did not happen");
        highwater.run(&["final-sync", "--lift"]).await.ok();
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
