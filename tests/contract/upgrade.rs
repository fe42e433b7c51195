//! The target's schema is upgraded while production writes on: by scripts, or between `--begin` and `--done`.

use std::fs;
use std::time::Duration;

use super::{CHANGES, eventually_same, shop};
use crate::support::compare::assert_same;
use crate::support::{Backup, Db, Engine, Highwater, Pair, eventually};

contract!(
    scripts_run_while_production_writes,
    a_script_that_fails_goes_on_where_it_stood,
    a_script_that_fails_in_its_own_transaction_is_undone,
    killed_while_scripts_run,
    killed_around_the_phase,
    a_script_that_was_broken_off_asks_where_to_go_on,
    a_script_that_changed_is_refused,
    begin_and_done_with_a_daemon,
    other_commands_refuse_meanwhile,
    nothing_ends_before_it,
    rows_of_the_upgrade_are_counted_when_it_is_final,
    nothing_is_copied_before,
    what_is_not_copied_cant_be_upgraded,
    what_does_not_fit_keeps_it_upgrading,
    a_held_log_is_not_purged,
    the_client_runs_scripts,
    a_client_that_fails_asks_where_to_go_on,
    a_client_that_runs_a_script_as_a_whole,
    several_databases_are_all_carried_through,
    commands_of_a_client_are_refused_before_anything_runs,
    a_restored_target_goes_on_from_there,
    a_target_that_is_altered_unannounced_stops_the_table,
);

/// A new column with values, in two statements.
const COLUMN: &str = "ALTER TABLE parents ADD COLUMN extra INTEGER;\nUPDATE parents SET extra = id;\n";
/// A new table.
const TABLE: &str = "CREATE TABLE fresh (id INTEGER PRIMARY KEY);\nINSERT INTO fresh VALUES (1);\n";
/// As [`TABLE`], with a statement between that fails.
const BROKEN: &str = "CREATE TABLE fresh (id INTEGER PRIMARY KEY);\nINSERT INTO missing VALUES (1);\nINSERT INTO fresh VALUES (1);\n";

pub(super) fn script(highwater: &Highwater, name: &str, text: &str) {
    fs::write(highwater.folder().join(name), text).unwrap();
}

/// The shop with two scripts.
pub(super) async fn upgradable(engine: Engine) -> (Pair, Highwater) {
    let (pair, highwater) = shop(engine).await;
    let highwater = highwater.setting("upgrade.scripts", "[\"one.sql\", \"two.sql\"]");
    script(&highwater, "one.sql", COLUMN);
    script(&highwater, "two.sql", TABLE);
    (pair, highwater)
}

pub(super) async fn fresh_rows(pair: &Pair) -> String {
    pair.target.value("SELECT count(*) FROM fresh").await
}

fn phase(engine: Engine) -> &'static str {
    let plain = "SELECT phase FROM highwater_ledger_databases";
    engine.pick("SELECT phase FROM highwater_ledger.databases", plain, plain)
}

fn ledger(engine: Engine, table: &str) -> String {
    let plain = format!("highwater_ledger_{table}");
    engine.pick(format!("highwater_ledger.{table}"), plain.clone(), plain)
}

