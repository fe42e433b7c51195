//! MySQL can't show its sessions and transactions while one of them runs a statement with raw bytes.

use std::time::Duration;

use super::{CHANGES, eventually_same, shop_on};
use crate::support::compare::assert_same;
use crate::support::{Highwater, Kind, MysqlServer, eventually};

/// A statement that a list of sessions can't show while it runs; it has a transaction open, too.
const RAW: &str =
    "START TRANSACTION; SELECT COUNT(*) FROM junk FOR UPDATE; SELECT SLEEP(600), LENGTH(_binary'";

#[tokio::test(flavor = "multi_thread")]
async fn raw_bytes_in_a_statement_do_not_hold_anything_up() {
    // Of its own: nobody else's lists are to fail.
    let server = MysqlServer::start_own(Kind::Mysql, &[]);
    let pair = shop_on(&server).await;
    pair.source.execute("CREATE DATABASE elsewhere; CREATE TABLE elsewhere.junk (id INT)").await;
    let highwater = Highwater::new(&pair);
    let raw = raw_session(&server);
    eventually(Duration::from_secs(20), || async {
        // Who asks all the time sees an old list.
        tokio::time::sleep(Duration::from_millis(300)).await;
        match pair.source.try_execute("SELECT * FROM information_schema.INNODB_TRX").await {
            Err(error) if error.to_string().contains("utf8mb3") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let plan = highwater.run(&["plan"]).await.ok();
    assert!(!plan.stdout.contains("table lock"), "{}", plan.stdout);
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let mut late = pair.source.connect().await;
    late.execute("START TRANSACTION; INSERT INTO children VALUES (4, 5, 'late')").await;
    pair.source.execute(CHANGES).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    late.execute("COMMIT").await;
    eventually_same(&pair).await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync", "--fence"]).await.ok();
    highwater.run(&["final-sync", "--lift"]).await.ok();
    raw.abort();
    // A writer that was listed, and can't be any more, is waited for all the same.
    pair.source.execute("UPDATE audit SET happened = 3").await;
    late.execute("START TRANSACTION; INSERT INTO children VALUES (4, 6, 'waited for')").await;
    let mut sync = highwater.spawn(&["final-sync"]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let raw = raw_session(&server);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(sync.is_running(), "{}", sync.log());
    late.execute("COMMIT").await;
    assert_eq!(sync.wait().await, Some(0));
    assert_same(&pair).await;
    raw.abort();
}

/// A session of the server's own client, which sends bytes as they are.
fn raw_session(server: &MysqlServer) -> tokio::task::JoinHandle<()> {
    let mut sql = RAW.as_bytes().to_vec();
    sql.extend([0xff, 0xfe, b'a']);
    sql.extend(b"');");
    let mut command = tokio::process::Command::new(server.program("mysql"));
    command
        .args(["--no-defaults", "--user=root", "--host=127.0.0.1", "--default-character-set=utf8mb4"])
        .arg(format!("--port={}", server.port()))
        .arg("--database=elsewhere")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    tokio::spawn(async move {
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, &sql).await.unwrap();
        drop(stdin);
        let _ = child.wait().await;
    })
}
