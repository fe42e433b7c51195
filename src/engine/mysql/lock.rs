//! Statements that lock a table of production's: each attempt keeps writers waiting no longer than
//! `capture.lock_timeout`, which no server's own setting measures in less than seconds. So a second
//! connection ends the statement; between two attempts the writers that queued up get through.

use std::time::Duration;

use sqlx::{AssertSqlSafe, MySqlConnection};

use super::connect::{Flavour, Server};
use super::fault::{classify, is_interrupted};
use super::session::{Session, listed, maybe, number, text};
use crate::engine::Record;
use crate::error::{Error, Result};

/// How often a lock is tried for.
const ATTEMPTS: u32 = 60;

/// The pause between two attempts.
pub(super) const PAUSE: Duration = Duration::from_millis(700);

/// How long a lock is waited for that is asked for to see whether it can be had.
const GLANCE: Duration = Duration::from_millis(50);

/// How one attempt ended.
pub(super) enum Attempt {
    /// It is done.
    Done,
    /// The lock could not be had in time.
    Locked(Error),
}

/// A session for such statements.
pub(super) struct Locking<'a> {
    server: &'a Server,
    timeout: Duration,
    /// The session that they run in.
    pub(super) session: Session,
    /// Its number on the server.
    id: u64,
}

impl<'a> Locking<'a> {
    /// Opens the session. `timeout` is how long one attempt may take.
    pub(super) async fn open(server: &'a Server, timeout: Duration) -> Result<Self> {
        let mut session = server.session().await?;
        // Should we die in the middle, the server gives up by itself. Triggers take the mode along.
        let seconds = timeout.as_secs() + 1;
        session.execute(format!("SET SESSION lock_wait_timeout = {seconds}, sql_mode = ''")).await?;
        let id = number(&session.row("SELECT CONNECTION_ID()").await?, 0)?;
        Ok(Locking { server, timeout, session, id })
    }

    /// Runs one statement; the error is anything but a lock that could not be had.
    pub(super) async fn attempt(&mut self, sql: &str) -> Result<Attempt> {
        let place = self.session.place.clone();
        let (server, id, timeout) = (self.server, self.id, self.timeout);
        let connection = self.session.connection()?;
        let (done, killed) = {
            let running = run(connection, sql);
            tokio::pin!(running);
            match tokio::time::timeout(timeout, &mut running).await {
                Ok(done) => (done, false),
                Err(_) => {
                    interrupt(server, id).await;
                    (running.await, true)
                }
            }
        };
        if killed {
            // The blow may have come when the statement was over; then it meets this one.
            let _ = run(self.session.connection()?, "DO 0").await;
        }
        match done {
            Ok(()) => Ok(Attempt::Done),
            Err(error) if is_interrupted(&error) => Ok(Attempt::Locked(classify(error, &place))),
            Err(error) => Err(classify(error, &place)),
        }
    }

    /// Runs a statement that locks a table, again and again while the lock can't be had.
    pub(super) async fn run(&mut self, sql: &str, database: &str, table: &str) -> Result<()> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(sql).await? {
                Attempt::Done => return Ok(()),
                Attempt::Locked(_) if attempts < ATTEMPTS => tokio::time::sleep(PAUSE).await,
                Attempt::Locked(error) => {
                    let users = users(&mut self.session, self.server.flavour, database, table).await;
                    return Err(Error::table(format!(
                        "{table} could not be locked in {ATTEMPTS} attempts; in use by {users}"
                    ))
                    .because(error)
                    .remedy(
                        "wait for these transactions to end, or end them; or raise capture.lock_timeout",
                    ));
                }
            }
        }
    }
}

/// Whether some tables (as SQL) can be locked for reading right now: nobody has a transaction open that
/// wrote one. With autocommit off the lock is also InnoDB's, which a prepared XA transaction without a
/// session still holds. While it is waited for no writer waits.
pub(super) async fn nobody_writes(server: &Server, tables: &[String]) -> Result<bool> {
    let mut locking = Locking::open(server, GLANCE).await?;
    let list: Vec<String> = tables.iter().map(|table| format!("{table} READ")).collect();
    let sql = format!(
        "SET SESSION autocommit = 0, innodb_table_locks = 1, innodb_lock_wait_timeout = 1; \
         LOCK TABLES {}; UNLOCK TABLES; COMMIT",
        list.join(", ")
    );
    // The session is closed and not given back: it would go on without autocommit.
    Ok(matches!(locking.attempt(&sql).await?, Attempt::Done))
}

async fn run(connection: &mut MySqlConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_string())).execute(connection).await.map(|_| ())
}

/// Ends what a session is running. Should that fail, the session's own timeout does it.
async fn interrupt(server: &Server, id: u64) {
    if let Ok(mut session) = server.session().await
        && session.execute(format!("KILL QUERY {id}")).await.is_ok()
    {
        session.close();
    }
}

/// Who uses a table, as far as that can be seen, for people.
pub(super) async fn users(session: &mut Session, flavour: Flavour, database: &str, table: &str) -> String {
    let (database, table) = (super::value::literal(database), super::value::literal(table));
    let by_table = format!(
        "SELECT DISTINCT p.PROCESSLIST_ID, CONCAT(p.PROCESSLIST_USER, '@', COALESCE(p.PROCESSLIST_HOST, '')), \
         p.PROCESSLIST_TIME FROM performance_schema.metadata_locks AS l \
         JOIN performance_schema.threads AS p ON p.THREAD_ID = l.OWNER_THREAD_ID \
         WHERE l.OBJECT_SCHEMA = {database} AND l.OBJECT_NAME = {table} AND l.LOCK_STATUS = 'GRANTED' \
         AND p.PROCESSLIST_ID <> CONNECTION_ID() LIMIT 10"
    );
    let found = match flavour {
        Flavour::Mysql => people(session, by_table).await,
        Flavour::Mariadb => Vec::new(),
    };
    let found = if found.is_empty() { people(session, open_transactions()).await } else { found };
    if found.is_empty() { "nobody that can be seen".to_string() } else { found.join(", ") }
}

/// All open transactions. The server shows when they began in its own time zone.
pub(super) fn open_transactions() -> String {
    "SELECT t.trx_mysql_thread_id, CONCAT(p.USER, '@', p.HOST), TIMESTAMPDIFF(SECOND, t.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) \
     FROM information_schema.INNODB_TRX AS t \
     LEFT JOIN information_schema.PROCESSLIST AS p ON p.ID = t.trx_mysql_thread_id \
     WHERE t.trx_mysql_thread_id <> CONNECTION_ID() LIMIT 10"
        .to_string()
}

/// Sessions of a list, for people.
pub(super) async fn people(session: &mut Session, sql: String) -> Vec<String> {
    let Ok(connection) = session.connection() else { return Vec::new() };
    let rows = listed(connection, &sql).await.ok().flatten().unwrap_or_default();
    rows.iter().filter_map(|row| person(row).ok()).collect()
}

/// A session, for people: its number, user and age.
pub(super) fn person(row: &Record) -> Result<String> {
    let id = text(row, 0)?;
    Ok(match (maybe(row, 1), maybe(row, 2)) {
        (Some(user), Some(age)) => format!("session {id} ({user}, for {age} s)"),
        (Some(user), None) => format!("session {id} ({user})"),
        _ => format!("session {id}"),
    })
}
