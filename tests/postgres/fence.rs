//! A fence is not a row read under the writer's snapshot.

use super::copied;
use crate::support::Pair;
use crate::support::compare::assert_same;

/// Whether the fence stands on the source.
const RAISED: &str = "SELECT raised >= stamp FROM highwater_capture.fence";

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_from_before_the_fence_is_refused_at_its_first_write() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let mut old = pair.source.postgres().connect().await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t")
        .execute(&mut old)
        .await
        .unwrap();
    highwater.run(&["final-sync", "--fence"]).await.ok();
    let late = sqlx::raw_sql("INSERT INTO t VALUES (1000, 'from the old snapshot')").execute(&mut old).await;
    assert_eq!(late.unwrap_err().as_database_error().unwrap().code().as_deref(), Some("HW001"));
    assert_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_transaction_blocks_the_fence() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let name = pair.source.postgres().name().to_string();
    pair.source
        .execute(&format!("BEGIN; INSERT INTO t VALUES (500, 'prepared'); PREPARE TRANSACTION '{name}'"))
        .await;
    highwater
        .run(&["final-sync", "--fence", "--timeout", "10s"])
        .await
        .expect_code(4)
        .says("prepared transaction");
    pair.source.execute(&format!("COMMIT PREPARED '{name}'")).await;
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
}

/// Without a key or a replica identity the server forbids updates and deletes of a published table.
#[tokio::test(flavor = "multi_thread")]
async fn publications_of_all_tables_on_both_sides_forbid_nothing() {
    let pair = Pair::postgres().await;
    pair.execute_on_both("CREATE PUBLICATION everything FOR ALL TABLES").await;
    let highwater = copied(&pair).await;
    pair.source.execute("INSERT INTO t VALUES (500, 'published'); DELETE FROM t WHERE id = 1").await;
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
    highwater.run(&["final-sync", "--lower"]).await.ok();
    pair.source.execute("UPDATE t SET v = 'after' WHERE id = 500").await;
    highwater.run(&["clean", "--yes"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_writer_is_not_drained() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let mut writer = pair.source.connect().await;
    writer.execute("BEGIN").await;
    writer.execute("UPDATE t SET v = 'open' WHERE id = 1").await;
    let report = highwater.run(&["final-sync", "--timeout", "10s"]).await.expect_code(4);
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
    assert_eq!(pair.source.value(RAISED).await, "t");
    target.start();
    highwater.run(&["final-sync", "--lift"]).await.ok();
    assert_eq!(pair.source.value(RAISED).await, "f");
}
