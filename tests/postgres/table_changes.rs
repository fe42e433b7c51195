//! Tables that change under the daemon: that table stops with the reason or is copied anew.

use super::copied;
use crate::support::compare::{assert_same, eventually_same, eventually_same_except};
use crate::support::{Daemon, Pair};

async fn other_goes_on(pair: &Pair, daemon: &Daemon) {
    pair.source.execute("INSERT INTO other SELECT coalesce(max(id), 0) + 1, 'x' FROM other").await;
    eventually_same_except(pair, &["t", "renamed"]).await;
    assert_eq!(daemon.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_added_on_both_sides_is_carried() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute("ALTER TABLE t ADD COLUMN extra integer DEFAULT 5").await;
    daemon.wait_for_log("table stopped").await;
    other_goes_on(&pair, &daemon).await;
    pair.target.execute("ALTER TABLE t ADD COLUMN extra integer").await;
    pair.source.execute("UPDATE t SET extra = 6 WHERE id < 10").await;
    eventually_same(&pair).await;
    daemon.wait_until_in_sync().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_key_column_does_not_break_production() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute("ALTER TABLE t RENAME COLUMN id TO key").await;
    pair.source.execute("INSERT INTO t VALUES (5000, 'written'); UPDATE t SET v = 'w' WHERE key = 1").await;
    daemon.wait_for_log("table stopped").await;
    other_goes_on(&pair, &daemon).await;
    pair.source.execute("ALTER TABLE t RENAME COLUMN key TO id").await;
    eventually_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_log_does_not_break_production() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    pair.source.execute("DROP TABLE highwater_capture.\"public.t\"").await;
    pair.source.execute("INSERT INTO t VALUES (5000, 'written')").await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    eventually_same(&pair).await;
    assert!(daemon.log().contains("full resync"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_trigger_is_noticed() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute("ALTER TABLE t DISABLE TRIGGER ALL; UPDATE t SET v = 'unseen' WHERE id = 5").await;
    daemon.wait_for_log("full resync").await;
    eventually_same(&pair).await;
    pair.source.execute("UPDATE t SET v = 'seen' WHERE id = 6").await;
    eventually_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_source_table_stops_alone() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute("ALTER TABLE t RENAME TO renamed; INSERT INTO renamed VALUES (7000, 'x')").await;
    daemon.wait_for_log("table stopped").await;
    other_goes_on(&pair, &daemon).await;
    pair.source.execute("ALTER TABLE renamed RENAME TO t").await;
    eventually_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_does_not_fit_the_target_type_is_parked() {
    let pair = Pair::postgres().await;
    pair.source.execute("CREATE TABLE n (id integer PRIMARY KEY, v bigint)").await;
    pair.target.execute("CREATE TABLE n (id integer PRIMARY KEY, v smallint)").await;
    pair.source.execute("INSERT INTO n VALUES (1, 1), (2, 70000), (3, 3)").await;
    let highwater = crate::support::Highwater::new(&pair);
    highwater.run(&["copy"]).await.ok();
    assert_eq!(pair.target.value("SELECT string_agg(v::text, ',' ORDER BY id) FROM n").await, "1,3");
    highwater.run(&["final-sync"]).await.expect_code(4).says("parked");
    highwater.run(&["upgrade", "--begin"]).await.ok();
    pair.target.execute("ALTER TABLE n ALTER v TYPE bigint").await;
    highwater.run(&["upgrade", "--done"]).await.ok();
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}
