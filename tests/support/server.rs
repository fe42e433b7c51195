//! A real PostgreSQL server that the tests start themselves.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;

use super::database::Database;
use super::workspace::{self, Watched, Workspace, free_port, next_number};

/// Settings of every server; those given to [`Server::start_own`] win.
const CONFIGURATION: &str = "
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
wal_level = logical
max_connections = 300
max_prepared_transactions = 20
max_replication_slots = 50
max_wal_senders = 50
log_min_messages = warning
timezone = 'UTC'
";

/// Everyone may enter from here, but members of `needs_password` must give one.
const ACCESS: &str = "
local all all trust
host all +needs_password 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
local replication all trust
host replication all 127.0.0.1/32 trust
";

/// How long a server may take to start, recovery included, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PostgreSQL server of the tests. It goes with its value, or with the test process.
pub struct Server {
    account: Option<(u32, u32)>,
    binaries: PathBuf,
    folder: TempDir,
    port: u16,
    postmaster: Mutex<Option<Postmaster>>,
}

struct Postmaster {
    child: Child,
    _watched: Watched,
}

/// The files of a stopped server, to go back to.
pub struct Snapshot {
    folder: TempDir,
}

impl Server {
    /// The server that most tests share, started at its first use. It runs without fsync; roles
    /// belong to all its databases, so take them from [`Server::role`]. Never stop it.
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Server::start_own(&[]))
    }

    /// A server for one test, with an identity of its own and `configuration` on top: for tests that
    /// crash it, stop it, or go back to older files. A crash test wants `fsync` on.
    pub fn start_own(configuration: &[(&str, &str)]) -> Server {
        let account = account();
        let folder = Workspace::get().folder("postgres-");
        if let Some((user, group)) = account {
            chown(folder.path(), Some(user), Some(group)).expect("the server's folder for its user");
        }
        let server =
            Server { account, binaries: binaries(), folder, port: free_port(), postmaster: Mutex::new(None) };
        server.initialise(configuration);
        server.start();
        server
    }

    /// Starts the server and waits until it accepts connections, crash recovery included.
    pub fn start(&self) {
        let mut running = self.running();
        assert!(running.is_none(), "the server runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_file()).expect("server log");
        let mut child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres starts");
        let watched = Workspace::get().watch(child.id(), "QUIT");
        self.wait_until_ready(&mut child);
        *running = Some(Postmaster { child, _watched: watched });
    }

    /// Stops the server in good order: sessions are ended, everything is on disk.
    pub fn stop(&self) {
        let mut postmaster = self.running().take().expect("the server runs");
        workspace::signal("INT", &[postmaster.child.id()]);
        postmaster.child.wait().expect("postgres ends");
    }

    /// Kills every process of the server at once by `SIGKILL`: what it had not handed to the
    /// system is lost, commits of `synchronous_commit = off` among it.
    pub fn crash(&self) {
        let postmaster = self.running().take().expect("the server runs");
        kill_whole(postmaster);
    }

    /// A copy of the files of a stopped or crashed server.
    pub fn snapshot(&self) -> Snapshot {
        assert!(self.running().is_none(), "stop the server before its files are copied");
        let folder = Workspace::get().folder("snapshot-");
        copy_folder(&self.data(), &folder.path().join("data"));
        Snapshot { folder }
    }

    /// Puts the files of `snapshot` (of this server or of another) in the place of those of this
    /// stopped server; the port and folder stay.
    pub fn restore(&self, snapshot: &Snapshot) {
        assert!(self.running().is_none(), "stop the server before its files are replaced");
        fs::remove_dir_all(self.data()).expect("old files removed");
        copy_folder(&snapshot.folder.path().join("data"), &self.data());
        self.append("postgresql.conf", &self.address());
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
    }

    /// Adds settings, which count after the next start.
    pub fn configure(&self, configuration: &[(&str, &str)]) {
        self.append("postgresql.conf", &lines(configuration));
    }

    /// A new, empty database.
    pub async fn database(&self) -> Database {
        self.database_named("test").await
    }

    /// A new, empty database whose name begins with `label`.
    pub async fn database_named(&self, label: &str) -> Database {
        let name = format!("{label}_{}", next_number());
        self.execute(&format!("CREATE DATABASE {name}")).await;
        Database::new(self.port, &name)
    }

    /// A new role that may log in, with `attributes` ("SUPERUSER"); answers its name.
    pub async fn role(&self, attributes: &str) -> String {
        let name = format!("role_{}", next_number());
        self.execute(&format!("CREATE ROLE {name} LOGIN {attributes}")).await;
        name
    }

    /// A new role that must give `password` to log in; answers its name.
    pub async fn role_with_password(&self, password: &str) -> String {
        let name = self.role(&format!("PASSWORD '{password}'")).await;
        self.execute(&format!("GRANT needs_password TO {name}")).await;
        name
    }

    /// The port on 127.0.0.1, which stays the same across restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the unix socket is.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of one of PostgreSQL's own programs ("pg_dump").
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// The process number of the postmaster.
    pub fn pid(&self) -> u32 {
        self.running().as_ref().expect("the server runs").child.id()
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    async fn execute(&self, sql: &str) {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        let mut connection = PgConnection::connect(&url).await.expect("the server accepts connections");
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn initialise(&self, configuration: &[(&str, &str)]) {
        let output = self
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(self.data())
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        self.append("postgresql.conf", &(CONFIGURATION.to_owned() + &self.address() + &lines(configuration)));
        fs::write(self.data().join("pg_hba.conf"), ACCESS).expect("pg_hba.conf");
        self.single_user("CREATE ROLE needs_password NOLOGIN");
    }

    /// Runs one statement before the server is up.
    fn single_user(&self, sql: &str) {
        let input = self.folder.path().join("single-user.sql");
        fs::write(&input, sql).expect("a statement");
        let status = self
            .command("postgres")
            .args(["--single", "-D"])
            .arg(self.data())
            .arg("postgres")
            .stdin(fs::File::open(input).expect("the statement"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("postgres runs").success(), "{sql}");
    }

    fn address(&self) -> String {
        let socket = self.folder.path().display().to_string();
        lines(&[("port", &self.port.to_string()), ("unix_socket_directories", &socket)])
    }

    fn append(&self, file: &str, text: &str) {
        let path = self.data().join(file);
        let before = fs::read_to_string(&path).expect("a configuration file");
        fs::write(&path, before + text).expect("a configuration file");
    }

    fn wait_until_ready(&self, child: &mut Child) {
        let end = Instant::now() + PATIENCE;
        let own = child.id().to_string();
        loop {
            let lines = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let lines: Vec<_> = lines.lines().map(str::trim).collect();
            if lines.first() == Some(&own.as_str()) && lines.get(7) == Some(&"ready") {
                return;
            }
            if let Some(status) = child.try_wait().expect("postgres can be waited for") {
                panic!("postgres did not start ({status}):\n{}", self.log());
            }
            assert!(Instant::now() < end, "postgres is not ready after {PATIENCE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A PostgreSQL program, run as the server's user: PostgreSQL refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn running(&self) -> MutexGuard<'_, Option<Postmaster>> {
        self.postmaster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(postmaster) = self.running().take() {
            kill_whole(postmaster);
        }
    }
}

fn kill_whole(mut postmaster: Postmaster) {
    let pid = postmaster.child.id();
    // Halted first, so that it can't start a successor for a child that dies before it.
    workspace::signal("STOP", &[pid]);
    let mut all = workspace::children(pid);
    all.push(pid);
    workspace::signal("KILL", &all);
    let _ = postmaster.child.wait();
    while all.iter().any(|&pid| workspace::is_running(pid)) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lines(configuration: &[(&str, &str)]) -> String {
    configuration.iter().map(|(name, value)| format!("{name} = '{value}'\n")).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp").success(), "copying {}", from.display());
}

/// Where PostgreSQL's programs are: `HIGHWATER_TEST_PG_BIN`, else the newest that Debian installed.
fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("HIGHWATER_TEST_PG_BIN") {
        return PathBuf::from(folder);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter(|version| version.path().join("bin/postgres").exists())
        .filter_map(|version| version.file_name().to_str()?.parse::<u32>().ok())
        .max();
    let newest = newest.expect("a PostgreSQL server (apt-get install postgresql), or HIGHWATER_TEST_PG_BIN");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// The user and group to run the server as, when we are root: `postgres`, else `nobody`.
fn account() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map_while(|field| field.parse().ok());
        Some((numbers.next()?, numbers.next()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("a user postgres or nobody"))
}
