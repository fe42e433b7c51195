//! docs/how-it-works.md, "only newer states are applied": a daemon that lost its lease finishes what it
//! had begun, after another took over.

use super::copied;
use crate::support::compare::{assert_same, eventually_same};
use crate::support::{Daemon, Highwater, Pair};

/// Cuts the session that holds the old daemon's lease, and lets a new daemon take over.
async fn take_over(pair: &Pair, highwater: &Highwater) -> Daemon {
    pair.target
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database \
             WHERE locktype = 'advisory' AND datname = current_database()",
        )
        .await;
    highwater.clone().without_faults().on_another_port().spawn(&["run"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_read_before_a_batch_and_committed_after_it() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    pair.target.execute("ALTER TABLE t ADD CONSTRAINT picky CHECK (v <> 'parked')").await;
    pair.source.execute("UPDATE t SET v = 'parked' WHERE id = 1").await;
    let (halted, pause) = highwater.clone().pause_at("after_retry_read");
    let old = halted.spawn(&["run"]);
    pause.reached().await;
    // The retry holds the value `parked`, which the target would take from now on.
    pair.target.execute("ALTER TABLE t DROP CONSTRAINT picky").await;
    let new = take_over(&pair, &highwater).await;
    pair.source.execute("UPDATE t SET v = 'later' WHERE id = 1").await;
    eventually_same(&pair).await;
    new.wait_until_in_sync().await;
    pause.go_on();
    old.wait_for_log("interrupted").await;
    assert_same(&pair).await;
}
