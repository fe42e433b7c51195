//! Rows that the target refuses never stop the others, and are never forgotten.

use super::{eventually_same, shop};
use crate::support::compare::assert_same;
use crate::support::{Engine, Highwater, Pair};

contract!(
    a_refused_row_is_parked_and_the_others_go_on,
    unique_values_swap_inside_a_batch,
    unique_values_swap_across_batches,
    a_swap_keeps_columns_that_only_the_target_has,
    a_bad_row_beside_a_swap_does_not_hold_it_up,
    a_parked_row_that_is_deleted_is_forgotten,
);

/// A target whose `parents` refuse the note `poison`, on every engine.
async fn picky_shop(engine: Engine) -> (Pair, Highwater) {
    let (pair, highwater) = shop(engine).await;
    let check = "ALTER TABLE parents ADD CONSTRAINT no_poison CHECK (note <> 'poison')";
    let anew = "DROP TABLE parents; CREATE TABLE parents (id INTEGER PRIMARY KEY, \
                name VARCHAR(40) NOT NULL UNIQUE, note TEXT CHECK (note <> 'poison'))";
    pair.target.execute(engine.pick(check, anew, check)).await;
    (pair, highwater)
}

async fn a_refused_row_is_parked_and_the_others_go_on(engine: Engine) {
    let (pair, highwater) = picky_shop(engine).await;
    pair.source.execute("UPDATE parents SET note = 'poison' WHERE id = 77").await;
    highwater.run(&["copy"]).await.ok();
    pair.source.execute("UPDATE parents SET note = 'poison' WHERE id IN (5, 9)").await;
    pair.source.execute("UPDATE parents SET note = 'fine' WHERE id IN (4, 6)").await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("3 rows are parked");
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE note = 'fine'").await, "2");
    let status = highwater.run(&["status", "--json"]).await;
    assert!(
        status.stdout.contains("\"parked\": 3") || status.stdout.contains("\"parked\":3"),
        "{}",
        status.stdout
    );
    pair.source.execute("UPDATE parents SET note = 'cured' WHERE note = 'poison'").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn unique_values_swap_inside_a_batch(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    pair.source
        .execute(
            "UPDATE parents SET name = 'tmp' WHERE id = 1; UPDATE parents SET name = 'p1' WHERE id = 2;
             UPDATE parents SET name = 'p2' WHERE id = 3; UPDATE parents SET name = 'p3' WHERE id = 1;",
        )
        .await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn unique_values_swap_across_batches(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let highwater = highwater.setting("replay.batch_rows", "1");
    highwater.run(&["copy"]).await.ok();
    pair.source
        .execute(
            "UPDATE parents SET name = 'tmp' WHERE id = 1; UPDATE parents SET name = 'p1' WHERE id = 2;
             UPDATE parents SET name = 'p2' WHERE id = 3; UPDATE parents SET name = 'p3' WHERE id = 1;",
        )
        .await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn a_swap_keeps_columns_that_only_the_target_has(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    pair.target.execute("ALTER TABLE parents ADD COLUMN extra INTEGER DEFAULT 0").await;
    highwater.run(&["copy"]).await.ok();
    pair.target.execute("UPDATE parents SET extra = id").await;
    pair.source.execute(super::SWAP).await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE extra = id").await, "500");
}

async fn a_bad_row_beside_a_swap_does_not_hold_it_up(engine: Engine) {
    let (pair, highwater) = picky_shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    pair.source
        .execute(
            "UPDATE parents SET name = 'tmp' WHERE id = 1; UPDATE parents SET name = 'p1' WHERE id = 2;
             UPDATE parents SET name = 'p2' WHERE id = 1; UPDATE parents SET note = 'poison' WHERE id = 3;",
        )
        .await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("1 rows are parked");
    assert_eq!(pair.target.value("SELECT name FROM parents WHERE id = 1").await, "p2");
    assert_eq!(pair.target.value("SELECT name FROM parents WHERE id = 2").await, "p1");
}

async fn a_parked_row_that_is_deleted_is_forgotten(engine: Engine) {
    let (pair, highwater) = picky_shop(engine).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute("UPDATE parents SET note = 'poison' WHERE id = 499").await;
    daemon.wait_for_log("parked").await;
    pair.source
        .execute("DELETE FROM children WHERE parent_id = 499; DELETE FROM parents WHERE id = 499")
        .await;
    eventually_same(&pair).await;
    daemon.wait_until_in_sync().await;
}
