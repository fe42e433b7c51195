//! Copy, replay, stop, go on.

use std::time::Duration;

use super::{CHANGES, MYSQL_OBJECTS, ROWS, TABLES, eventually_same, settings, shop};
use crate::support::compare::assert_same;
use crate::support::{Engine, eventually};

contract!(
    copies_every_row,
    copies_into_tables_it_makes,
    replays_every_kind_of_change,
    goes_on_where_it_stopped,
    serves_several_databases,
    truncated_tables_are_emptied,
    cleans_up_after_itself,
    plan_touches_nothing,
);

async fn copies_every_row(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    assert_same(&pair).await;
    highwater.run(&["copy"]).await.ok();
    assert_same(&pair).await;
}

async fn copies_into_tables_it_makes(engine: Engine) {
    let pair = engine.pair().await;
    pair.source.execute(TABLES).await;
    let note = engine.pick("note", "note", "note(20)");
    pair.source.execute(&format!("CREATE INDEX by_note ON children ({note})")).await;
    pair.source.execute(ROWS).await;
    let highwater = settings(&pair).setting("copy.schema", "create");
    highwater.run(&["copy"]).await.ok();
    assert_same(&pair).await;
    let made = engine.pick(
        "SELECT count(*) FROM pg_indexes WHERE indexname IN ('by_note', 'parents_name_key', 'children_pkey')",
        "SELECT count(*) + 2 FROM sqlite_master WHERE name = 'by_note'",
        "SELECT count(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND seq_in_index = 1
         AND (index_name IN ('by_note', 'name') OR (index_name = 'PRIMARY' AND table_name = 'children'))",
    );
    assert_eq!(pair.target.value(made).await, "3", "the copy ends with its indexes");
    pair.source.execute(CHANGES).await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn replays_every_kind_of_change(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute(CHANGES).await;
    eventually_same(&pair).await;
    daemon.wait_until_in_sync().await;
    let lag = r#"highwater_table_lag_rows{database="main",table="parents"}"#;
    eventually(Duration::from_secs(10), || async { daemon.get("/metrics").await.metric(lag) == Some(0.0) })
        .await;
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn goes_on_where_it_stopped(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
    pair.source.execute(CHANGES).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    eventually_same(&pair).await;
    daemon.kill9().await;
    pair.source.execute("DELETE FROM children WHERE parent_id < 100").await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    eventually_same(&pair).await;
}

async fn serves_several_databases(engine: Engine) {
    let (one, highwater) = shop(engine).await;
    let (two, _) = shop(engine).await;
    let highwater = highwater.database("other", &two);
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    two.source.execute(CHANGES).await;
    eventually_same(&two).await;
    assert_same(&one).await;
    let metrics = daemon.get("/metrics").await;
    assert_eq!(metrics.metric(r#"highwater_lease_held{database="other"}"#), Some(1.0), "{}", metrics.body);
}

async fn truncated_tables_are_emptied(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let truncate = engine.pick(
        "TRUNCATE parents, children, audit",
        "DELETE FROM children; DELETE FROM parents; DELETE FROM audit",
        "SET foreign_key_checks = 0; TRUNCATE children; TRUNCATE parents; TRUNCATE audit; SET foreign_key_checks = 1",
    );
    pair.source.execute(truncate).await;
    pair.source.execute("INSERT INTO parents VALUES (3, 'back', NULL)").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
    assert_eq!(pair.target.value("SELECT count(*) FROM parents").await, "1");
}

async fn cleans_up_after_itself(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let objects = engine.pick(
        "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'highwater%'",
        "SELECT count(*) FROM sqlite_master WHERE name LIKE '%highwater%'",
        MYSQL_OBJECTS,
    );
    highwater.run(&["copy"]).await.ok();
    assert_ne!(pair.source.value(objects).await, "0");
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    highwater.run(&["clean", "--yes"]).await.expect_code(3).says("lease");
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["clean", "--yes"]).await.ok();
    for side in [&pair.source, &pair.target] {
        assert_eq!(side.value(objects).await, "0");
    }
    let triggers = engine.pick(
        "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%highwater%'",
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'",
        "SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    );
    assert_eq!(pair.source.value(triggers).await, "0");
    highwater.run(&["clean", "--yes"]).await.ok();
}

async fn plan_touches_nothing(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let everything = engine.pick(
        "SELECT (SELECT count(*) FROM pg_class) + (SELECT count(*) FROM pg_trigger) + (SELECT count(*) FROM pg_proc)",
        "SELECT count(*) FROM sqlite_master",
        MYSQL_OBJECTS,
    );
    let before = (pair.source.value(everything).await, pair.target.value(everything).await);
    let plan = highwater.run(&["plan", "--json"]).await.ok().json();
    assert_eq!(plan["schema_version"], 1);
    highwater.run(&["plan"]).await.ok().says("children").says("parent_id, n");
    highwater.run(&["plan", "--ddl"]).await.ok().says("TRIGGER");
    assert_eq!(before, (pair.source.value(everything).await, pair.target.value(everything).await));
}
