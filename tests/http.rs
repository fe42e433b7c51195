//! The HTTP side of the real program, seen by those who mean it no good.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::compare::{assert_same, differences};
use crate::support::{Daemon, Highwater, Pair, eventually};

/// Connections of each kind.
const EACH: usize = 2_000;

/// What the daemon may have open at most: its cap of connections, its databases, its own pipes and files.
const MOST_OPEN: usize = 200;

fn open_files(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("a daemon that runs").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_silent_connections_change_nothing_for_replay() {
    highwater::descriptors::raise_limit();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    assert!(
        limit.is_none_or(|n| n > 3 * EACH as u64),
        "this test opens {} sockets; ulimit -n: {limit:?}",
        2 * EACH
    );
    let pair = Pair::sqlite().await;
    pair.execute_on_both("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    let highwater = Highwater::new(&pair);
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let address = format!("127.0.0.1:{}", port_of(&highwater));
    let mut held = Vec::with_capacity(2 * EACH);
    for n in 0..2 * EACH {
        let mut socket = TcpStream::connect(&address).await.expect("a connection");
        if n % 2 == 0 {
            // One that was closed to make room may say so already.
            let _ = socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half:").await;
        }
        held.push(socket);
        if n % 500 == 0 {
            pair.source.execute(&format!("INSERT INTO t VALUES ({n}, 'meanwhile')")).await;
            assert!(open_files(&daemon) < MOST_OPEN, "{} files are open", open_files(&daemon));
        }
    }
    eventually(Duration::from_secs(30), || async {
        let found = differences(&pair.source, &pair.target, &[]).await;
        if found.is_empty() { Ok(()) } else { Err(found.join("\n")) }
    })
    .await;
    assert!(open_files(&daemon) < MOST_OPEN, "{} files are open", open_files(&daemon));
    // A lag is absent until it was measured.
    eventually(Duration::from_secs(30), || async {
        let answer = daemon.get("/metrics").await;
        let lag = answer.metric("highwater_table_lag_seconds{database=\"main\",table=\"t\"}");
        lag.ok_or_else(|| format!("{} {}\n{}", answer.status, answer.body, daemon.log()))
    })
    .await;
    drop(held);
    assert_same(&pair).await;
    assert_eq!(daemon.terminate().await, Some(0));
}

fn port_of(highwater: &Highwater) -> u16 {
    let settings = std::fs::read_to_string(highwater.folder().join("highwater.toml")).expect("settings");
    let line = settings.lines().find(|line| line.starts_with("http.listen")).expect("an address");
    line.rsplit(':').next().and_then(|port| port.trim_matches('"').parse().ok()).expect("a port")
}
