//! Tests of the support itself.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::engine::{Engine, Pair};
use super::mysql_server::{Kind, MysqlServer};
use super::server::Server;
use super::workspace::{self, Workspace};
use super::{compare, eventually};

contract!(
    databases_are_fresh,
    databases_go_when_their_test_is_over,
    comparison_finds_every_kind_of_difference,
    transactions_can_be_held_open,
);

async fn databases_are_fresh(engine: Engine) {
    let tables = engine.pick(
        "SELECT relname FROM pg_class WHERE relname = 't'",
        "SELECT name FROM sqlite_schema",
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
    );
    let used = engine.pair().await;
    used.execute_on_both("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await;
    let fresh = engine.pair().await;
    assert!(fresh.source.rows_as_text(tables).await.is_empty());
    assert!(fresh.target.rows_as_text(tables).await.is_empty());
    assert_eq!(used.source.value("SELECT a FROM t").await, "1");
}

async fn databases_go_when_their_test_is_over(engine: Engine) {
    // A thread of its own, as a test has.
    let made = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(engine.pair()).source.url()
    });
    let url = made.join().expect("a pair was made");
    let name = url.rsplit('/').next().expect("a name");
    let here = engine.pair().await.source;
    let count = match engine {
        Engine::Postgres => format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"),
        Engine::Mariadb | Engine::Mysql => {
            format!("SELECT count(*) FROM information_schema.schemata WHERE schema_name = '{name}'")
        }
        Engine::Sqlite => {
            let file = url.strip_prefix("sqlite://").expect("a path");
            return assert!(!Path::new(file).exists(), "{file}");
        }
    };
    eventually(Duration::from_secs(30), || async { here.value(&count).await == "0" }).await;
}

async fn transactions_can_be_held_open(engine: Engine) {
    let pair = engine.pair().await;
    pair.source.execute("CREATE TABLE t (a int)").await;
    let mut writer = pair.source.connect().await;
    writer.execute("BEGIN; INSERT INTO t VALUES (1)").await;
    assert_eq!(pair.source.value("SELECT count(*) FROM t").await, "0");
    writer.execute("COMMIT").await;
    assert_eq!(pair.source.value("SELECT count(*) FROM t").await, "1");
}

