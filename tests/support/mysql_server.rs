//! Real MariaDB and MySQL servers that the tests start themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sqlx::{AssertSqlSafe, MySqlConnection};

use super::clock;
use super::mysql::{self, MysqlDatabase};
use super::site::{Site, Snapshot};
use super::sweep::{self, Leftover};
use super::workspace::{Workspace, free_port, next_number};

/// Settings of every server; those given to [`MysqlServer::start_own`] win.
///
/// The redo log is synced at each commit, as by default: with `innodb_flush_method = nosync` MariaDB calls
/// commits flushed a second later only, and highwater waits for that. The binary log isn't synced: that
/// protects from a dying process, and not from a dying machine.
const CONFIGURATION: &str = "
bind-address = 127.0.0.1
skip-name-resolve
character-set-server = utf8mb4
max_connections = 800
max_connect_errors = 1000000
max_allowed_packet = 128M
log_bin = binlog
server_id = 1
log_bin_trust_function_creators = 1
sync_binlog = 0
secure-file-priv =
innodb_buffer_pool_size = 64M
innodb_use_native_aio = 0
";

const MARIADB_ONLY: &str = "
innodb_log_file_size = 64M
max_recursive_iterations = 1000000
";

const MYSQL_ONLY: &str = "
innodb_redo_log_capacity = 64M
cte_max_recursion_depth = 1000000
mysqlx = OFF
";

/// Run at the first start: the only user that a new server has may not come by TCP.
const USERS: &str = "
CREATE USER root@'%' IDENTIFIED BY '';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
";

/// The two servers that speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Mariadb,
    Mysql,
}

/// A server of the tests. It goes with its value, or with the test process.
pub struct MysqlServer {
    kind: Kind,
    site: Site,
    port: u16,
}

