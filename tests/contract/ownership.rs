//! Whose rows are whose after an upgrade (docs/how-it-works.md, "ownership is known, not guessed").

use std::time::Duration;

use super::rules::rule;
use crate::support::compare::assert_same;
use crate::support::{Engine, Highwater, Pair, eventually};

contract!(
    native_rows_outlive_a_truncation,
    what_is_exempt_is_counted_and_shown,
    native_rows_outlive_a_copy_anew,
    a_truncation_while_the_schema_is_upgraded_is_refused,
    changes_that_were_not_captured_are_nobodys_doing,
    a_parked_key_is_not_removed,
    a_parked_deletion_is_not_native,
    a_removed_key_ends_with_its_row,
    what_production_changed_meanwhile_is_its_own,
    what_was_drained_in_part_is_not_all,
    a_key_that_production_made_too,
    a_native_key_parks,
    kept_rows_outlive_everything,
    an_implausible_upgrade_is_refused_and_nothing_recorded,
    dropped_changes_are_counted_once,
    a_keyless_table_goes_through_an_upgrade,
    a_keyless_table_of_any_size_goes_through_an_upgrade,
    a_table_left_out_of_the_upgrade_is_not_copied_over,
    a_table_of_the_upgrade_is_not_forgotten,
);

/// A table of users, copied.
async fn users(engine: Engine) -> (Pair, Highwater) {
    let pair = engine.pair().await;
    pair.source.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(20))").await;
    pair.target.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(20) UNIQUE)").await;
    pair.source
        .execute("INSERT INTO users VALUES (1, 'ann'), (2, 'bob'), (3, 'cid'), (4, 'dan'), (5, 'eve')")
        .await;
    let highwater = Highwater::new(&pair).setting("replay.batch_rows", "2").setting("copy.chunk_rows", "2");
    (pair, highwater)
}

/// The upgrade makes users 1000 and 1001 and deletes user 2.
async fn upgrade(pair: &Pair, highwater: &Highwater) {
    highwater.run(&["upgrade", "--begin"]).await.ok();
    script(pair).await;
    highwater.run(&["upgrade", "--done"]).await.ok().says("made 2 rows and deleted 1");
}

async fn script(pair: &Pair) {
    let script = "INSERT INTO users VALUES (1000, 'system'), (1001, 'guest'); DELETE FROM users WHERE id = 2";
    pair.target.execute(script).await;
}

async fn on_target(pair: &Pair) -> Vec<String> {
    let rows = pair.target.rows_as_text("SELECT id FROM users ORDER BY id").await;
    rows.into_iter().flatten().flatten().collect()
}

/// On SQLite there is no TRUNCATE, and nothing of the kind.
fn truncate(engine: Engine) -> &'static str {
    engine.pick("TRUNCATE users", "DELETE FROM users", "TRUNCATE TABLE users")
}

async fn native_rows_outlive_a_truncation(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    upgrade(&pair, &highwater).await;
    pair.source.execute(truncate(engine)).await;
    pair.source.execute("INSERT INTO users VALUES (7, 'gus'), (3, 'cyd')").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["3", "7", "1000", "1001"]);
    assert_eq!(pair.target.value("SELECT name FROM users WHERE id = 3").await, "cyd");
}