async fn scripts_run_while_production_writes(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let (pausing, pause) = highwater.clone().pause_at("after_statement");
    let upgrade = pausing.spawn(&["upgrade"]);
    pause.reached().await;
    pair.source.execute(CHANGES).await;
    pause.go_on();
    assert_eq!(upgrade.wait().await, Some(0));
    eventually_same(&pair).await;
    assert_eq!(fresh_rows(&pair).await, "1");
    assert_eq!(pair.target.value("SELECT extra FROM parents WHERE id = 7").await, "7");
    assert!(!daemon.log().contains("full resync"), "{}", daemon.log());
    assert_eq!(daemon.terminate().await, Some(0));
    let again = highwater.run(&["upgrade", "--json"]).await.ok().json();
    assert!(again["databases"][0]["upgraded_at"].is_string(), "{again}");
    assert_eq!(fresh_rows(&pair).await, "1");
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn a_script_that_fails_goes_on_where_it_stood(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    script(&highwater, "two.sql", BROKEN);
    highwater.run(&["copy"]).await.ok();
    pair.source.execute(CHANGES).await;
    let failed =
        highwater.run(&["upgrade"]).await.expect_code(1).says("two.sql:2").says("INSERT INTO missing");
    failed.says("it is next");
    assert_eq!(pair.target.value(phase(engine)).await, "upgrading");
    highwater.run(&["upgrade", "--done"]).await.expect_code(3);
    script(
        &highwater,
        "two.sql",
        &BROKEN.replace("missing", "fresh").replace("(1);\nINSERT", "(2);\nINSERT"),
    );
    highwater.run(&["upgrade"]).await.ok().says("one.sql: has run already");
    assert_eq!(fresh_rows(&pair).await, "2");
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn a_script_that_fails_in_its_own_transaction_is_undone(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    let text = "CREATE TABLE fresh (id INTEGER PRIMARY KEY);\nBEGIN;\nINSERT INTO fresh VALUES (1);\n\
                INSERT INTO missing VALUES (1);\nCOMMIT;\nINSERT INTO fresh VALUES (3);\n";
    script(&highwater, "two.sql", text);
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade"]).await.expect_code(1).says("two.sql:4").says("next is statement 2 of 6");
    assert_eq!(fresh_rows(&pair).await, "0");
    script(&highwater, "two.sql", &text.replace("missing VALUES (1)", "fresh VALUES (2)"));
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(fresh_rows(&pair).await, "3");
}

async fn killed_while_scripts_run(engine: Engine) {
    for fault in [
        "after_upgrade_begins=kill",
        "before_statement=kill",
        "before_statement@4=kill",
        "before_statement_commit@4=kill",
        "after_statement_commit@4=kill",
        "after_script=kill",
        "after_upgrade_planned=kill",
        "before_upgrade_ends=kill",
        "after_upgrade_ends=kill",
    ] {
        // Elsewhere a statement and its record are one transaction: what has taken effect is known.
        let asks = fault.contains("_statement") && engine.is_mysql();
        if fault.contains("_commit") && engine.is_mysql() {
            continue;
        }
        let (pair, highwater) = upgradable(engine).await;
        highwater.run(&["copy"]).await.ok();
        pair.source.execute(CHANGES).await;
        highwater.clone().fault(fault).run(&["upgrade"]).await.killed();
        if asks {
            let n = if fault.contains('@') { "2" } else { "1" };
            highwater.run(&["upgrade"]).await.expect_code(3).says("may or may not have taken effect");
            highwater.run(&["upgrade", "--next", n]).await.ok();
        } else {
            highwater.run(&["upgrade"]).await.ok();
        }
        assert_eq!(fresh_rows(&pair).await, "1", "{fault}");
        highwater.run(&["final-sync"]).await.ok();
        assert_same(&pair).await;
    }
}

async fn killed_around_the_phase(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.clone().fault("before_upgrade_begins=kill").run(&["upgrade", "--begin"]).await.killed();
    assert_eq!(pair.target.value(phase(engine)).await, "replaying");
    highwater.clone().fault("after_upgrade_begins=kill").run(&["upgrade", "--begin"]).await.killed();
    assert_eq!(pair.target.value(phase(engine)).await, "upgrading");
    highwater.run(&["upgrade", "--begin"]).await.ok();
    for fault in ["after_upgrade_planned=kill", "before_upgrade_ends=kill", "after_upgrade_ends=kill"] {
        highwater.clone().fault(fault).run(&["upgrade", "--done"]).await.killed();
    }
    highwater.run(&["upgrade", "--done"]).await.ok();
    assert_eq!(pair.target.value(phase(engine)).await, "replaying");
}

/// A statement that commits by itself has run, and died before that was recorded.
async fn a_script_that_was_broken_off_asks_where_to_go_on(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    let alone = engine.pick("VACUUM parents", "VACUUM", "INSERT INTO fresh VALUES (0)");
    script(&highwater, "two.sql", &format!("{TABLE}{alone};\nINSERT INTO fresh VALUES (2);\n"));
    highwater.run(&["copy"]).await.ok();
    highwater.clone().fault("after_statement@5=kill").run(&["upgrade"]).await.killed();
    highwater.run(&["upgrade"]).await.expect_code(3).says(alone).says("--next 4");
    if engine.is_mysql() {
        pair.target.execute("DELETE FROM fresh WHERE id = 0").await;
    }
    highwater.run(&["upgrade", "--next", "4"]).await.ok();
    assert_eq!(fresh_rows(&pair).await, "2");
}

async fn a_script_that_changed_is_refused(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.clone().fault("after_script=kill").run(&["upgrade"]).await.killed();
    script(&highwater, "one.sql", &COLUMN.replace("= id", "= 1"));
    highwater.run(&["upgrade"]).await.expect_code(3).says("is another one now");
    script(&highwater, "one.sql", COLUMN);
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(fresh_rows(&pair).await, "1");
    script(&highwater, "two.sql", COLUMN);
    highwater.run(&["upgrade"]).await.expect_code(3).says("is another one now");
}

/// The daemon is started anew meanwhile, and half of the upgrade is no schema to plan by.
async fn begin_and_done_with_a_daemon(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("DROP TABLE children").await;
    pair.source.execute(CHANGES).await;
    let lag = "highwater_table_lag_rows{database=\"main\",table=\"parents\"}";
    let waits = async |daemon: &crate::support::Daemon| {
        eventually(Duration::from_secs(20), || async {
            let syncz = daemon.get("/syncz").await;
            let rows = daemon.get("/metrics").await.metric(lag).unwrap_or_default();
            let says = syncz.status == 503 && syncz.body.contains("being upgraded");
            if says && rows > 0.0 { Ok(()) } else { Err(format!("{syncz:?} {rows}")) }
        })
        .await;
    };
    waits(&daemon).await;
    assert_eq!(daemon.terminate().await, Some(0));
    let daemon = highwater.spawn(&["run"]);
    waits(&daemon).await;
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE id = 501").await, "0");
    assert!(!daemon.log().contains("tried again"), "it doesn't even try: {}", daemon.log());
    let phase = "highwater_database_phase{database=\"main\",phase=\"upgrading\"}";
    assert_eq!(daemon.get("/metrics").await.metric(phase), Some(1.0));
    let children = "CREATE TABLE children (parent_id INTEGER NOT NULL, n INTEGER NOT NULL, note TEXT, \
                    extra INTEGER, PRIMARY KEY (parent_id, n))";
    pair.target.execute(children).await;
    let rows =
        pair.source.rows_as_text("SELECT parent_id, n, note FROM children WHERE parent_id < 300").await;
    let text = |v: &Option<String>| v.clone().unwrap_or_default();
    let values: Vec<String> =
        rows.iter().map(|r| format!("({}, {}, '{}', 1)", text(&r[0]), text(&r[1]), text(&r[2]))).collect();
    pair.target.execute(&format!("INSERT INTO children VALUES {}", values.join(", "))).await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    daemon.wait_for_log("following").await;
    eventually(Duration::from_secs(30), || async {
        let rows = pair.target.value("SELECT count(*) FROM parents WHERE id IN (501, 1000)").await;
        if rows == "2" { Ok(()) } else { Err(rows) }
    })
    .await;
    assert!(!daemon.log().contains("full resync"), "{}", daemon.log());
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn other_commands_refuse_meanwhile(engine: Engine) {
    let (_pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--done"]).await.expect_code(3).says("no upgrade was begun");
    highwater.run(&["upgrade", "--begin"]).await.ok();
    for command in [&["copy"][..], &["final-sync"], &["final-sync", "--fence"]] {
        highwater.run(command).await.expect_code(3).says("upgrade --done");
    }
    highwater.run(&["status"]).await.says("upgrading").says("upgrade --done");
    highwater.run(&["upgrade", "--done"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.expect_code(3).says("it is final");
}

/// Who ends before the upgrade would point the new software at the old schema.
async fn nothing_ends_before_it(engine: Engine) {
    let (_pair, highwater) = upgradable(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    highwater.run(&["final-sync"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.expect_code(3).says("`highwater upgrade` first");
    daemon.wait_until_in_sync().await;
    let status = highwater.run(&["status"]).await.ok();
    status.says("`highwater upgrade --database main`").says("in step");
    highwater.run(&["upgrade", "--begin"]).await.ok();
    // The plan is the one that `--done` makes.
    let rule = "[[database.main.table]]\nname = \"parents\"\ndrop = [\"no_such\"]\n";
    highwater.clone().text(rule).run(&["plan"]).await.expect_code(3).says("no_such");
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn rows_of_the_upgrade_are_counted_when_it_is_final(engine: Engine) {
    let (_pair, highwater) = upgradable(engine).await;
    let own = "INSERT INTO parents VALUES (9000, 'own', 'x');\nDELETE FROM children WHERE parent_id = 3;\n";
    script(&highwater, "one.sql", own);
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
}

async fn nothing_is_copied_before(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let highwater =
        highwater.setting("upgrade.order", "before-copy").setting("upgrade.scripts", "[\"one.sql\"]");
    script(&highwater, "one.sql", "ALTER TABLE parents ADD COLUMN extra INTEGER;\n");
    highwater.run(&["upgrade"]).await.ok();
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
    let (_pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let highwater = highwater.setting("upgrade.order", "before-copy");
    highwater.run(&["upgrade", "--begin"]).await.expect_code(3).says("copied already");
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["upgrade", "--begin"]).await.ok();
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("following").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pair.target.value("SELECT count(*) FROM parents").await, "0");
    highwater.run(&["upgrade", "--done"]).await.ok();
    daemon.wait_until_in_sync().await;
    eventually_same(&pair).await;
}

async fn what_is_not_copied_cant_be_upgraded(engine: Engine) {
    let (_pair, highwater) = upgradable(engine).await;
    highwater.run(&["upgrade"]).await.expect_code(3).says("not every table is copied");
    highwater.clone().fault("after_chunk_commit@3=kill").run(&["copy"]).await.killed();
    highwater.run(&["upgrade"]).await.expect_code(3).says("not every table is copied");
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade"]).await.ok();
}

async fn what_does_not_fit_keeps_it_upgrading(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("ALTER TABLE parents RENAME TO elders").await;
    highwater.run(&["upgrade", "--done"]).await.expect_code(3).says("parents").says("still being upgraded");
    assert_eq!(pair.target.value(phase(engine)).await, "upgrading");
    pair.target.execute("ALTER TABLE elders RENAME TO parents").await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    pair.source.execute("UPDATE parents SET note = 'after'").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn a_held_log_is_not_purged(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let highwater = highwater.setting("schedule.purge", "* * * * * *");
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    highwater.run(&["upgrade", "--begin", "--hold"]).await.ok();
    highwater.run(&["upgrade", "--done"]).await.ok().says("--release");
    pair.source.execute("UPDATE parents SET note = 'n' WHERE id <= 10").await;
    eventually_same(&pair).await;
    let mysql = format!(
        "SELECT count(*) FROM highwater_capture.`{}.parents`",
        match &pair.source {
            Db::Mysql(database) => database.name(),
            _ => "",
        }
    );
    let log = engine.pick(
        "SELECT count(*) FROM highwater_capture.\"public.parents\"",
        "SELECT count(*) FROM \"highwater_capture_log_parents\"",
        mysql.as_str(),
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(pair.source.value(log).await, "10");
    highwater.run(&["upgrade", "--release"]).await.ok();
    eventually(Duration::from_secs(60), || async {
        let rows = pair.source.value(log).await;
        // SQLite keeps the last entry, so that its number is not given again.
        if matches!(rows.as_str(), "0" | "1") { Ok(()) } else { Err(rows) }
    })
    .await;
}

async fn the_client_runs_scripts(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    let highwater = highwater.setting("upgrade.runner", "client");
    script(&highwater, "more.sql", "INSERT INTO fresh VALUES (2);\n");
    let more = engine.pick("\\i more.sql\n", ".read more.sql\n", "source more.sql\n");
    script(&highwater, "two.sql", &format!("{TABLE}{more}"));
    highwater.run(&["copy"]).await.ok();
    pair.source.execute(CHANGES).await;
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(fresh_rows(&pair).await, "2");
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn a_client_that_fails_asks_where_to_go_on(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    let highwater = highwater.setting("upgrade.runner", "client");
    script(&highwater, "two.sql", BROKEN);
    highwater.run(&["copy"]).await.ok();
    let failed = highwater.run(&["upgrade"]).await.expect_code(1).says("missing");
    failed.says("see how far it came");
    highwater.run(&["upgrade"]).await.expect_code(3).says("may or may not have taken effect");
    pair.target.execute("INSERT INTO fresh VALUES (1)").await;
    highwater.run(&["upgrade", "--next", "2"]).await.ok();
    assert_eq!(fresh_rows(&pair).await, "1");
}

/// psql can do it; the other clients can't.
async fn a_client_that_runs_a_script_as_a_whole(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    let highwater = highwater.setting("upgrade.runner", "client").setting("upgrade.transaction", "whole");
    script(&highwater, "two.sql", BROKEN);
    highwater.run(&["copy"]).await.ok();
    if engine != Engine::Postgres {
        highwater.run(&["upgrade"]).await.expect_code(3).says("upgrade.transaction");
        assert_eq!(pair.target.value(phase(engine)).await, "replaying");
        return;
    }
    highwater.run(&["upgrade"]).await.expect_code(1).says("undone as a whole");
    script(&highwater, "two.sql", TABLE);
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(fresh_rows(&pair).await, "1");
}

async fn commands_of_a_client_are_refused_before_anything_runs(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    let more = engine.pick("\\i more.sql\n", ".read more.sql\n", "source more.sql\n");
    script(&highwater, "two.sql", &format!("{TABLE}{more}"));
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade"]).await.expect_code(3).says("two.sql:3").says("upgrade.runner");
    assert_eq!(pair.target.value(phase(engine)).await, "replaying");
    let scripts = ledger(engine, "scripts");
    assert_eq!(pair.target.value(&format!("SELECT count(*) FROM {scripts}")).await, "0");
}

/// A backup of the target, made before the upgrade or after it began, is put in its place.
async fn a_restored_target_goes_on_from_there(engine: Engine) {
    for begun in [false, true] {
        let (mut pair, highwater) = shop(engine).await;
        let Some(backup) = Backup::of(&pair) else { return };
        let emptied = "[[database.main.table]]\nname = \"children\"\norigin_share = 1.0\n";
        let highwater = highwater.setting("schedule.purge", "* * * * * *").text(emptied);
        highwater.run(&["copy"]).await.ok();
        pair.source.execute("UPDATE parents SET note = 'before'").await;
        highwater.run(&["final-sync"]).await.ok();
        if begun {
            highwater.run(&["upgrade", "--begin", "--hold"]).await.ok();
        }
        backup.make(&pair).await;
        if !begun {
            highwater.run(&["upgrade", "--begin", "--hold"]).await.ok();
        }
        pair.source.execute(CHANGES).await;
        pair.target.execute("DELETE FROM children").await;
        highwater.run(&["upgrade", "--done"]).await.ok();
        pair.source.execute("UPDATE parents SET note = 'after' WHERE id > 300").await;
        highwater.run(&["final-sync"]).await;
        pair.target = backup.restore(&pair).await;
        if begun {
            assert_eq!(pair.target.value(phase(engine)).await, "upgrading");
            highwater.run(&["upgrade", "--done"]).await.ok();
        }
        let daemon = highwater.spawn(&["run"]);
        eventually_same(&pair).await;
        assert!(!daemon.log().contains("full resync"), "{}", daemon.log());
        assert_eq!(daemon.terminate().await, Some(0));
        let events = format!(
            "SELECT count(*) FROM {} WHERE event LIKE '%restore of the target%'",
            ledger(engine, "events")
        );
        if !begun && !engine.is_mysql() {
            assert_eq!(pair.target.value(&events).await, "1");
        }
        highwater.run(&["final-sync"]).await.ok();
    }
}

/// What forbids it is looked at in all of them before the first is touched; a checkpoint that fails in one ends
/// nothing for the other.
async fn several_databases_are_all_carried_through(engine: Engine) {
    let (one, highwater) = shop(engine).await;
    let (two, _) = shop(engine).await;
    let checkpoint = "[[database.main.checkpoint]]\nname = \"never\"\nsql = \"SELECT 1\"\nexpect = \"2\"\n";
    let highwater = highwater.database("second", &two).text(checkpoint);
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    two.target.execute("ALTER TABLE parents RENAME TO elders").await;
    let refused = highwater.run(&["upgrade", "--done"]).await.expect_code(3);
    refused.says("no database was touched").says("database second").says("parents");
    for pair in [&one, &two] {
        assert_eq!(pair.target.value(phase(engine)).await, "upgrading");
    }
    two.target.execute("ALTER TABLE elders RENAME TO parents").await;
    let done = highwater.run(&["upgrade", "--done"]).await.expect_code(4);
    done.says("checkpoint \"never\" fails").says("database second: replaying");
    for pair in [&one, &two] {
        assert_eq!(pair.target.value(phase(engine)).await, "replaying");
    }
}

/// It was not announced that the target's schema would change: the table waits for a person, the others go on.
async fn a_target_that_is_altered_unannounced_stops_the_table(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.target.execute("ALTER TABLE children RENAME TO kids").await;
    pair.source.execute("UPDATE children SET note = 'x'; UPDATE parents SET note = 'y'").await;
    daemon.wait_for_log("table stopped").await;
    eventually(Duration::from_secs(30), || async {
        let rows = pair.target.value("SELECT count(*) FROM parents WHERE note = 'y'").await;
        if rows == "500" { Ok(()) } else { Err(rows) }
    })
    .await;
    highwater.run(&["status"]).await.says("children is stopped");
    pair.target.execute("ALTER TABLE kids RENAME TO children").await;
    eventually_same(&pair).await;
    assert_eq!(daemon.terminate().await, Some(0));
}
