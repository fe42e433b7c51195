//! Other clusters, dumps, crashes: whose log is this?

use std::process::Command;
use std::time::Duration;

use super::copied;
use crate::support::compare::assert_same;
use crate::support::{Database, Pair, Server, eventually};

/// Copies a whole database into another by the engine's own tools.
fn dump_and_restore(server: &Server, from: &Database, to: &Database) {
    let script = format!(
        "'{}' --no-owner '{}' | psql --quiet '{}' >/dev/null 2>&1",
        server.program("pg_dump").display(),
        from.url(),
        to.url()
    );
    let done = Command::new("sh").args(["-c", &script]).status().expect("a shell");
    assert!(done.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_replaced_by_another_database_is_refused() {
    let server = Server::shared();
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let impostor = server.database().await;
    dump_and_restore(server, pair.source.postgres(), &impostor);
    let highwater = highwater.setting("database.main.source", &impostor.url());
    highwater.run(&["copy"]).await.expect_code(3).says("another database");
    assert_eq!(pair.target.value("SELECT count(*) FROM t").await, "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_that_came_with_a_dump_of_production_is_removed_from_the_target() {
    let server = Server::shared();
    let pair = Pair::postgres().await;
    let _ = copied(&pair).await;
    let staging = server.database().await;
    dump_and_restore(server, pair.source.postgres(), &staging);
    staging.execute("TRUNCATE t").await;
    let highwater = crate::support::Highwater::new(&pair).setting("database.main.target", &staging.url());
    highwater.run(&["copy"]).await.ok();
    let left =
        staging.rows_as_text("SELECT count(*) FROM pg_namespace WHERE nspname = 'highwater_capture'").await;
    assert_eq!(left[0][0].as_deref(), Some("0"));
    let rows = staging.rows_as_text("SELECT count(*) FROM t").await;
    assert_eq!(rows[0][0].as_deref(), Some("100"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_source_loses_in_a_crash_is_never_applied() {
    let source =
        Server::start_own(&[("fsync", "on"), ("wal_writer_delay", "10s"), ("synchronous_commit", "off")]);
    let pair = Pair::postgres_on(&source, Server::shared()).await;
    let highwater = copied(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    for round in 0..3 {
        pair.source.execute(&format!("UPDATE t SET v = 'round {round}' WHERE id % 2 = 0")).await;
        tokio::time::sleep(Duration::from_millis(100 * round)).await;
        source.crash();
        source.start();
        pair.source.execute(&format!("INSERT INTO other VALUES ({round}, 'after')")).await;
    }
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_servers_are_waited_for() {
    let source = Server::start_own(&[]);
    let target = Server::start_own(&[]);
    let pair = Pair::postgres_on(&source, &target).await;
    let highwater = copied(&pair).await;
    let mut daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    for server in [&source, &target] {
        server.crash();
        eventually(Duration::from_secs(20), || async { daemon.get("/syncz").await.status == 503 }).await;
        assert_eq!(daemon.get("/healthz").await.status, 200);
        server.start();
        pair.source.execute("UPDATE t SET v = v || '+'").await;
        daemon.wait_until_in_sync().await;
        assert!(daemon.is_running());
    }
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_changes_what_is_shown_and_nothing_else() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    pair.source.execute("UPDATE t SET v = 'later' WHERE id <= 10").await;
    for (jump, least, most) in [("+ interval '1 day'", 0.0, 0.1), ("- interval '2 days'", 86_000.0, 87_000.0)]
    {
        pair.source
            .execute(&format!("UPDATE highwater_capture.\"public.t\" SET captured_at = captured_at {jump}"))
            .await;
        let status = highwater.run(&["status", "--json"]).await.json();
        let tables = status["databases"][0]["tables"].as_array().unwrap().clone();
        let lag = tables.iter().find(|t| t["table"] == "t").unwrap()["lag_seconds"].as_f64().unwrap();
        assert!((least..=most).contains(&lag), "{lag}");
    }
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
}