impl MysqlServer {
    /// The server of its kind that most tests share, started at its first use. Never stop it.
    pub fn shared(kind: Kind) -> &'static MysqlServer {
        clock::start();
        static MARIADB: OnceLock<MysqlServer> = OnceLock::new();
        static MYSQL: OnceLock<MysqlServer> = OnceLock::new();
        let shared = match kind {
            Kind::Mariadb => &MARIADB,
            Kind::Mysql => &MYSQL,
        };
        shared.get_or_init(|| MysqlServer::start_own(kind, &[]))
    }

    /// A server for one test, with an identity of its own and `configuration` on top: for tests that
    /// crash it, stop it, or go back to older files.
    ///
    /// To have it lose commits in a crash: `innodb_flush_log_at_timeout = 2700` and `skip-log-bin`, and
    /// then `SET GLOBAL innodb_flush_log_at_trx_commit = 0` when what is to stay has been committed.
    pub fn start_own(kind: Kind, configuration: &[(&str, &str)]) -> MysqlServer {
        let workspace = Workspace::get();
        let folder = match kind {
            // In /dev/shm MariaDB maps its redo log into memory, and a crash loses no commit.
            Kind::Mariadb => workspace.folder_on_disk("mariadb-"),
            Kind::Mysql => workspace.folder("mysql-"),
        };
        let server = MysqlServer { kind, site: Site::new(folder, &["mysql"]), port: free_port() };
        fs::write(server.configuration_file(), server.configuration()).expect("a configuration file");
        server.configure(configuration);
        server.initialise();
        let users = server.site.folder().join("users.sql");
        fs::write(&users, USERS).expect("a file of statements");
        server.launch(|command| command.arg(format!("--init-file={}", users.display())));
        server
    }

    /// Starts the server and waits until it accepts connections, crash recovery included.
    pub fn start(&self) {
        self.launch(|command| command);
    }

    /// Stops the server in good order: sessions are ended, everything is on disk.
    pub fn stop(&self) {
        self.site.stop("TERM");
    }

    /// Kills the server by `SIGKILL`: what it had not handed to the system is lost.
    pub fn crash(&self) {
        self.site.crash();
    }

    /// A copy of the files of a stopped or crashed server.
    pub fn snapshot(&self) -> Snapshot {
        self.site.snapshot()
    }

    /// Puts the files of `snapshot` (of this server or of another of its kind) in the place of those
    /// of this stopped server; the port and folder stay.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.site.restore(snapshot);
    }

    /// Adds settings, which count after the next start.
    pub fn configure(&self, configuration: &[(&str, &str)]) {
        let file = self.configuration_file();
        let mut text = fs::read_to_string(&file).expect("a configuration file");
        text.extend(configuration.iter().map(|(name, value)| format!("{name} = {value}\n")));
        fs::write(file, text).expect("a configuration file");
    }

    /// A new, empty database.
    pub async fn database(&self) -> MysqlDatabase {
        self.database_named("test").await
    }

    /// A new, empty database whose name begins with `label`.
    pub async fn database_named(&self, label: &str) -> MysqlDatabase {
        let name = format!("{label}_{}", next_number());
        self.execute(&format!("CREATE DATABASE {name}")).await;
        sweep::after_the_test(Leftover::Mysql { server: self.url(), name: name.clone() });
        MysqlDatabase::new(self.kind, self.port, &name)
    }

    /// A new user without any privilege; answers its name. `password` may be empty.
    pub async fn user(&self, password: &str) -> String {
        let name = format!("user_{}", next_number());
        self.execute(&format!("CREATE USER {name}@'%' IDENTIFIED BY '{password}'")).await;
        name
    }

    /// Runs one or more statements as root; panics with what failed.
    pub async fn execute(&self, sql: &str) {
        let mut connection: MySqlConnection = mysql::connect(&self.url()).await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The URL of root, without a database.
    pub fn url(&self) -> String {
        mysql::url(self.port, "root", "")
    }

    /// Which of the two it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The port on 127.0.0.1, which stays the same across restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the unix socket is.
    pub fn socket(&self) -> PathBuf {
        self.site.folder().join("socket")
    }

    /// The path of one of the server's own programs ("mysqldump", "mariadb-dump").
    pub fn program(&self, name: &str) -> PathBuf {
        program(self.kind, name)
    }

    /// The process number of the server.
    pub fn pid(&self) -> u32 {
        self.site.pid()
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        self.site.log()
    }

    fn launch(&self, arguments: impl FnOnce(&mut Command) -> &mut Command) {
        let mut command = self.command(self.server());
        arguments(&mut command);
        self.site.launch(command, "KILL", |_, log| log.contains("ready for connections"));
    }

    fn initialise(&self) {
        let mut command = match self.kind {
            Kind::Mariadb => {
                let mut command = self.command("mariadb-install-db");
                command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
                command
            }
            Kind::Mysql => {
                let mut command = self.command(self.server());
                command.arg("--initialize-insecure");
                command
            }
        };
        let output = command.output().expect("the data folder is made");
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&told));
    }

    fn server(&self) -> &'static str {
        match self.kind {
            Kind::Mariadb => "mariadbd",
            Kind::Mysql => "mysqld",
        }
    }

    /// A program that is told by the configuration whom to run as: it starts as we are, so that its
    /// files may lie where only we can read.
    fn command(&self, name: &str) -> Command {
        let mut command = self.site.command(self.program(name));
        command.arg(format!("--defaults-file={}", self.configuration_file().display()));
        command
    }

    fn configuration(&self) -> String {
        let only = match self.kind {
            Kind::Mariadb => MARIADB_ONLY,
            Kind::Mysql => MYSQL_ONLY,
        };
        let user = self.site.account().map(|account| format!("user = {}\n", account.name));
        // Not /tmp: a server that starts there removes the temporary tables of all others.
        format!(
            "[mysqld]{CONFIGURATION}{only}{}datadir = {}\ntmpdir = {}\nsocket = {}\npid-file = {}\nport = {}\n",
            user.unwrap_or_default(),
            self.site.data().display(),
            self.site.folder().display(),
            self.socket().display(),
            self.site.folder().join("pid").display(),
            self.port
        )
    }

    fn configuration_file(&self) -> PathBuf {
        self.site.folder().join("my.cnf")
    }
}

/// Where a program is: in the folder that the environment names, else where Debian installs MariaDB
/// and where `tests/run` puts MySQL.
fn program(kind: Kind, name: &str) -> PathBuf {
    let (variable, usual, help) = match kind {
        Kind::Mariadb => (
            "HIGHWATER_TEST_MARIADB_BIN",
            vec![PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")],
            "apt-get install mariadb-server",
        ),
        Kind::Mysql => (
            "HIGHWATER_TEST_MYSQL_BIN",
            vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mysql/bin")],
            "tests/run gets it",
        ),
    };
    let folders = std::env::var_os(variable).map_or(usual, |folder| vec![PathBuf::from(folder)]);
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {name} in {folders:?}: {help}, or set {variable}"))
}
