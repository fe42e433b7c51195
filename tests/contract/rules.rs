//! Rules of the settings, from plan to final sync.

use std::time::Duration;

use super::{eventually_same, shop};
use crate::support::{Engine, Highwater, Pair, eventually};

contract!(
    bad_rules_are_told_with_the_servers_words,
    proposals_are_written_for_what_needs_a_rule,
    rows_pass_through_a_command,
    a_command_that_fails_stops_its_table,
    lookups_follow_their_table,
    lookups_follow_where_changes_were_rolled_back,
    a_lookup_that_is_not_committed_when_its_table_changes,
    lookups_that_find_rows_otherwise_follow_too,
    a_view_hides_what_changes,
    an_upgrade_that_nobody_announced_stops_its_tables_until_it_is,
);

/// Settings of one rule for the database of the tests.
pub(super) fn rule(highwater: Highwater, text: &str) -> Highwater {
    highwater
        .text(&text.replace("[[table", "[[database.main.table").replace("\n[table", "\n[database.main.table"))
}

/// Two tables, the second of which names a row of the first by its name; staging has its number.
pub(super) async fn apps(engine: Engine) -> (Pair, Highwater) {
    apps_looked_up(engine, "(SELECT a.id FROM apps a WHERE a.name = changed.app)").await
}

async fn apps_looked_up(engine: Engine, lookup: &str) -> (Pair, Highwater) {
    let pair = engine.pair().await;
    pair.source
        .execute(
            "CREATE TABLE apps (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL);
             CREATE TABLE tokens (id INTEGER PRIMARY KEY, app VARCHAR(20));
             INSERT INTO apps VALUES (1, 'one'), (2, 'two');
             INSERT INTO tokens VALUES (1, 'one'), (2, 'two'), (3, 'three')",
        )
        .await;
    pair.target
        .execute(
            "CREATE TABLE apps (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL);
             CREATE TABLE tokens (id INTEGER PRIMARY KEY, app_id INTEGER)",
        )
        .await;
    let highwater = Highwater::new(&pair).setting("replay.batch_rows", "2").setting("copy.chunk_rows", "2");
    let text =
        format!("[[table]]\nname = \"tokens\"\n[table.columns]\napp_id = {{ target = \"{lookup}\" }}\n");
    (pair, rule(highwater, &text))
}

async fn bad_rules_are_told_with_the_servers_words(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    pair.target.execute("CREATE TABLE split (parent INTEGER, word VARCHAR(20))").await;
    let highwater = rule(
        highwater,
        "[[table]]\nname = \"parents\"\nkey = [\"note\"]\n\
         [[table]]\nname = \"children\"\n[table.columns]\nnote = { source = \"no_such_function(note)\" }\n",
    );
    let output = highwater.run(&["plan"]).await.expect_code(3);
    let output = output.says("children: the rule's SQL on the source is refused").says("no_such_function");
    output.says("no unique index on (note)");
    let (_other, highwater) = shop(engine).await;
    let highwater = rule(
        highwater,
        "[[table]]\nname = \"parents\"\ndrop = [\"note\"]\n[table.columns]\nnote = { target = \"(SELECT x FROM nowhere)\" }\n",
    );
    highwater
        .run(&["plan"])
        .await
        .expect_code(3)
        .says("the rule for note is refused by the target")
        .says("nowhere");
    let (_pair, highwater) = shop(engine).await;
    let highwater = rule(highwater, "[[table]]\nname = \"parents\"\nwhere = \"note < now()\"\n");
    highwater.run(&["plan"]).await.expect_code(2).says(":as_of");
}

