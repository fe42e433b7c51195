//! The fence in the hands of the real program: killed around raising and lowering, run twice at the same time.
//!
//! docs/how-it-works.md, "an attempt has a number".

use std::time::Duration;

use super::final_sync::write_is_refused;
use super::{CHANGES, eventually_same, shop};
use crate::support::compare::{assert_same, differences};
use crate::support::{Db, Engine, Highwater, Pair};

contract!(
    killed_around_raising_then_lowered,
    killed_around_raising_then_ended,
    killed_around_lowering_then_written,
    killed_while_lowering_a_daemon_replays_again,
    two_final_syncs_one_ends,
    killed_while_another_waits_for_the_lease,
    the_lease_is_lost_under_the_fence_and_another_ends_final,
);

/// Where a `final-sync --fence` may die, and whether production is refused from then on.
const RAISING: [(&str, bool); 4] = [
    ("after_attempt_opened", false),
    ("after_fence_raised", true),
    ("before_final", true),
    ("after_final", true),
];

/// The same of a `final-sync --lower`.
const LOWERING: [(&str, bool); 3] =
    [("before_attempt_void", true), ("before_fence_lowered", true), ("after_fence_lowered", false)];

/// A source that was copied, with changes that are not replayed yet.
async fn copied(engine: Engine) -> (Pair, Highwater) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    pair.source.execute(CHANGES).await;
    (pair, highwater)
}

async fn dies_at(highwater: &Highwater, point: &str, arguments: &[&str]) {
    highwater.clone().fault(&format!("{point}=kill")).run(arguments).await.killed();
}

/// An update that leaves all counts as they are.
async fn production_writes(pair: &Pair, note: &str) {
    pair.source.execute(&format!("UPDATE parents SET note = '{note}' WHERE id BETWEEN 20 AND 60")).await;
}

/// Production is lowered to, writes, and nothing that is said afterwards is true of older rows.
async fn killed_around_raising_then_lowered(engine: Engine) {
    for (point, refused) in RAISING {
        let (pair, highwater) = copied(engine).await;
        dies_at(&highwater, point, &["final-sync", "--fence"]).await;
        assert_eq!(write_is_refused(&pair.source).await, refused, "{point}");
        highwater.run(&["final-sync", "--lift"]).await.ok();
        production_writes(&pair, "after the lowering").await;
        highwater.run(&["final-sync"]).await.ok().says("drained");
        assert_same(&pair).await;
        production_writes(&pair, "once more").await;
        highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        assert_same(&pair).await;
        assert!(write_is_refused(&pair.source).await, "{point}");
    }
}

async fn killed_around_raising_then_ended(engine: Engine) {
    for (point, refused) in RAISING {
        let (pair, highwater) = copied(engine).await;
        dies_at(&highwater, point, &["final-sync", "--fence"]).await;
        if !refused {
            production_writes(&pair, "before the next attempt").await;
        }
        highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        assert_same(&pair).await;
        assert!(write_is_refused(&pair.source).await, "{point}");
    }
}

/// Where production may write, it does; then no report says more than is true, whatever was on record.
async fn killed_around_lowering_then_written(engine: Engine) {
    for (point, refused) in LOWERING {
        let (pair, highwater) = copied(engine).await;
        highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        dies_at(&highwater, point, &["final-sync", "--lift"]).await;
        assert_eq!(write_is_refused(&pair.source).await, refused, "{point}");
        if !refused {
            production_writes(&pair, "after the lowering").await;
        }
        let said = highwater.run(&["final-sync"]).await;
        let stale = differences(&pair.source, &pair.target, &[]).await;
        assert!(said.code != Some(0) || stale.is_empty(), "{point}: {said:?}\n{stale:?}");
        let said = highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        let stale = differences(&pair.source, &pair.target, &[]).await;
        assert!(stale.is_empty(), "{point}: {said:?}\n{stale:?}");
        assert!(write_is_refused(&pair.source).await, "{point}");
        highwater.run(&["final-sync", "--lift"]).await.ok();
        assert!(!write_is_refused(&pair.source).await, "{point}");
    }
}

