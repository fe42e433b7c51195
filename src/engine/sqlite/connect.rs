//! Connections: how a file is opened, and how it is noticed that it is another file by now.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, Row, SqlSafeStr, Sqlite, SqliteConnection,
    SqlitePool,
};
use tokio::sync::OwnedMutexGuard;

use super::catalog::Catalog;
use super::fault::{self, Doing};
use super::pin::Pin;
use super::value;
use crate::engine::Options;
use crate::error::{Error, Kind, Result};
use crate::model::quote;
use crate::settings::Endpoint;

/// How long a read waits for a writer's commit (without WAL a commit locks readers out).
const READ_PATIENCE: Duration = Duration::from_secs(20);

/// How long a write waits for other writers.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// How long a task waits for one of our own connections to come free.
const POOL_PATIENCE: Duration = Duration::from_secs(600);

/// Which side of the migration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Where rows come from: its writers must not be kept waiting.
    Source,
    /// Where they go to.
    Target,
}

/// A file, whatever its name: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that lies at `path` now.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        Self::of_metadata(&std::fs::metadata(path)?)
    }

    /// The file that `metadata` is about.
    #[cfg(unix)]
    pub(super) fn of_metadata(metadata: &std::fs::Metadata) -> std::io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        Ok(FileId { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Without inodes a file is told by its path alone.
    #[cfg(not(unix))]
    pub(super) fn of_metadata(_metadata: &std::fs::Metadata) -> std::io::Result<Self> {
        Ok(FileId { device: 0, inode: 0 })
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}

/// An open database file.
pub(super) struct Db {
    /// The side and the URL, as errors name it.
    pub(super) place: Arc<str>,
    /// Where the file is, without symbolic links.
    pub(super) path: PathBuf,
    /// The file that was opened.
    pub(super) file: FileId,
    /// Connections that only read.
    pub(super) readers: SqlitePool,
    /// The one connection that writes.
    pub(super) writer: SqlitePool,
    how: SqliteConnectOptions,
    catalog: Mutex<Option<Arc<Catalog>>>,
    /// The snapshot that all reads see, where one is held.
    pin: Option<Pin>,
}

impl Db {
    /// Opens the file of `endpoint`; it is never created, and its journal mode stays as it is.
    pub(super) async fn open(
        endpoint: &Endpoint,
        options: &Options,
        side: Side,
        lock_patience: Duration,
    ) -> Result<Self> {
        let name = if side == Side::Source { "source" } else { "target" };
        let place: Arc<str> = format!("{name} {endpoint}").into();
        let url = endpoint.url().await?;
        let how =
            SqliteConnectOptions::from_str(url.expose_secret()).doing(&place, "the URL can't be used")?;
        let path = find(how.get_filename(), &place)?;
        let file =
            FileId::of(&path).map_err(|e| Error::refused(format!("{place}: it can't be read")).because(e))?;
        let how = with_pragmas(how)
            .filename(&path)
            .create_if_missing(false)
            .statement_cache_capacity(200)
            .row_buffer_size(32)
            .busy_timeout(READ_PATIENCE)
            .disable_statement_logging();
        let pool = |size: u32| {
            SqlitePoolOptions::new()
                .max_connections(size)
                .acquire_timeout(POOL_PATIENCE)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        // EXTRA: what is committed is not lost when the machine loses power, by any journal mode. (With FULL the
        // journal of the last commit may come back in mode DELETE, and undo it.)
        let writing = how.clone().busy_timeout(lock_patience).synchronous(SqliteSynchronous::Extra);
        let writing = writing.pragma("cache_size", "-65536");
        let db = Db {
            readers: pool(options.connections.max(2))
                .connect_lazy_with(how.clone().pragma("query_only", "ON")),
            writer: pool(1).connect_lazy_with(writing),
            place,
            path,
            file,
            how,
            catalog: Mutex::default(),
            pin: None,
        };
        db.check_format().await?;
        Ok(db)
    }

    /// The same file, of which every read sees the snapshot that is taken now.
    pub(super) async fn pinned(&self) -> Result<Self> {
        self.check_file()?;
        let pin = Pin::take(self.watcher().await?, &self.place).await?;
        Ok(Db {
            place: self.place.clone(),
            path: self.path.clone(),
            file: self.file,
            readers: self.readers.clone(),
            writer: self.writer.clone(),
            how: self.how.clone(),
            catalog: Mutex::default(),
            pin: Some(pin),
        })
    }

    /// Whether every read sees one snapshot.
    pub(super) fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    /// A connection of its own that only reads, outside the pools.
    pub(super) async fn watcher(&self) -> Result<SqliteConnection> {
        let how = self.how.clone().pragma("query_only", "ON");
        how.connect().await.doing(&self.place, "it can't be opened")
    }

    /// A connection of its own that writes, outside the pools.
    pub(super) async fn apart(&self) -> Result<SqliteConnection> {
        self.check_file()?;
        let how = self.how.clone().busy_timeout(WRITE_PATIENCE);
        how.connect().await.doing(&self.place, "it can't be opened")
    }

    /// Fails when the path leads to another file than the one that is open: the old one may have been
    /// renamed away, and would be read for ever.
    pub(super) fn check_file(&self) -> Result<()> {
        match FileId::of(&self.path) {
            Ok(file) if file == self.file => Ok(()),
            Ok(_) => Err(Error::new(
                Kind::Unavailable,
                format!("{}: the file was replaced by another; it is opened again", self.place),
            )),
            Err(e) => Err(Error::new(Kind::Unavailable, format!("{}: the file is gone", self.place))
                .because(e)
                .remedy("put it back, or correct the path")),
        }
    }

    /// Begins a transaction that reads, on one snapshot from its first statement on.
    pub(super) async fn reading(&self, what: &str) -> Result<Session> {
        match &self.pin {
            Some(pin) => Ok(Session::in_snapshot(pin.turn(&self.place).await?, &self.place)),
            None => Session::begin(&self.readers, "BEGIN", &self.place).await.doing(&self.place, what),
        }
    }

    /// Begins a transaction that writes, waiting for other writers. That keeps nobody waiting: only the
    /// commit may, and its patience is the connection's.
    pub(super) async fn writing(&self, what: &str) -> Result<Session> {
        self.writing_until(what, Instant::now() + WRITE_PATIENCE).await
    }

    /// As [`Db::writing`], waiting for other writers until `deadline`.
    pub(super) async fn writing_until(&self, what: &str, deadline: Instant) -> Result<Session> {
        self.check_file()?;
        loop {
            match Session::begin(&self.writer, "BEGIN IMMEDIATE", &self.place).await {
                Err(error) if fault::is_busy(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                begun => {
                    let mut session = begun.doing(&self.place, what)?;
                    // SQLite compiles definitions, and what triggers write to, by the schema that the
                    // connection saw last. Only running a statement makes it look again.
                    session
                        .integer("SELECT count(*) FROM sqlite_schema WHERE rowid = 1")
                        .await
                        .doing(&self.place, what)?;
                    return Ok(session);
                }
            }
        }
    }

    /// The schema as `session` sees it; read again only when it has changed.
    pub(super) async fn catalog(&self, session: &mut Session) -> Result<Arc<Catalog>> {
        let version =
            session.integer("PRAGMA schema_version").await.doing(&self.place, "reading the schema")?;
        let known = self.catalog.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|c| c.version == version) {
            return Ok(known);
        }
        let read = Catalog::read(session, version).await.doing(&self.place, "reading the schema")?;
        let read = Arc::new(read);
        *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
        Ok(read)
    }

    /// The schema as it is now.
    pub(super) async fn catalog_now(&self) -> Result<Arc<Catalog>> {
        let mut session = self.reading("reading the schema").await?;
        let catalog = self.catalog(&mut session).await?;
        session.end().await.doing(&self.place, "reading the schema")?;
        Ok(catalog)
    }

    /// Whether readers don't hinder writers: the journal mode is WAL.
    pub(super) async fn is_wal(&self, session: &mut Session) -> Result<bool> {
        let mode =
            session.text("PRAGMA journal_mode").await.doing(&self.place, "reading the journal mode")?;
        Ok(mode.eq_ignore_ascii_case("wal"))
    }

    /// Whether somebody holds the write lock: it is asked for, not waited for, and given back at once.
    /// The connection is one of its own, so that it can't be left with the lock.
    pub(super) async fn is_write_locked(&self) -> Result<bool> {
        let what = "looking for writers";
        let how = self.how.clone().busy_timeout(Duration::ZERO);
        let mut connection = how.connect().await.doing(&self.place, what)?;
        let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await;
        connection.close().await.doing(&self.place, what)?;
        match begun {
            Ok(_) => Ok(false),
            Err(error) if fault::is_busy(&error) => Ok(true),
            Err(error) => Err(fault::classify(error, &self.place, what)),
        }
    }

    /// How many rows a table holds.
    pub(super) async fn count(&self, table: &str) -> Result<u64> {
        let what = format!("counting {table}");
        let mut session = self.reading(&what).await?;
        let rows = session.integer(format!("SELECT count(*) FROM {}", quote(table))).await;
        let rows = rows.doing(&self.place, &what)?;
        session.end().await.doing(&self.place, &what)?;
        Ok(rows.unsigned_abs())
    }

    async fn check_format(&self) -> Result<()> {
        let mut session = self.reading("it can't be opened").await?;
        // The first statement that really reads the file.
        session
            .integer("SELECT count(*) FROM sqlite_schema")
            .await
            .doing(&self.place, "it can't be opened")?;
        let row = session.one("PRAGMA encoding").await.doing(&self.place, "it can't be opened")?;
        let encoding: Vec<u8> = row.try_get_unchecked(0).doing(&self.place, "it can't be opened")?;
        if encoding != b"UTF-8" {
            let what = format!("{}: the file keeps its text in UTF-16, which is not carried", self.place);
            return Err(Error::refused(what)
                .remedy("make a new file with `PRAGMA encoding='UTF-8'` and `.dump` the old one into it"));
        }
        session.end().await.doing(&self.place, "it can't be opened")
    }
}

/// Sets what the library, or the way it was built, may have otherwise.
fn with_pragmas(how: SqliteConnectOptions) -> SqliteConnectOptions {
    let lines = include_str!("../../../sql/sqlite/session.sql").lines();
    let pragmas = lines.filter_map(|line| line.strip_prefix("PRAGMA ")?.strip_suffix(';')?.split_once(" = "));
    pragmas.fold(how, |how, (name, value)| how.pragma(name, value))
}

/// The file that a URL names.
fn find(name: &Path, place: &str) -> Result<PathBuf> {
    let refuse = |what: &str, remedy: &str| Err(Error::refused(format!("{place}: {what}")).remedy(remedy));
    if name.as_os_str().is_empty() || name.to_string_lossy().contains(":memory:") {
        return refuse("a database in memory can't be shared", "name a file");
    }
    match std::fs::canonicalize(name) {
        Ok(path) if path.is_file() => Ok(path),
        Ok(_) => refuse("that is not a file", "check the path in the URL"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => refuse(
            "there is no such file",
            "check the path in the URL; an empty target is made with `sqlite3 FILE VACUUM`",
        ),
        Err(e) => Err(Error::refused(format!("{place}: the file can't be reached"))
            .because(e)
            .remedy("check the path in the URL and the permissions")),
    }
}

/// A transaction on a connection of a pool, or a read in a snapshot that is held. A transaction that is dropped
/// before its end takes the connection with it, which rolls back: after some errors SQLite has rolled back by
/// itself, so that the connection can't be known to be in order.
pub(super) struct Session {
    connection: Held,
    /// The side and the URL, as errors name it.
    pub(super) place: Arc<str>,
    open: bool,
}

/// Whose connection a session uses.
enum Held {
    /// A pool's.
    Pooled(PoolConnection<Sqlite>),
    /// That of a snapshot, whose transaction outlives the session.
    Pinned(OwnedMutexGuard<SqliteConnection>),
}

impl Session {
    async fn begin(pool: &SqlitePool, how: &'static str, place: &Arc<str>) -> Result<Self, sqlx::Error> {
        let connection = Held::Pooled(pool.acquire().await?);
        let mut session = Session { connection, place: place.clone(), open: true };
        let begun = session.run(how).await;
        // A busy database leaves the connection as it was.
        session.open = begun.as_ref().err().is_none_or(|e| !fault::is_busy(e));
        begun?;
        Ok(session)
    }

    fn in_snapshot(connection: OwnedMutexGuard<SqliteConnection>, place: &Arc<str>) -> Self {
        Session { connection: Held::Pinned(connection), place: place.clone(), open: false }
    }

    /// Ends the transaction, and keeps what it wrote.
    pub(super) async fn end(self) -> Result<(), sqlx::Error> {
        self.finish("COMMIT").await
    }

    /// Ends the transaction, and undoes what it wrote.
    pub(super) async fn undo(self) -> Result<(), sqlx::Error> {
        self.finish("ROLLBACK").await
    }

    async fn finish(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        if let Held::Pooled(_) = self.connection {
            self.run(how).await?;
            self.open = false;
        }
        Ok(())
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        match &mut self.connection {
            Held::Pooled(connection) => connection,
            Held::Pinned(connection) => connection,
        }
    }

    /// Runs a statement. Returns how many rows it touched.
    pub(super) async fn run(&mut self, sql: impl Into<String>) -> Result<u64, sqlx::Error> {
        self.run_with(sql, SqliteArguments::default()).await
    }

    /// Runs a statement with arguments. Returns how many rows it touched.
    pub(super) async fn run_with(
        &mut self,
        sql: impl Into<String>,
        args: SqliteArguments,
    ) -> Result<u64, sqlx::Error> {
        let query = sqlx::query_with(AssertSqlSafe(sql.into()), args);
        Ok(query.execute(self.connection()).await?.rows_affected())
    }

    /// Runs statements that are not worth keeping prepared: definitions.
    pub(super) async fn define(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(sql.to_string())).persistent(false);
        query.execute(self.connection()).await?;
        Ok(())
    }

    /// Compiles a statement without running it: what it names must exist and be known here. (EXPLAIN
    /// would do, but listing the programs of triggers was seen to crash SQLite 3.51.)
    pub(super) async fn compile(&mut self, sql: String) -> Result<(), sqlx::Error> {
        self.connection().prepare(AssertSqlSafe(sql).into_sql_str()).await?;
        Ok(())
    }

    /// The rows of a query.
    pub(super) async fn all(
        &mut self,
        sql: impl Into<String>,
        args: SqliteArguments,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        sqlx::query_with(AssertSqlSafe(sql.into()), args).fetch_all(self.connection()).await
    }

    /// The first row of a query without arguments.
    pub(super) async fn one(&mut self, sql: impl Into<String>) -> Result<SqliteRow, sqlx::Error> {
        sqlx::query(AssertSqlSafe(sql.into())).fetch_one(self.connection()).await
    }

    /// The first value of a query without arguments, as a whole number.
    pub(super) async fn integer(&mut self, sql: impl Into<String>) -> Result<i64, sqlx::Error> {
        self.one(sql).await?.try_get_unchecked(0)
    }

    /// The first value of a query without arguments, as text.
    pub(super) async fn text(&mut self, sql: impl Into<String>) -> Result<String, sqlx::Error> {
        value::text(&self.one(sql).await?, 0)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.open
            && let Held::Pooled(connection) = &mut self.connection
        {
            connection.close_on_drop();
        }
    }
}