/// In the final report, in status, and in the metrics of the daemon.
async fn what_is_exempt_is_counted_and_shown(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    upgrade(&pair, &highwater).await;
    pair.source.execute("UPDATE users SET name = 'late' WHERE id = 2").await;
    let report = highwater.run(&["final-sync", "--json"]).await.ok().json();
    let table = &report["databases"][0]["tables"][0];
    for (count, number) in [("upgrade_made", 2), ("upgrade_deleted", 1), ("dropped_changes", 1)] {
        assert_eq!(table[count], number, "{count}: {report}");
    }
    let line = "rows made by the upgrade: 2, rows deleted by the upgrade: 1, changes of production to these rows that \
                were not applied: 1";
    highwater.run(&["final-sync"]).await.ok().says(line);
    highwater.run(&["status"]).await.ok().says(line);
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let dropped = "highwater_dropped_changes{database=\"main\",table=\"users\"}";
    eventually(Duration::from_secs(10), || async {
        daemon.get("/metrics").await.metric(dropped) == Some(1.0)
    })
    .await;
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn native_rows_outlive_a_copy_anew(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    upgrade(&pair, &highwater).await;
    without_capture(&pair, "DELETE FROM users WHERE id = 4; INSERT INTO users VALUES (7, 'gus')").await;
    // Whether production made the removed row anew meanwhile can't be told: it is parked.
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("full resync").await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync"]).await.expect_code(4).says("the upgrade deleted this row");
    assert_eq!(on_target(&pair).await, ["1", "3", "5", "7", "1000", "1001"]);
    pair.source.execute("DELETE FROM users WHERE id = 2").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "3", "5", "7", "1000", "1001"]);
}

/// Runs statements while the triggers are away.
async fn without_capture(pair: &Pair, sql: &str) {
    let engine = pair.source.engine();
    let names = engine.pick(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'users'::regclass AND NOT tgisinternal",
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'users'",
        "SELECT trigger_name FROM information_schema.triggers
         WHERE trigger_schema = DATABASE() AND event_object_table = 'users'",
    );
    let on = engine.pick(" ON users", "", "");
    for name in pair.source.rows_as_text(names).await.into_iter().flatten().flatten() {
        pair.source.execute(&format!("DROP TRIGGER \"{name}\"{on}")).await;
    }
    pair.source.execute(sql).await;
}

/// The rows that production truncated would count as the upgrade's, and never go.
async fn a_truncation_while_the_schema_is_upgraded_is_refused(engine: Engine) {
    if engine == Engine::Sqlite {
        return;
    }
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    script(&pair).await;
    pair.source.execute(truncate(engine)).await;
    pair.source.execute("INSERT INTO users VALUES (7, 'gus'), (3, 'cyd')").await;
    for _ in 0..2 {
        let refused = highwater.run(&["upgrade", "--done"]).await.expect_code(3);
        refused.says("can't be told").says("or empty the table on the target").says("still being upgraded");
    }
    pair.target.execute("DELETE FROM users").await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

/// Nor are rows the upgrade's doing that differ because nothing noted what production did.
async fn changes_that_were_not_captured_are_nobodys_doing(engine: Engine) {
    for unseen in ["DELETE FROM users WHERE id = 4", "INSERT INTO users VALUES (7, 'gus')"] {
        for mended in [false, true] {
            let (pair, highwater) = users(engine).await;
            highwater.run(&["copy"]).await.ok();
            highwater.run(&["upgrade", "--begin"]).await.ok();
            without_capture(&pair, unseen).await;
            if mended {
                let daemon = highwater.spawn(&["run"]);
                daemon.wait_for_log("following").await;
                assert_eq!(daemon.terminate().await, Some(0));
            }
            highwater.run(&["upgrade", "--done"]).await.expect_code(3).says("can't be told");
            pair.target.execute("DELETE FROM users").await;
            highwater.run(&["upgrade", "--done"]).await.ok();
            highwater.run(&["final-sync"]).await.ok();
            assert_same(&pair).await;
        }
    }
}

/// The target refused it, not the upgrade; it comes when it fits.
async fn a_parked_key_is_not_removed(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    pair.source.execute("INSERT INTO users VALUES (6, 'ann')").await;
    highwater.run(&["final-sync"]).await.expect_code(4);
    highwater.run(&["upgrade", "--begin"]).await.ok();
    highwater.run(&["upgrade", "--done"]).await.ok();
    pair.source.execute("UPDATE users SET name = 'anna' WHERE id = 1").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

/// The target refused to delete it; it goes when it may.
async fn a_parked_deletion_is_not_native(engine: Engine) {
    if engine != Engine::Postgres {
        // Nothing there refuses a deletion: foreign keys are silenced, triggers too or they block.
        return;
    }
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
         CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH ROW WHEN (OLD.id = 4) EXECUTE FUNCTION refuse();
         ALTER TABLE users ENABLE ALWAYS TRIGGER refuse";
    pair.target.execute(refuse).await;
    pair.source.execute("DELETE FROM users WHERE id = 4").await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("refused");
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("DROP TRIGGER refuse ON users").await;
    pair.target.execute("INSERT INTO users VALUES (1000, 'system')").await;
    highwater.run(&["upgrade", "--done"]).await.ok().says("made 1 rows and deleted 0");
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "2", "3", "5", "1000"]);
}

