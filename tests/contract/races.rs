//! Races, named by their interleaving: the real program is halted at named points while others act.

use std::time::Duration;

use super::{CHANGES, eventually_same, shop};
use crate::support::compare::differences;
use crate::support::{Db, Engine, eventually};

contract!(
    production_writes_while_chunks_are_copied,
    two_daemons_one_works,
    a_target_restored_after_the_log_was_purged,
    capture_that_was_removed_is_put_back_and_the_table_copied_anew,
    a_table_dropped_on_the_target_stops_alone,
);

async fn production_writes_while_chunks_are_copied(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let (halted, pause) = highwater.clone().pause_at("before_chunk_commit@3");
    let daemon = halted.spawn(&["run"]);
    pause.reached().await;
    pair.source.execute(CHANGES).await;
    pause.go_on();
    daemon.wait_until_in_sync().await;
    eventually_same(&pair).await;
}

async fn two_daemons_one_works(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let first = highwater.spawn(&["run"]);
    first.wait_until_in_sync().await;
    let second = highwater.clone().on_another_port().spawn(&["run"]);
    second.wait_for_log("standing by").await;
    assert_eq!(second.get("/readyz").await.status, 200);
    assert_eq!(second.get("/syncz").await.status, 503);
    first.kill9().await;
    pair.source.execute(CHANGES).await;
    second.wait_until_in_sync().await;
    eventually_same(&pair).await;
}

async fn a_target_restored_after_the_log_was_purged(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let backup = ledger_backup(engine);
    pair.target.execute(backup.0).await;
    let daemon = highwater.clone().setting("schedule.purge", "* * * * * *").spawn(&["run"]);
    pair.source.execute(CHANGES).await;
    pair.source.execute("UPDATE parents SET note = 'x' WHERE id BETWEEN 100 AND 200").await;
    daemon.wait_until_in_sync().await;
    let log = match &pair.source {
        Db::Postgres(_) => "highwater_capture.\"public.parents\"".to_owned(),
        Db::Sqlite(_) => "highwater_capture_log_parents".to_owned(),
        Db::Mysql(database) => format!("highwater_capture.\"{}.parents\"", database.name()),
    };
    let left = format!("SELECT count(*) FROM {log}");
    pair.source.execute("UPDATE parents SET note = 'y' WHERE id = 1").await;
    eventually(Duration::from_secs(30), || async {
        let left: i64 = pair.source.value(&left).await.parse().unwrap();
        if left <= 2 { Ok(()) } else { Err(format!("{left} entries")) }
    })
    .await;
    assert_eq!(daemon.terminate().await, Some(0));
    // The target goes back to the moment after the copy; what was replayed since is gone from it, and
    // from the log.
    pair.target.execute(backup.1).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("full resync").await;
    daemon.wait_until_in_sync().await;
    eventually_same(&pair).await;
}

/// Statements that keep the target's tables and watermarks, and that bring them back.
fn ledger_backup(engine: Engine) -> (&'static str, &'static str) {
    let plain = (
        "CREATE TABLE b_t AS SELECT * FROM highwater_ledger_tables; CREATE TABLE b_p AS SELECT * FROM parents;
         CREATE TABLE b_c AS SELECT * FROM children; CREATE TABLE b_a AS SELECT * FROM audit;",
        "DELETE FROM highwater_ledger_tables; INSERT INTO highwater_ledger_tables SELECT * FROM b_t;
         DELETE FROM children; DELETE FROM parents; DELETE FROM audit;
         INSERT INTO parents SELECT * FROM b_p; INSERT INTO children SELECT * FROM b_c;
         INSERT INTO audit SELECT * FROM b_a;
         DROP TABLE b_t; DROP TABLE b_p; DROP TABLE b_c; DROP TABLE b_a;",
    );
    engine.pick(
        (
            "CREATE SCHEMA backup; CREATE TABLE backup.t AS TABLE highwater_ledger.tables;
             CREATE TABLE backup.parents AS TABLE parents; CREATE TABLE backup.children AS TABLE children;
             CREATE TABLE backup.audit AS TABLE audit;",
            "DELETE FROM highwater_ledger.tables; INSERT INTO highwater_ledger.tables TABLE backup.t;
             TRUNCATE parents, children, audit; INSERT INTO parents TABLE backup.parents;
             INSERT INTO children TABLE backup.children; INSERT INTO audit TABLE backup.audit;
             DROP SCHEMA backup CASCADE",
        ),
        plain,
        plain,
    )
}

async fn capture_that_was_removed_is_put_back_and_the_table_copied_anew(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let names = engine.pick(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'parents'::regclass AND NOT tgisinternal",
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'parents'",
        "SELECT trigger_name FROM information_schema.triggers
         WHERE trigger_schema = DATABASE() AND event_object_table = 'parents'",
    );
    let on = engine.pick(" ON parents", "", "");
    let triggers = pair.source.rows_as_text(names).await;
    assert!(triggers.len() >= 3, "{triggers:?}");
    let mut drop_all: String =
        triggers.iter().map(|row| format!("DROP TRIGGER \"{}\"{on};", row[0].as_ref().unwrap())).collect();
    drop_all.push_str("UPDATE parents SET note = 'unseen' WHERE id = 3; DELETE FROM parents WHERE id = 490;");
    pair.source.execute(&drop_all).await;
    daemon.wait_for_log("full resync").await;
    daemon.wait_until_in_sync().await;
    eventually_same(&pair).await;
    pair.source.execute("UPDATE parents SET note = 'seen' WHERE id = 4").await;
    eventually_same(&pair).await;
}

async fn a_table_dropped_on_the_target_stops_alone(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.target.execute("DROP TABLE audit").await;
    pair.source.execute(CHANGES).await;
    daemon.wait_for_log("table stopped").await;
    eventually(Duration::from_secs(20), || async {
        differences(&pair.source, &pair.target, &["audit"]).await.is_empty()
    })
    .await;
    assert_eq!(daemon.get("/syncz").await.status, 503);
    pair.target.execute("CREATE TABLE audit (happened INTEGER, what TEXT)").await;
    daemon.wait_until_in_sync().await;
    eventually_same(&pair).await;
}