async fn proposals_are_written_for_what_needs_a_rule(engine: Engine) {
    let pair = engine.pair().await;
    pair.source
        .execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, user_name VARCHAR(20), old INTEGER);
             INSERT INTO t VALUES (1, 'a name that is long', 1), (2, 'short', 2)",
        )
        .await;
    pair.target
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, username VARCHAR(20), n INTEGER NOT NULL)")
        .await;
    let highwater = Highwater::new(&pair);
    let file = highwater.folder().join("rules.toml");
    let name = file.to_str().unwrap();
    highwater.run(&["plan", "--write", name]).await.expect_code(3).says("needs a rule");
    let text = std::fs::read_to_string(&file).unwrap();
    for expected in ["#[[database.main.table]]", "#username = \"user_name\"", "#drop = [\"old\"]", "#n = {"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    highwater.run(&["plan", "--write", name]).await.expect_code(2).says("is there already");
    // Taken over, it is a rule.
    let taken: String = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    let highwater = highwater.text(&taken);
    highwater.run(&["copy"]).await.ok();
    assert_eq!(pair.target.value("SELECT count(*) FROM t WHERE username IS NOT NULL AND n = 0").await, "2");
}

async fn rows_pass_through_a_command(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let highwater = rule(
        highwater,
        "[[table]]\nname = \"parents\"\n\
         transform = { command = [\"sed\", \"-e\", \"s/\\\"note\\\":\\\"[^\\\"]*\\\"/\\\"note\\\":\\\"made\\\"/\"] }\n",
    );
    pair.source.execute("UPDATE parents SET note = 'first' WHERE id > 100").await;
    highwater.run(&["copy"]).await.ok();
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE note = 'made'").await, "400");
    pair.source
        .execute("UPDATE parents SET note = 'second' WHERE id <= 100; DELETE FROM parents WHERE id = 200")
        .await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE note = 'made'").await, "499");
}

async fn a_command_that_fails_stops_its_table(engine: Engine) {
    let (_pair, highwater) = shop(engine).await;
    let highwater = rule(highwater, "[[table]]\nname = \"parents\"\ntransform = { command = [\"false\"] }\n");
    highwater.run(&["plan"]).await.expect_code(3).says("`transform` fails").says("exit status: 1");
}

/// Numbers that the change log gave to what was rolled back are given up in time; that is no older view of it.
async fn lookups_follow_where_changes_were_rolled_back(engine: Engine) {
    let (pair, highwater) = apps(engine).await;
    highwater.run(&["copy"]).await.ok();
    for id in [4, 5] {
        pair.source.connect().await.execute("BEGIN; INSERT INTO tokens VALUES (9, 'one'); ROLLBACK").await;
        pair.source.execute(&format!("INSERT INTO tokens VALUES ({id}, 'one')")).await;
        highwater.run(&["final-sync"]).await.ok();
    }
    pair.source.execute("INSERT INTO apps VALUES (3, 'three')").await;
    highwater.run(&["final-sync", "--timeout", "20s"]).await.ok();
    assert_eq!(pair.target.value("SELECT app_id FROM tokens WHERE id = 3").await, "3");
}

/// The table that is looked up changes, its dependants don't: they are made equal again all the same.
async fn lookups_follow_their_table(engine: Engine) {
    let (pair, highwater) = apps(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let found = |expected: &'static str| {
        let target = pair.target.clone();
        async move {
            let query = "SELECT concat_ids FROM (SELECT \
                 (SELECT coalesce(app_id, 0) FROM tokens WHERE id = 1) * 100 + \
                 (SELECT coalesce(app_id, 0) FROM tokens WHERE id = 2) * 10 + \
                 (SELECT coalesce(app_id, 0) FROM tokens WHERE id = 3) AS concat_ids) q";
            eventually(Duration::from_secs(30), || async {
                let ids = target.value(query).await;
                if ids == expected { Ok(()) } else { Err(ids) }
            })
            .await;
        }
    };
    found("120").await;
    pair.source.execute("INSERT INTO apps VALUES (3, 'three')").await;
    found("123").await;
    // Two swap their names; every reference stays valid.
    pair.source.execute("UPDATE apps SET name = CASE id WHEN 1 THEN 'two' ELSE 'one' END WHERE id < 3").await;
    found("213").await;
    pair.source.execute("DELETE FROM apps WHERE id = 3").await;
    found("210").await;
    assert_eq!(daemon.terminate().await, Some(0));
    pair.source.execute("UPDATE apps SET name = 'three' WHERE id = 2").await;
    highwater.run(&["final-sync"]).await.ok();
    found("12").await;
}

