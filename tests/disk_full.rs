//! A full disk on the target: said, waited for, and gone on from.
//!
//! The program runs in a mount namespace of its own, whose target folder is a small file system in
//! memory that is made larger later. Needs `unshare` (util-linux), as root or with user namespaces.

use std::process::Stdio;

use tokio::process::Command;

use crate::support::compare::assert_same;
use crate::support::{Db, Pair, SqliteFile, Workspace, within};

/// Mounts, starts the daemon, waits until it complains, makes room, ends with a final sync, and takes
/// the target out of the namespace.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs -o size=1m tmpfs "$FOLDER/small"
cp "$TARGET" "$FOLDER/small/target.db"
"$HIGHWATER" --config "$FOLDER/highwater.toml" run 2>"$FOLDER/log" &
daemon=$!
for _ in $(seq 300); do
    grep -qi 'full' "$FOLDER/log" && break
    sleep 0.1
done
grep -qi 'full' "$FOLDER/log" || { cat "$FOLDER/log"; exit 10; }
kill -0 $daemon || { cat "$FOLDER/log"; exit 11; }
mount -o remount,size=64m "$FOLDER/small"
"$HIGHWATER" --config "$FOLDER/highwater.toml" final-sync >"$FOLDER/out" 2>&1 || { cat "$FOLDER/log" "$FOLDER/out"; exit 12; }
kill $daemon
wait $daemon
cp "$FOLDER/small/target.db" "$TARGET"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for() {
    let pair = Pair {
        source: Db::Sqlite(SqliteFile::new("source").await),
        target: Db::Sqlite(SqliteFile::new("target").await),
    };
    pair.execute_on_both("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    pair.source
        .execute(
            "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 4000)
             INSERT INTO t SELECT n, hex(randomblob(500)) FROM s",
        )
        .await;
    // It takes the file alone: no other connection of the pool may have it open.
    pair.target.sqlite().pool().close().await;
    let pair = Pair { target: Db::Sqlite(pair.target.sqlite().opened_again()), ..pair };
    pair.target.execute("PRAGMA journal_mode = DELETE").await;
    let folder = Workspace::get().folder("disk-");
    std::fs::create_dir(folder.path().join("small")).unwrap();
    let settings = format!(
        "database.main.source = {:?}\ndatabase.main.target = {:?}\nhttp.listen = \"\"\ncopy.chunk_rows = 200\n",
        pair.source.url(),
        format!("sqlite://{}", folder.path().join("small/target.db").display())
    );
    std::fs::write(folder.path().join("highwater.toml"), settings).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT])
        .env("FOLDER", folder.path())
        .env("TARGET", pair.target.sqlite().path())
        .env("HIGHWATER", env!("CARGO_BIN_EXE_highwater"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = within(std::time::Duration::from_secs(90), "the script", command.output()).await.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}\n{said}", output.status);
    assert_same(&pair).await;
}
