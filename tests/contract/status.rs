//! What `highwater status` says by looking itself. docs/operating.md.

use std::time::Duration;

use serde_json::Value;

use super::{CHANGES, shop};
use crate::support::{Daemon, Engine, eventually};

contract!(a_watcher_from_the_first_second_sees_capture_come, a_replaced_source_is_named);

/// What the watcher showed last, once it shows something.
fn shown(watcher: &Daemon) -> Option<Value> {
    let stdout = watcher.stdout();
    let line = stdout.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok())?;
    Some(line["databases"][0].clone())
}

/// It looks on before, while and after capture is installed, and keeps nothing of what it saw before.
async fn a_watcher_from_the_first_second_sees_capture_come(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let watcher = highwater.spawn(&["status", "--watch", "--json"]);
    eventually(Duration::from_secs(10), || async { shown(&watcher).is_some() }).await;
    let (halted, pause) = highwater.clone().pause_at("before_copy_begins");
    let daemon = halted.spawn(&["run"]);
    pause.reached().await;
    eventually(Duration::from_secs(10), || async {
        shown(&watcher).is_some_and(|d| d["tables"].as_array().is_some_and(|tables| !tables.is_empty()))
    })
    .await;
    pause.go_on();
    daemon.wait_until_in_sync().await;
    pair.source.execute(CHANGES).await;
    eventually(Duration::from_secs(20), || async {
        let database = shown(&watcher).ok_or("nothing is shown")?;
        let sound = database["capture_sound"] == true && database["capture_faults"] == serde_json::json!([]);
        let caught_up = |t: &Value| t["state"] == "replaying" && t["lag_rows"] == 0;
        let all = database["tables"].as_array().is_some_and(|tables| tables.iter().all(caught_up));
        if sound && all { Ok(()) } else { Err(database.to_string()) }
    })
    .await;
    assert_eq!(watcher.terminate().await, Some(0));
    assert_eq!(daemon.terminate().await, Some(0));
}

/// Another database stands at the source's address: its lag says nothing, and no process repairs its capture.
async fn a_replaced_source_is_named(engine: Engine) {
    let (_pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let (other, _) = shop(engine).await;
    let replaced = highwater.setting("database.main.source", &other.source.url());
    let status = replaced.run(&["status", "--json"]).await.expect_code(1).json();
    let database = &status["databases"][0];
    assert!(database["error"].as_str().is_some_and(|e| e.contains("another database")), "{status}");
    assert_eq!(database["capture_faults"], serde_json::json!([]), "{status}");
    for table in database["tables"].as_array().unwrap() {
        assert!(table["lag_seconds"].is_null() && table["watermark_time"].is_null(), "{status}");
    }
}
