//! A fence is not a row read under the writer's snapshot.

use std::time::Duration;

use super::copied;
use crate::support::compare::assert_same;
use crate::support::{Pair, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_from_before_the_fence_is_waited_out() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let mut old = pair.source.connect().await;
    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    old.rows_as_text("SELECT count(*) FROM t").await;
    let refused = highwater.run(&["final-sync", "--fence", "--timeout", "2s"]).await.expect_code(4);
    refused.says("before the fence").says("lifted");
    let daemon = highwater.spawn(&["final-sync", "--fence"]);
    eventually(Duration::from_secs(20), || async {
        pair.source.value("SELECT raised FROM highwater_capture.fence").await == "t"
    })
    .await;
    // It doesn't see the fence, so its write passes; the barrier waits for its end.
    old.execute("INSERT INTO t VALUES (1000, 'from the old snapshot')").await;
    old.execute("COMMIT").await;
    assert_eq!(daemon.wait().await, Some(0));
    assert_same(&pair).await;
    assert_eq!(pair.target.value("SELECT v FROM t WHERE id = 1000").await, "from the old snapshot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_blocks_the_fence() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let name = pair.source.postgres().name().to_string();
    pair.source
        .execute(&format!("BEGIN; INSERT INTO t VALUES (500, 'prepared'); PREPARE TRANSACTION '{name}'"))
        .await;
    highwater.run(&["final-sync", "--fence", "--timeout", "2s"]).await.expect_code(4).says("lifted");
    pair.source.execute(&format!("COMMIT PREPARED '{name}'")).await;
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_writer_is_not_drained() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let mut writer = pair.source.connect().await;
    writer.execute("BEGIN").await;
    writer.execute("UPDATE t SET v = 'open' WHERE id = 1").await;
    let report = highwater.run(&["final-sync", "--timeout", "2s"]).await.expect_code(4);
    report.says("open");
    writer.execute("COMMIT").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_tables_and_truncate_are_fenced_too() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    pair.source.execute("CREATE TABLE apart (id integer)").await;
    let highwater = highwater.setting("database.main.exclude", "[\"apart\"]");
    highwater.run(&["final-sync", "--fence"]).await.ok();
    for write in
        ["INSERT INTO apart VALUES (1)", "TRUNCATE t", "DELETE FROM other", "COPY t FROM PROGRAM 'true'"]
    {
        let refused = sqlx::raw_sql(write).execute(pair.source.postgres().pool()).await;
        let error = refused.expect_err(write);
        let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        assert_eq!(code.as_deref(), Some("HW001"), "{write}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_stays_while_the_target_is_out_of_reach() {
    let target = crate::support::Server::start_own(&[]);
    let pair = Pair::postgres_on(crate::support::Server::shared(), &target).await;
    let highwater = copied(&pair).await;
    let (halted, pause) = highwater.clone().pause_at("after_fence_raised");
    let daemon = halted.spawn(&["final-sync", "--fence", "--timeout", "5s"]);
    pause.reached().await;
    target.crash();
    pause.go_on();
    daemon.wait_for_log("FENCE STAYS UP").await;
    assert_ne!(daemon.wait().await, Some(0));
    assert_eq!(pair.source.value("SELECT raised FROM highwater_capture.fence").await, "t");
    target.start();
    highwater.run(&["final-sync", "--lift"]).await.ok();
    assert_eq!(pair.source.value("SELECT raised FROM highwater_capture.fence").await, "f");
}