/// Until production deletes it or makes it anew, in one batch or several.
async fn a_removed_key_ends_with_its_row(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("DELETE FROM users").await;
    highwater.run(&["upgrade", "--done"]).await.ok().says("deleted 5");
    pair.source
        .execute("UPDATE users SET name = 'b' WHERE id = 2; UPDATE users SET id = 13 WHERE id = 3")
        .await;
    pair.source.execute("DELETE FROM users WHERE id = 4; INSERT INTO users VALUES (4, 'again')").await;
    pair.source.execute("DELETE FROM users WHERE id = 5").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["4", "13"]);
    pair.source
        .execute("INSERT INTO users VALUES (5, 'later'); UPDATE users SET name = 'd' WHERE id = 4")
        .await;
    pair.source.execute("UPDATE users SET name = 'a' WHERE id = 1").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["4", "5", "13"]);
    assert_eq!(pair.target.value("SELECT name FROM users WHERE id = 4").await, "d");
}

/// What it deletes while the schema is upgraded is not native, what it changes is not removed.
async fn what_production_changed_meanwhile_is_its_own(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    script(&pair).await;
    pair.source
        .execute("DELETE FROM users WHERE id IN (3, 4); UPDATE users SET name = 'b' WHERE id = 2")
        .await;
    highwater.run(&["upgrade", "--done"]).await.ok().says("made 2 rows and deleted 0");
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "2", "5", "1000", "1001"]);
}

/// Replay was stopped between two batches of a delta: what production does next lies beyond its end. User 3
/// stands there again already, although its insert is still to be replayed.
async fn what_was_drained_in_part_is_not_all(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    let burst = "UPDATE users SET name = 'anna' WHERE id = 1; DELETE FROM users WHERE id = 3";
    pair.source.execute(&format!("{burst}; INSERT INTO users VALUES (3, 'cyd')")).await;
    highwater.clone().fault("after_batch_commit=kill").run(&["run"]).await.killed();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    script(&pair).await;
    pair.source.execute("DELETE FROM users WHERE id = 4; INSERT INTO users VALUES (7, 'gus')").await;
    highwater.run(&["upgrade", "--done"]).await.ok().says("made 2 rows and deleted 1");
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "3", "5", "7", "1000", "1001"]);
}

/// Production makes a row while the schema is upgraded, and the upgrade one with the same key.
async fn a_key_that_production_made_too(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    script(&pair).await;
    let again = engine.pick(
        "INSERT INTO users VALUES (5, 'eva') ON CONFLICT (id) DO UPDATE SET name = excluded.name; \
         INSERT INTO users VALUES (2, 'ignored') ON CONFLICT DO NOTHING",
        "REPLACE INTO users VALUES (5, 'eva'); INSERT OR IGNORE INTO users VALUES (2, 'ignored')",
        "REPLACE INTO users VALUES (5, 'eva'); INSERT IGNORE INTO users VALUES (2, 'ignored')",
    );
    pair.source.execute(&format!("INSERT INTO users VALUES (1000, 'theirs'), (7, 'gus'); {again}")).await;
    pair.source
        .execute("UPDATE users SET name = 'mine' WHERE id = 1000; DELETE FROM users WHERE id = 4")
        .await;
    pair.source.execute("INSERT INTO users VALUES (4, 'again')").await;
    highwater.run(&["upgrade", "--done"]).await.ok().says("made 2 rows and deleted 1");
    highwater.run(&["final-sync"]).await.expect_code(4).says("the upgrade made a row with this key");
    let names = pair.target.rows_as_text("SELECT name FROM users ORDER BY id").await;
    let names: Vec<String> = names.into_iter().flatten().flatten().collect();
    assert_eq!(names, ["ann", "cid", "again", "eva", "gus", "system", "guest"]);
    pair.source.execute("DELETE FROM users WHERE id = 1000").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "3", "4", "5", "7", "1000", "1001"]);
}