async fn comparison_finds_every_kind_of_difference(engine: Engine) {
    let pair = engine.pair().await;
    pair.execute_on_both(
        "CREATE TABLE keyed (id int PRIMARY KEY, v text); CREATE TABLE keyless (v text);
         INSERT INTO keyed VALUES (1, 'one'), (2, NULL); INSERT INTO keyless VALUES ('x'), ('x'), (NULL)",
    )
    .await;
    compare::assert_same(&pair).await;

    let statements = [
        ("UPDATE keyed SET v = '' WHERE id = 2", "v is NULL on the source"),
        ("DELETE FROM keyed WHERE id = 1", "missing on the target"),
        ("INSERT INTO keyed VALUES (3, 'three')", "only on the target"),
        ("INSERT INTO keyless VALUES ('x')", "2 times on the source, 3 on the target"),
        ("DROP TABLE keyed", "no such table"),
    ];
    for (statement, told) in statements {
        pair.target.execute(statement).await;
        let differences = compare::differences(&pair.source, &pair.target, &[]).await.join("\n");
        assert!(differences.contains(told), "{statement}: {differences}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comparison_tells_sqlite_storage_classes_apart() {
    let pair = Pair::sqlite().await;
    pair.execute_on_both("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").await;
    for (here, there) in [("1", "'1'"), ("1", "1.0"), ("0.1", "0.10000000000000002"), ("'a'", "x'61'")] {
        pair.source.execute(&format!("REPLACE INTO t VALUES (1, {here})")).await;
        pair.target.execute(&format!("REPLACE INTO t VALUES (1, {there})")).await;
        assert_eq!(compare::differences(&pair.source, &pair.target, &[]).await.len(), 1, "{here} {there}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_server_restarts_with_what_was_flushed() {
    let server = Server::start_own(&[("fsync", "on"), ("wal_writer_delay", "10s")]);
    let database = server.database().await;
    database.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await;
    database.execute("SET synchronous_commit = off; INSERT INTO t VALUES (2)").await;
    server.crash();
    server.start();
    let rows = eventually(Duration::from_secs(10), || async {
        let mut connection = PgConnection::connect(&database.url()).await?;
        Ok::<_, sqlx::Error>(super::database::rows_as_text(&mut connection, "SELECT a FROM t").await)
    })
    .await;
    assert_eq!(rows, [[Some("1".to_owned())]], "the commit that was not flushed is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_goes_back_to_older_files() {
    let server = Server::start_own(&[]);
    let database = server.database().await;
    database.execute("CREATE TABLE t (a int)").await;
    server.stop();
    let snapshot = server.snapshot();
    server.start();
    let mut connection = database.connect().await;
    super::database::execute(&mut connection, "INSERT INTO t VALUES (1)").await;
    server.stop();
    server.restore(&snapshot);
    server.start();
    let mut connection = database.connect().await;
    assert!(super::database::rows_as_text(&mut connection, "SELECT a FROM t").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_a_password_must_give_it() {
    let server = Server::shared();
    let database = server.database().await;
    let role = server.role_with_password("secret").await;
    database.connect_as(&format!("{role}:secret")).await;
    let refused = sqlx::PgPool::connect(&database.url_as(&format!("{role}:wrong"))).await;
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_test_is_timed() {
    let times = Workspace::get().folder("times-");
    let file = times.path().join("times");
    let test = "support::selftest::comparison_tells_sqlite_storage_classes_apart";
    let done = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test])
        .env("HIGHWATER_TEST_TIMES", &file)
        .output()
        .await
        .expect("this program runs");
    assert!(done.status.success(), "{done:?}");
    let lines = std::fs::read_to_string(file).expect("the times");
    let (seconds, name) = lines.trim_end().split_once(' ').expect("a line of seconds and name");
    assert_eq!(name, test);
    assert!(seconds.parse::<f64>().is_ok(), "{seconds}");
}

/// Not a test: the process that the test below starts and kills.
#[test]
#[ignore = "runs until it is killed, for the test below"]
fn owner_of_servers() {
    let postgres = Server::start_own(&[]);
    let mariadb = MysqlServer::start_own(Kind::Mariadb, &[]);
    let mysql = MysqlServer::start_own(Kind::Mysql, &[]);
    let pids = format!("{} {} {}", postgres.pid(), mariadb.pid(), mysql.pid());
    let workspace = Workspace::get();
    let (root, disk) = (workspace.root().display(), workspace.disk().display());
    let line = format!("\nowner {root} {disk} {pids}\n");
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("stdout");
    std::thread::sleep(Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_tests_that_were_killed() {
    let program = std::env::current_exe().expect("this program");
    let mut owner = tokio::process::Command::new(program)
        .args(["--ignored", "--exact", "support::selftest::owner_of_servers", "--nocapture"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this program runs");
    let mut lines = BufReader::new(owner.stdout.take().expect("its stdout")).lines();
    let line = loop {
        let line = lines.next_line().await.expect("text").expect("a line of the owner");
        if line.starts_with("owner ") {
            break line;
        }
    };
    let mut words = line.split(' ').skip(1);
    let folders = [words.next().expect("a folder"), words.next().expect("a folder")].map(Path::new);
    let servers: Vec<u32> = words.map(|word| word.parse().expect("a process number")).collect();
    assert_eq!(servers.len(), 3);
    assert!(servers.iter().all(|&server| workspace::is_running(server)));
    assert!(folders.iter().all(|folder| folder.exists()));

    owner.kill().await.expect("it can be killed");
    eventually(Duration::from_secs(15), || async {
        !servers.iter().any(|&server| workspace::is_running(server))
            && !folders.iter().any(|folder| folder.exists())
    })
    .await;
}
