//! A schema that was upgraded is upgraded again, and what the first upgrade claimed stays so.

use super::upgrade::{fresh_rows, script, upgradable};
use super::{CHANGES, shop};
use crate::support::compare::assert_same;
use crate::support::{Engine, Highwater, Pair};

contract!(
    an_upgrade_follows_an_upgrade,
    scripts_that_are_added_are_a_further_upgrade,
    what_is_the_upgrades_stays_so_through_the_next,
    a_native_row_that_was_taken_away_makes_room,
    a_keyless_table_changed_unannounced_is_compared,
    other_rules_than_those_of_the_upgrade_stop_their_table,
);

async fn texts(pair: &Pair, query: &str) -> Vec<String> {
    pair.target.rows_as_text(query).await.into_iter().flatten().flatten().collect()
}

/// A parked row is mended by a change of the target's schema long after the upgrade.
async fn an_upgrade_follows_an_upgrade(engine: Engine) {
    let pair = engine.pair().await;
    let short = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(5) CHECK (length(v) <= 5))";
    pair.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(50))").await;
    pair.source.execute("INSERT INTO t VALUES (1, 'one'), (2, 'much too long')").await;
    pair.target.execute(short).await;
    let highwater = Highwater::new(&pair);
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("rows are parked").await;
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("ALTER TABLE t ADD COLUMN extra INTEGER").await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    pair.source.execute("INSERT INTO t VALUES (3, 'too long as well'), (4, 'four')").await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("parked");
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.source.execute("UPDATE t SET v = 'changed meanwhile' WHERE id = 1").await;
    pair.target.execute(wider(engine)).await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync"]).await.ok();
    let rows = "SELECT id, v FROM t ORDER BY id";
    assert_eq!(pair.source.rows_as_text(rows).await, pair.target.rows_as_text(rows).await);
}

/// What makes room for longer texts in the table `t`.
fn wider(engine: Engine) -> &'static str {
    let remade = "CREATE TABLE wider (id INTEGER PRIMARY KEY, v VARCHAR(50), extra INTEGER); \
                  INSERT INTO wider SELECT * FROM t; DROP TABLE t; ALTER TABLE wider RENAME TO t";
    let altered = "ALTER TABLE t DROP CONSTRAINT t_v_check, ALTER v TYPE VARCHAR(50)";
    engine.pick(altered, remade, remade)
}

async fn scripts_that_are_added_are_a_further_upgrade(engine: Engine) {
    let (pair, highwater) = upgradable(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade"]).await.ok();
    script(&highwater, "three.sql", "ALTER TABLE children ADD COLUMN more INTEGER;\n");
    let three = highwater.clone().setting("upgrade.scripts", "[\"one.sql\", \"two.sql\", \"three.sql\"]");
    pair.source.execute(CHANGES).await;
    three.run(&["final-sync", "--fence"]).await.expect_code(3).says("3 scripts, and 2 of them have run");
    three.run(&["upgrade"]).await.ok().says("one.sql: has run already");
    three.run(&["upgrade"]).await.ok();
    assert_eq!(fresh_rows(&pair).await, "1");
    three.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
    let (_pair, highwater) = upgradable(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    highwater.run(&["upgrade", "--done"]).await.ok();
    highwater.run(&["upgrade"]).await.expect_code(3).says("was not part of it");
}

/// Production writes between two upgrades, and while the second runs, what the first one has claimed.
async fn what_is_the_upgrades_stays_so_through_the_next(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("DELETE FROM parents WHERE id IN (20, 21)").await;
    pair.target.execute("INSERT INTO parents (id, name) VALUES (9001, 'native'), (9002, 'native too')").await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    pair.source.execute("INSERT INTO parents (id, name) VALUES (9002, 'collides')").await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("the upgrade made a row with this key");
    highwater.run(&["upgrade", "--begin"]).await.ok();
    let while_it_runs = "UPDATE parents SET note = 'touched' WHERE id IN (20, 9002); \
                         INSERT INTO parents (id, name) VALUES (9001, 'collides too')";
    pair.source.execute(while_it_runs).await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    pair.source.execute("UPDATE parents SET note = 'touched again' WHERE id IN (20, 21, 9001, 9002)").await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("the upgrade made a row with this key");
    let names = "SELECT name FROM parents WHERE id > 9000 ORDER BY id";
    assert_eq!(texts(&pair, names).await, ["native", "native too"]);
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE id IN (20, 21)").await, "0");
    pair.source.execute("DELETE FROM parents WHERE id IN (21, 9001, 9002)").await;
    pair.source.execute("INSERT INTO parents (id, name) VALUES (21, 'made anew')").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(texts(&pair, names).await, ["native", "native too"]);
    assert_eq!(texts(&pair, "SELECT name FROM parents WHERE id IN (20, 21)").await, ["made anew"]);
}

/// The operator gives way: from then on the key is production's.
async fn a_native_row_that_was_taken_away_makes_room(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("INSERT INTO parents (id, name) VALUES (9001, 'native'), (9002, 'native too')").await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    pair.source.execute("INSERT INTO parents (id, name) VALUES (9001, 'ours')").await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("the upgrade made a row with this key");
    pair.target.execute("DELETE FROM parents WHERE id = 9001").await;
    highwater.run(&["final-sync"]).await.ok();
    for change in
        ["UPDATE parents SET note = 'changed' WHERE id = 9001", "DELETE FROM parents WHERE id = 9001"]
    {
        pair.source.execute(change).await;
        highwater.run(&["final-sync"]).await.ok();
        let rows = "SELECT id, name, note FROM parents WHERE id = 9001";
        assert_eq!(pair.source.rows_as_text(rows).await, pair.target.rows_as_text(rows).await);
    }
    assert_eq!(pair.target.value("SELECT name FROM parents WHERE id = 9002").await, "native too");
}

/// A script ran before anybody said `--begin`: what stands there then is not what replay left.
async fn a_keyless_table_changed_unannounced_is_compared(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let other_type = engine.pick(
        "ALTER TABLE audit ALTER happened TYPE BIGINT",
        "DROP TABLE audit; CREATE TABLE audit (happened BIGINT, what TEXT); INSERT INTO audit VALUES (1, '')",
        "ALTER TABLE audit MODIFY happened BIGINT",
    );
    pair.target.execute(other_type).await;
    pair.target.execute("UPDATE audit SET what = 'rewritten'").await;
    highwater.run(&["upgrade", "--begin"]).await.ok();
    highwater.run(&["upgrade", "--done"]).await.expect_code(3).says("audit").says("can't be told");
    assert_eq!(pair.target.value("SELECT count(*) FROM audit WHERE what <> 'rewritten'").await, "0");
}

/// A process that was started with other settings would write rows over that the upgrade has made.
async fn other_rules_than_those_of_the_upgrade_stop_their_table(engine: Engine) {
    let (pair, plain) = shop(engine).await;
    let daemon = plain.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    plain.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("UPDATE parents SET note = 'upgraded'").await;
    let rule = "[[database.main.table]]\nname = \"parents\"\n[database.main.table.columns]\n\
                note = { source = \"coalesce('upgraded', note)\" }\n";
    let ruled = plain.clone().on_another_port().text(rule);
    ruled.run(&["upgrade", "--done"]).await.ok();
    pair.source.execute("UPDATE parents SET note = 'raw' WHERE id <= 10").await;
    daemon.wait_for_log("not what they were when its upgrade was done").await;
    assert_eq!(daemon.terminate().await, Some(0));
    plain.run(&["final-sync"]).await.expect_code(4).says("not what they were");
    ruled.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE note = 'upgraded'").await, "500");
}