async fn a_native_key_parks(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    upgrade(&pair, &highwater).await;
    pair.source.execute("INSERT INTO users VALUES (1000, 'theirs'), (7, 'gus')").await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("the upgrade made a row with this key");
    assert_eq!(pair.target.value("SELECT name FROM users WHERE id = 1000").await, "system");
    assert_eq!(on_target(&pair).await, ["1", "3", "4", "5", "7", "1000", "1001"]);
    // It goes again, and the upgrade's row stays.
    pair.source.execute("DELETE FROM users WHERE id = 1000").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "3", "4", "5", "7", "1000", "1001"]);
}

async fn kept_rows_outlive_everything(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    let highwater = rule(highwater, "[[table]]\nname = \"users\"\non_delete = \"keep\"\n");
    highwater.run(&["copy"]).await.ok();
    pair.source.execute("DELETE FROM users WHERE id = 1; UPDATE users SET name = 'b' WHERE id = 2").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "2", "3", "4", "5"]);
    pair.source.execute(truncate(engine)).await;
    pair.source.execute("INSERT INTO users VALUES (1, 'again'), (7, 'gus')").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "2", "3", "4", "5", "7"]);
    assert_eq!(pair.target.value("SELECT name FROM users WHERE id = 1").await, "again");
    without_capture(&pair, "DELETE FROM users WHERE id = 1").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(on_target(&pair).await, ["1", "2", "3", "4", "5", "7"]);
}

/// A table of the ledger.
fn ledger(engine: Engine, table: &str) -> String {
    let plain = format!("highwater_ledger_{table}");
    engine.pick(format!("highwater_ledger.{table}"), plain.clone(), plain)
}

/// 3,000 rows, and the small table of users.
async fn many(engine: Engine) -> (Pair, Highwater) {
    let (pair, highwater) = users(engine).await;
    pair.execute_on_both("CREATE TABLE many (id INTEGER PRIMARY KEY, v INTEGER)").await;
    let values: Vec<String> = (1..=3000).map(|n| format!("({n}, {n})")).collect();
    pair.source.execute(&format!("INSERT INTO many VALUES {}", values.join(", "))).await;
    (pair, highwater.setting("copy.chunk_rows", "2000").setting("replay.batch_rows", "1000"))
}