/// Halted between its lookup and its commit, a batch has found a number that changes meanwhile. What the
/// looked-up table's batch notes is looked up after that commit, as both lock the table's row of the ledger.
async fn a_lookup_that_is_not_committed_when_its_table_changes(engine: Engine) {
    let (pair, highwater) = apps(engine).await;
    highwater.run(&["copy"]).await.ok();
    pair.source.execute("INSERT INTO tokens VALUES (4, 'one')").await;
    let (halted, pause) = highwater.clone().pause_at("after_equalise");
    let daemon = halted.spawn(&["run"]);
    pause.reached().await;
    pair.source.execute("UPDATE apps SET name = CASE id WHEN 1 THEN 'two' ELSE 'one' END").await;
    if engine != Engine::Sqlite {
        // There it waits for the transaction that writes, as everything does.
        eventually(Duration::from_secs(30), || async {
            let name = pair.target.value("SELECT name FROM apps WHERE id = 1").await;
            if name == "two" { Ok(()) } else { Err(name) }
        })
        .await;
    }
    assert_eq!(pair.target.value("SELECT count(*) FROM tokens WHERE id = 4").await, "0");
    pause.go_on();
    eventually(Duration::from_secs(30), || async {
        let ids = pair.target.rows_as_text("SELECT app_id FROM tokens ORDER BY id").await;
        let ids: Vec<Option<&str>> = ids.iter().flatten().map(Option::as_deref).collect();
        if ids == [Some("2"), Some("1"), None, Some("2")] { Ok(()) } else { Err(format!("{ids:?}")) }
    })
    .await;
    assert_eq!(daemon.terminate().await, Some(0));
}

/// A comparison that need not hold ties no rows: all of them are made equal again.
async fn lookups_that_find_rows_otherwise_follow_too(engine: Engine) {
    let (pair, highwater) = apps_looked_up(
        engine,
        "(SELECT max(a.id) FROM apps a WHERE a.name = changed.app OR a.name = 'for all')",
    )
    .await;
    highwater.run(&["copy"]).await.ok();
    assert_eq!(pair.target.value("SELECT sum(app_id) FROM tokens").await, "3");
    pair.source.execute("INSERT INTO apps VALUES (10, 'for all')").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value("SELECT sum(app_id) FROM tokens").await, "30");
}

/// Behind a view rows would change unnoticed.
async fn a_view_hides_what_changes(engine: Engine) {
    let lookup = "(SELECT v.id FROM seen v WHERE v.name = changed.app)";
    let (pair, highwater) = apps_looked_up(engine, lookup).await;
    pair.target.execute("CREATE VIEW seen AS SELECT * FROM apps").await;
    highwater.run(&["plan"]).await.expect_code(3).says("its rule reads seen");
}

async fn an_upgrade_that_nobody_announced_stops_its_tables_until_it_is(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let rename = "ALTER TABLE parents RENAME COLUMN note TO remark; UPDATE parents SET remark = 'upgraded' WHERE id = 1; \
                  DELETE FROM parents WHERE id = 2";
    pair.target.execute(rename).await;
    let highwater = rule(highwater, "[[table]]\nname = \"parents\"\n[table.columns]\nremark = \"note\"\n");
    let output = highwater.run(&["copy"]).await.expect_code(4);
    output.says("no upgrade was announced");
    highwater.run(&["upgrade", "--begin"]).await.ok();
    highwater.run(&["upgrade", "--done"]).await.ok();
    pair.source.execute("UPDATE parents SET note = 'later' WHERE id = 3").await;
    highwater.run(&["final-sync"]).await.ok();
    let query = "SELECT count(*) FROM parents WHERE (id = 1 AND remark = 'upgraded') OR (id = 3 AND remark = 'later') OR id = 2";
    assert_eq!(pair.target.value(query).await, "2", "what the upgrade did is kept");
    // The other tables have gone on.
    pair.target.execute("ALTER TABLE parents RENAME COLUMN remark TO note").await;
    pair.target.execute("UPDATE parents SET note = 'x'").await;
    pair.source.execute("DELETE FROM parents WHERE id = 2; UPDATE parents SET note = 'x'").await;
    eventually_same(&pair).await;
}