/// A daemon that rested behind the fence does not go on resting when production writes again.
async fn killed_while_lowering_a_daemon_replays_again(engine: Engine) {
    for (point, refused) in LOWERING {
        let (pair, highwater) = copied(engine).await;
        highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
        let daemon = highwater.clone().on_another_port().spawn(&["run"]);
        dies_at(&highwater, point, &["final-sync", "--lift"]).await;
        if refused {
            highwater.run(&["final-sync", "--lift"]).await.ok();
        }
        production_writes(&pair, "after the lowering").await;
        daemon.wait_until_in_sync().await;
        eventually_same(&pair).await;
        assert_eq!(daemon.terminate().await, Some(0), "{point}");
    }
}

/// The second waits for the lease, and raises, lowers and records nothing.
async fn two_final_syncs_one_ends(engine: Engine) {
    let (pair, highwater) = copied(engine).await;
    let (halted, pause) = highwater.clone().pause_at("after_fence_raised");
    let first = halted.spawn(&["final-sync", "--fence"]);
    pause.reached().await;
    let second = highwater.run(&["final-sync", "--fence", "--timeout", "2s"]).await;
    assert!(matches!(second.code, Some(3 | 4)), "{second:?}");
    assert!(write_is_refused(&pair.source).await, "the first one's fence is left alone");
    pause.go_on();
    assert_eq!(first.wait().await, Some(0));
    assert_same(&pair).await;
    assert!(write_is_refused(&pair.source).await);
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
}

/// The first dies with its fence up; the second, which waits for the lease, raises its own and ends.
async fn killed_while_another_waits_for_the_lease(engine: Engine) {
    let (pair, highwater) = copied(engine).await;
    let (halted, pause) = highwater.clone().pause_at("after_fence_raised");
    let first = halted.spawn(&["final-sync", "--fence"]);
    pause.reached().await;
    let second = highwater.spawn(&["final-sync", "--fence"]);
    second.wait_for_log("lease").await;
    first.kill9().await;
    assert_eq!(second.wait().await, Some(0));
    assert_same(&pair).await;
    assert!(write_is_refused(&pair.source).await);
}

/// The first loses its lease when all is done but recorded. The second ends final, and the operator switches. The
/// first goes on, fails, and must leave the fence alone: else there are two primaries.
async fn the_lease_is_lost_under_the_fence_and_another_ends_final(engine: Engine) {
    let (pair, highwater) = copied(engine).await;
    let (halted, pause) = highwater.clone().pause_at("before_final");
    let first = halted.spawn(&["final-sync", "--fence"]);
    pause.reached().await;
    take_lease_away(&pair.target).await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    pair.target.execute("INSERT INTO parents VALUES (9000, 'of the application', NULL)").await;
    pause.go_on();
    let code = first.wait().await;
    assert!(code.is_some() && code != Some(0), "{code:?}");
    assert!(write_is_refused(&pair.source).await, "another one's fence is left alone");
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_eq!(pair.target.value("SELECT count(*) FROM parents WHERE id = 9000").await, "1");
}

/// Ends what holds the lease of database `main`, as a lost connection would.
async fn take_lease_away(target: &Db) {
    match target {
        Db::Postgres(_) => {
            let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND \
                       database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            assert_ne!(target.value(end).await, "0");
        }
        Db::Mysql(_) => {
            let holder = "SELECT IS_USED_LOCK(CONCAT('highwater:', LEFT(SHA2(CONCAT(DATABASE(), 0x00, 'main', \
                          0x00, 'main', 0x00), 256), 40)))";
            let holder = target.value(holder).await;
            target.execute(&format!("KILL {holder}")).await;
        }
        Db::Sqlite(file) => {
            let folder = file.path().parent().unwrap();
            let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
            let locks: Vec<_> = files.filter(|f| f.extension().is_some_and(|e| e == "lock")).collect();
            assert_eq!(locks.len(), 1, "{locks:?}");
            locks.iter().for_each(|lock| std::fs::remove_file(lock).unwrap());
        }
    }
    // The server notices the end of a session in its own time.
    tokio::time::sleep(Duration::from_millis(500)).await;
}