async fn an_implausible_upgrade_is_refused_and_nothing_recorded(engine: Engine) {
    let deleted = "DELETE FROM many WHERE id > 1999";
    let again = "UPDATE many SET id = id + 10000";
    for (change, says) in [
        (deleted, "it deleted 1001 of 3000 keys (33 %)"),
        (again, "it made 3000 of 3000 keys (100 %) and it deleted 3000 of 3000 keys (100 %)"),
    ] {
        let (pair, highwater) = many(engine).await;
        highwater.run(&["copy"]).await.ok();
        highwater.run(&["upgrade", "--begin"]).await.ok();
        script(&pair).await;
        pair.target.execute(change).await;
        for share in ["", "origin_share = 0.3\n"] {
            let highwater = match share {
                "" => highwater.clone(),
                share => rule(highwater.clone(), &format!("[[table]]\nname = \"many\"\n{share}")),
            };
            let refused = highwater.run(&["upgrade", "--done"]).await.expect_code(3);
            refused.says(says).says("origin_share = 1.0").says("still being upgraded");
        }
        for table in ["native", "removed"] {
            let rows = format!("SELECT count(*) FROM {}", ledger(engine, table));
            assert_eq!(pair.target.value(&rows).await, "0", "{table} of {change}");
        }
        let phase = format!("SELECT phase FROM {}", ledger(engine, "databases"));
        assert_eq!(pair.target.value(&phase).await, "upgrading");
        let meant = rule(highwater, "[[table]]\nname = \"many\"\norigin_share = 1.0\n");
        meant.run(&["upgrade", "--done"]).await.ok().says("made 2 rows and deleted 1");
        pair.source.execute("UPDATE many SET v = 0 WHERE id = 2500").await;
        meant.run(&["final-sync"]).await.ok();
        assert_eq!(pair.target.value("SELECT count(*) FROM many WHERE id = 2500").await, "0", "{change}");
    }
    let (pair, highwater) = many(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("DELETE FROM many WHERE id > 2000").await;
    highwater.run(&["upgrade", "--done"]).await.ok().says("deleted 1000");
}

/// In the transaction that drops them: an attempt that dies before its commit counts nothing.
async fn dropped_changes_are_counted_once(engine: Engine) {
    let (pair, highwater) = users(engine).await;
    highwater.run(&["copy"]).await.ok();
    upgrade(&pair, &highwater).await;
    let dropped = format!("SELECT dropped FROM {}", ledger(engine, "tables"));
    pair.source.execute("UPDATE users SET name = 'b' WHERE id = 2").await;
    highwater.clone().fault("before_batch_commit=kill").run(&["run"]).await.killed();
    assert_eq!(pair.target.value(&dropped).await, "0");
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value(&dropped).await, "1");
    // A parked key is still to be decided, and what decides it is no dropped change.
    pair.source.execute("INSERT INTO users VALUES (1000, 'theirs')").await;
    highwater.run(&["final-sync"]).await.expect_code(4);
    pair.source.execute("DELETE FROM users WHERE id = 1000").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value(&dropped).await, "1");
}

/// What identifies its rows is exact, and their order is nothing to it.
async fn a_keyless_table_goes_through_an_upgrade(engine: Engine) {
    let real = engine.pick("real", "REAL", "FLOAT");
    let tables = format!("CREATE TABLE notes (n INTEGER, what VARCHAR(20), x {real})");
    for (change, is_kept) in [
        ("ALTER TABLE notes ADD COLUMN extra INTEGER", true),
        ("UPDATE notes SET what = 'a' WHERE n = 1; UPDATE notes SET what = 'b' WHERE n = 2", false),
        ("UPDATE notes SET what = NULL WHERE n = 3", false),
        ("UPDATE notes SET x = 0.10000001 WHERE n = 4", false),
        ("INSERT INTO notes SELECT n, what, x FROM notes WHERE n = 1", false),
    ] {
        let pair = engine.pair().await;
        pair.execute_on_both(&tables).await;
        pair.source
            .execute("INSERT INTO notes VALUES (1, 'b', 1), (2, 'a', 2), (3, '', 3), (4, 'd', 0.1)")
            .await;
        let highwater = Highwater::new(&pair);
        highwater.run(&["copy"]).await.ok();
        highwater.run(&["upgrade", "--begin"]).await.ok();
        pair.target.execute(change).await;
        pair.source.execute("INSERT INTO notes VALUES (5, 'new', 5)").await;
        let done = highwater.run(&["upgrade", "--done"]).await;
        if !is_kept {
            done.expect_code(3).says("it has no key");
            continue;
        }
        done.ok();
        highwater.run(&["final-sync"]).await.ok();
        assert_eq!(pair.target.value("SELECT count(*) FROM notes").await, "5");
    }
}

