//! Killed anywhere, the next start goes on and nothing is lost.

use super::{CHANGES, shop};
use crate::support::Engine;
use crate::support::compare::assert_same;

contract!(
    killed_while_copying,
    killed_while_replaying,
    the_answer_to_a_commit_is_lost,
    finished_chunks_are_not_repeated,
    killed_while_making_tables,
    killed_while_retrying_parked_rows,
    killed_while_cleaning,
);

async fn killed_while_copying(engine: Engine) {
    for fault in [
        "before_copy_begins=kill",
        "after_copy_begins=kill",
        "before_chunk_commit=kill",
        "before_chunk_commit@7=kill",
        "after_chunk_commit@3=kill",
    ] {
        let (pair, highwater) = shop(engine).await;
        highwater.clone().fault(fault).run(&["copy"]).await.killed();
        pair.source.execute(CHANGES).await;
        highwater.run(&["copy"]).await.ok();
        highwater.run(&["final-sync"]).await.ok();
        assert_same(&pair).await;
    }
}

async fn killed_while_replaying(engine: Engine) {
    for fault in ["after_batch_read=kill", "before_batch_commit=kill", "after_batch_commit@2=kill"] {
        let (pair, highwater) = shop(engine).await;
        highwater.run(&["copy"]).await.ok();
        pair.source.execute(CHANGES).await;
        highwater.clone().fault(fault).run(&["final-sync"]).await.killed();
        highwater.run(&["final-sync"]).await.ok();
        assert_same(&pair).await;
    }
}

async fn the_answer_to_a_commit_is_lost(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let daemon = highwater
        .clone()
        .fault("after_chunk_commit@2=error")
        .fault("after_batch_commit@2=error")
        .spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute(CHANGES).await;
    daemon.wait_for_log("after_batch_commit").await;
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

async fn finished_chunks_are_not_repeated(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater
        .clone()
        .setting("copy.jobs", "1")
        .fault("after_chunk_commit@5=kill")
        .run(&["copy"])
        .await
        .killed();
    let done = engine.pick(
        "SELECT count(*) FROM highwater_ledger.chunks WHERE state = 'done'",
        "SELECT count(*) FROM highwater_ledger_chunks WHERE state = 'done'",
        "SELECT count(*) FROM highwater_ledger_chunks WHERE state = 'done'",
    );
    assert_eq!(pair.target.value(done).await, "5");
    let (second, pause) = highwater.clone().setting("copy.jobs", "1").pause_at("before_chunk_commit");
    let daemon = second.spawn(&["copy"]);
    pause.reached().await;
    assert_eq!(pair.target.value(done).await, "5", "the five stay done");
    pause.go_on();
    assert_eq!(daemon.wait().await, Some(0));
    assert_same(&pair).await;
}

async fn killed_while_making_tables(engine: Engine) {
    let pair = engine.pair().await;
    pair.source.execute(super::TABLES).await;
    pair.source.execute(super::ROWS).await;
    let highwater = super::settings(&pair).setting("copy.schema", "create");
    for fault in ["after_definitions_kept=kill", "before_chunk_commit@2=kill", "after_chunk_commit@9=kill"] {
        highwater.clone().fault(fault).run(&["copy"]).await.killed();
    }
    pair.source.execute(CHANGES).await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
    let twice = pair.target.try_execute("INSERT INTO parents VALUES (7777, 'p1', NULL)").await;
    assert!(twice.is_err(), "the unique index is there");
}

async fn killed_while_retrying_parked_rows(engine: Engine) {
    for fault in ["after_retry_read=kill", "before_retry_commit=kill", "after_retry_commit=kill"] {
        let (pair, highwater) = shop(engine).await;
        let highwater = highwater.setting("replay.batch_rows", "1");
        highwater.run(&["copy"]).await.ok();
        pair.source.execute(super::SWAP).await;
        highwater.clone().fault(fault).run(&["final-sync"]).await.killed();
        highwater.run(&["final-sync"]).await.ok();
        assert_same(&pair).await;
    }
}

async fn killed_while_cleaning(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    highwater.clone().fault("after_source_cleaned=kill").run(&["clean", "--yes"]).await.killed();
    pair.source.execute(CHANGES).await;
    highwater.run(&["clean", "--yes"]).await.ok();
}
