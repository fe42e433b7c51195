//! A real PostgreSQL server that the tests start themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::clock;
use super::database::Database;
use super::site::{Site, Snapshot};
use super::sweep::{self, Leftover};
use super::workspace::{Workspace, free_port, next_number};

/// Settings of every server; those given to [`Server::start_own`] win.
const CONFIGURATION: &str = "
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
wal_level = logical
max_connections = 600
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

/// A PostgreSQL server of the tests. It goes with its value, or with the test process.
pub struct Server {
    site: Site,
    binaries: PathBuf,
    port: u16,
}

impl Server {
    /// The server that most tests share, started at its first use. It runs without fsync; roles
    /// belong to all its databases, so take them from [`Server::role`]. Never stop it.
    pub fn shared() -> &'static Server {
        clock::start();
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Server::start_own(&[]))
    }

    /// A server for one test, with an identity of its own and `configuration` on top: for tests that
    /// crash it, stop it, or go back to older files. A crash test wants `fsync` on.
    pub fn start_own(configuration: &[(&str, &str)]) -> Server {
        let site = Site::new(Workspace::get().folder("postgres-"), &["postgres"]);
        let server = Server { site, binaries: binaries(), port: free_port() };
        server.initialise(configuration);
        server.start();
        server
    }

    /// Starts the server and waits until it accepts connections, crash recovery included.
    pub fn start(&self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.site.data());
        self.site.launch(command, "QUIT", |pid, _| self.is_ready(pid));
    }

    /// Stops the server in good order: sessions are ended, everything is on disk.
    pub fn stop(&self) {
        self.site.stop("INT");
    }

    /// Kills every process of the server at once by `SIGKILL`: what it had not handed to the
    /// system is lost, commits of `synchronous_commit = off` among it.
    pub fn crash(&self) {
        self.site.crash();
    }

    /// A copy of the files of a stopped or crashed server.
    pub fn snapshot(&self) -> Snapshot {
        self.site.snapshot()
    }

    /// Puts the files of `snapshot` (of this server or of another) in the place of those of this
    /// stopped server; the port and folder stay.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.site.restore(snapshot);
        self.append("postgresql.conf", &self.address());
        let _ = fs::remove_file(self.site.data().join("postmaster.pid"));
    }

    /// Adds settings, which count after the next start.
    pub fn configure(&self, configuration: &[(&str, &str)]) {
        self.append("postgresql.conf", &lines(configuration));
    }

    /// A new, empty database.
    pub async fn database(&self) -> Database {
        self.database_named("test").await
    }

    /// A new, empty database with options of CREATE DATABASE.
    pub async fn database_with(&self, options: &str) -> Database {
        self.database_made("test", options).await
    }

    /// A new, empty database whose name begins with `label`.
    pub async fn database_named(&self, label: &str) -> Database {
        self.database_made(label, "").await
    }

    async fn database_made(&self, label: &str, options: &str) -> Database {
        let name = format!("{label}_{}", next_number());
        self.execute(&format!("CREATE DATABASE {name} {options}")).await;
        sweep::after_the_test(Leftover::Postgres { server: self.url(), name: name.clone() });
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
        self.site.folder()
    }

    /// The path of one of PostgreSQL's own programs ("pg_dump").
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// The process number of the postmaster.
    pub fn pid(&self) -> u32 {
        self.site.pid()
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        self.site.log()
    }

    /// The URL of the superuser, in the database that every server has.
    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    async fn execute(&self, sql: &str) {
        let mut connection =
            PgConnection::connect(&self.url()).await.expect("the server accepts connections");
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn initialise(&self, configuration: &[(&str, &str)]) {
        let output = self
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(self.site.data())
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        self.append("postgresql.conf", &(CONFIGURATION.to_owned() + &self.address() + &lines(configuration)));
        fs::write(self.site.data().join("pg_hba.conf"), ACCESS).expect("pg_hba.conf");
        self.single_user("CREATE ROLE needs_password NOLOGIN");
    }

    /// Runs one statement before the server is up.
    fn single_user(&self, sql: &str) {
        let input = self.site.folder().join("single-user.sql");
        fs::write(&input, sql).expect("a statement");
        let status = self
            .command("postgres")
            .args(["--single", "-D"])
            .arg(self.site.data())
            .arg("postgres")
            .stdin(fs::File::open(input).expect("the statement"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("postgres runs").success(), "{sql}");
    }

    fn address(&self) -> String {
        let socket = self.site.folder().display().to_string();
        lines(&[("port", &self.port.to_string()), ("unix_socket_directories", &socket)])
    }

    fn append(&self, file: &str, text: &str) {
        let path = self.site.data().join(file);
        let before = fs::read_to_string(&path).expect("a configuration file");
        fs::write(&path, before + text).expect("a configuration file");
    }

    fn is_ready(&self, pid: u32) -> bool {
        let lines = fs::read_to_string(self.site.data().join("postmaster.pid")).unwrap_or_default();
        let lines: Vec<_> = lines.lines().map(str::trim).collect();
        lines.first() == Some(&pid.to_string().as_str()) && lines.get(7) == Some(&"ready")
    }

    /// A PostgreSQL program, run as the server's user: PostgreSQL refuses to run as root.
    fn command(&self, program: &str) -> Command {
        self.site.command_as_user(self.program(program))
    }
}

fn lines(configuration: &[(&str, &str)]) -> String {
    configuration.iter().map(|(name, value)| format!("{name} = '{value}'\n")).collect()
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