async fn a_keyless_table_of_any_size_goes_through_an_upgrade(engine: Engine) {
    let pair = engine.pair().await;
    pair.execute_on_both("CREATE TABLE notes (n INTEGER, what VARCHAR(20))").await;
    pair.source.execute("INSERT INTO notes VALUES (1, 'a')").await;
    for _ in 0..18 {
        pair.source.execute("INSERT INTO notes SELECT n + 1, what FROM notes").await;
    }
    let highwater = Highwater::new(&pair);
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("ALTER TABLE notes ADD COLUMN extra INTEGER").await;
    pair.source.execute("INSERT INTO notes VALUES (0, 'new')").await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    let phase = format!("SELECT phase FROM {}", ledger(engine, "databases"));
    assert_eq!(pair.target.value(&phase).await, "replaying");
}

/// Three rows whose key the upgrade rewrites, and another table.
async fn scopes(engine: Engine) -> (Pair, Highwater) {
    let pair = engine.pair().await;
    let tables = "CREATE TABLE scopes (id INTEGER PRIMARY KEY, v INTEGER); CREATE TABLE other (id INTEGER PRIMARY KEY)";
    pair.execute_on_both(tables).await;
    pair.source
        .execute("INSERT INTO scopes VALUES (1, 1), (2, 2), (3, 3); INSERT INTO other VALUES (1)")
        .await;
    let highwater = Highwater::new(&pair);
    (pair, highwater)
}

async fn scope_ids(pair: &Pair) -> Vec<String> {
    let rows = pair.target.rows_as_text("SELECT id FROM scopes ORDER BY id").await;
    rows.into_iter().flatten().flatten().collect()
}

/// The daemon runs with the table included; `--done` had it excluded: which of its rows are production's is not
/// known then.
async fn a_table_left_out_of_the_upgrade_is_not_copied_over(engine: Engine) {
    let (pair, highwater) = scopes(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("UPDATE scopes SET id = id + 100").await;
    let excluding = highwater.clone().setting("database.main.exclude", "[\"scopes\"]");
    excluding.run(&["upgrade", "--done"]).await.ok();
    daemon.wait_for_log("table stopped").await;
    pair.source.execute("UPDATE scopes SET v = 0; INSERT INTO other VALUES (2)").await;
    eventually(Duration::from_secs(30), || async {
        let rows = pair.target.value("SELECT count(*) FROM other").await;
        if rows == "2" { Ok(()) } else { Err(rows) }
    })
    .await;
    // Longer than it takes until a stopped table is looked at again.
    tokio::time::sleep(Duration::from_secs(6)).await;
    highwater.run(&["status"]).await.says("excluded it when its upgrade was done");
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync"]).await.expect_code(4).says("excluded it when its upgrade was done");
    assert_eq!(scope_ids(&pair).await, ["101", "102", "103"]);
    excluding.run(&["final-sync"]).await.ok();
    assert_eq!(scope_ids(&pair).await, ["101", "102", "103"]);
    // It may become part of it by a further upgrade.
    highwater.run(&["final-sync"]).await.expect_code(4);
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("DELETE FROM scopes").await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

/// A process that excludes it stops it: forgotten, it would be production's again under the next one.
async fn a_table_of_the_upgrade_is_not_forgotten(engine: Engine) {
    let (pair, highwater) = scopes(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("UPDATE scopes SET id = id + 100").await;
    highwater.run(&["upgrade", "--done"]).await.ok().says("made 3 rows and deleted 3");
    let excluding = highwater.clone().setting("database.main.exclude", "[\"scopes\"]");
    excluding.run(&["final-sync"]).await.expect_code(4).says("it was part of the upgrade");
    pair.source.execute("UPDATE scopes SET v = 0; INSERT INTO scopes VALUES (7, 7)").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(scope_ids(&pair).await, ["7", "101", "102", "103"]);
    // A further upgrade may leave it out.
    highwater.run(&["upgrade", "--begin"]).await.ok();
    excluding.run(&["upgrade", "--done"]).await.ok();
    excluding.run(&["final-sync"]).await.ok();
    assert_eq!(scope_ids(&pair).await, ["7", "101", "102", "103"]);
}
