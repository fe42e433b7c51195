//! Checkpoints: what must hold on the target is asked, and what doesn't hold is no end of the window.

use super::shop;
use crate::support::{Db, Engine, Highwater};

contract!(
    tables_that_must_be_there,
    answers_that_must_be_given,
    a_question_changes_nothing,
    no_final_while_a_checkpoint_fails,
    once_final_the_application_may_do_as_it_likes,
);

const TABLES: &str = "[{name = 'the shop', tables = ['parents', 'CHILDREN']}, {name = 'the new', tables = ['um_domain', 'audit']}]";

const ANSWERS: &str = "[{name = 'some', sql = 'SELECT count(*) FROM parents WHERE id <= 3', expect = 3}, \
                        {name = 'none', sql = 'SELECT count(*) FROM parents WHERE id < 0', expect = '0'}, \
                        {name = 'no query', sql = 'SELECT x FROM nowhere', expect = '0'}, \
                        {name = 'no row', sql = 'SELECT id FROM parents WHERE id < 0', expect = '0'}]";

fn with(highwater: &Highwater, checkpoints: &str) -> Highwater {
    highwater.clone().setting("database.main.checkpoint", checkpoints)
}

async fn tables_that_must_be_there(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["verify"]).await.expect_code(2).says("--checkpoints");
    highwater.run(&["verify", "--checkpoints"]).await.expect_code(2).says("no checkpoint is named");
    let highwater = with(&highwater, TABLES);
    let failed = highwater.run(&["verify", "--checkpoints"]).await.expect_code(4);
    failed.says("there is no table um_domain");
    let report = highwater.run(&["verify", "--checkpoints", "--json"]).await.expect_code(4).json();
    let checkpoints = &report["databases"][0]["checkpoints"];
    assert_eq!(report["holds"], false, "{report}");
    assert_eq!(
        (&checkpoints[0]["holds"], &checkpoints[1]["holds"]),
        (&true.into(), &false.into()),
        "{report}"
    );
    pair.target.execute("CREATE TABLE um_domain (id INTEGER)").await;
    highwater.run(&["verify", "--checkpoints"]).await.ok().says("every checkpoint holds");
}

async fn answers_that_must_be_given(engine: Engine) {
    let (_pair, highwater) = shop(engine).await;
    let highwater = with(&highwater, ANSWERS);
    let before = highwater.run(&["verify", "--checkpoints", "--json"]).await.expect_code(4).json();
    assert_eq!(holding(&before), [false, true, false, false], "{before}");
    highwater.run(&["copy"]).await.ok();
    let after = highwater.run(&["verify", "--checkpoints", "--json"]).await.expect_code(4).json();
    assert_eq!(holding(&after), [true, true, false, false], "{after}");
    let whats: Vec<String> = checkpoints(&after).iter().map(|c| c["what"].to_string()).collect();
    assert!(whats[2].contains("nowhere") && whats[3].contains("no row"), "{whats:?}");
}

async fn a_question_changes_nothing(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let highwater = with(&highwater, "[{name = 'wrong', sql = 'DELETE FROM audit', expect = '0'}]");
    highwater.run(&["verify", "--checkpoints"]).await.expect_code(4);
    assert_eq!(pair.target.value("SELECT count(*) FROM audit").await, "200");
}

async fn no_final_while_a_checkpoint_fails(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let highwater = with(&highwater, TABLES);
    highwater.run(&["copy"]).await.ok();
    let failed = highwater.run(&["final-sync"]).await.expect_code(4);
    failed.says("not drained").says("checkpoint \"the new\" fails: there is no table um_domain");
    let report = highwater.run(&["final-sync", "--fence", "--json"]).await.expect_code(4).json();
    assert_eq!(report["databases"][0]["checkpoints"][1]["holds"], false, "{report}");
    assert!(write_passes(&pair.source).await, "the fence is lifted");
    pair.target.execute("CREATE TABLE um_domain (id INTEGER)").await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final").says("checkpoints: 2 of 2 hold");
    assert!(!write_passes(&pair.source).await, "the fence stands");
}

/// Else the fence would be lifted, and there would be two primaries.
async fn once_final_the_application_may_do_as_it_likes(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let highwater = with(&highwater, "[{name = 'the shop', tables = ['audit']}]");
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok();
    let highwater = with(&highwater, TABLES);
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert!(!write_passes(&pair.source).await, "the fence stands");
}

async fn write_passes(source: &Db) -> bool {
    source.try_execute("UPDATE parents SET note = note WHERE id = 1").await.is_ok()
}

fn checkpoints(report: &serde_json::Value) -> &Vec<serde_json::Value> {
    report["databases"][0]["checkpoints"].as_array().expect("a list")
}

fn holding(report: &serde_json::Value) -> Vec<bool> {
    checkpoints(report).iter().map(|c| c["holds"] == true).collect()
}
