//! Who has transactions open that wrote a captured table.

use std::time::Duration;

use super::connect::Flavour;
use super::fault::{classify, code, is_denied};
use super::lock::{self, person};
use super::names::Names;
use super::session::{Session, listed, maybe, records, text};
use super::source::Inner;
use super::value::{join, literal};
use crate::engine::{Record, Writer};
use crate::error::{Error, Result};
use crate::model::Plan;

/// XAER_RMERR: MySQL's answer to XA RECOVER where its privilege is missing.
const NO_XA_RECOVER: u16 = 1401;

/// Open transactions that wrote a captured table, or may have.
pub(super) async fn writers(source: &Inner, plan: &Plan) -> Result<Vec<Writer>> {
    if plan.tables.is_empty() {
        return Ok(Vec::new());
    }
    let mut session = source.server.session().await?;
    let seen: Option<Vec<Writer>> = match source.server.flavour {
        Flavour::Mysql => by_metadata_locks(&mut session, &source.names, plan)
            .await?
            .map(|rows| rows.iter().map(writer).collect())
            .transpose()?,
        Flavour::Mariadb => None,
    };
    let mut found = match seen {
        Some(found) => found,
        None => by_lock(&mut session, source, plan).await?,
    };
    found.extend(prepared(&mut session).await?);
    session.close();
    Ok(found)
}

/// Whoever holds the lock on a log's definition that writing it takes. Only MySQL shows them. The list of
/// transactions is left alone, because it can't be shown at every moment; a writer is known by the
/// event of its oldest lock, which its next transaction takes anew.
async fn by_metadata_locks(session: &mut Session, names: &Names, plan: &Plan) -> Result<Option<Vec<Record>>> {
    let on = "SELECT ENABLED = 'YES' FROM performance_schema.setup_instruments \
              WHERE NAME = 'wait/lock/metadata/sql/mdl'";
    let on = ask(session, on).await?.unwrap_or_default();
    if !on.first().is_some_and(|row| super::session::flag(row, 0)) {
        return Ok(None);
    }
    let logs = join(plan.tables.iter().map(|t| literal(&names.log_name(&t.source.name))), ", ");
    let sql = format!(
        "SELECT p.PROCESSLIST_ID, MAX(CONCAT(p.PROCESSLIST_USER, '@', COALESCE(p.PROCESSLIST_HOST, ''))), \
         MAX(CAST(t.TIMER_WAIT / 1000000000000 AS SIGNED)), MIN(l.OWNER_EVENT_ID) \
         FROM performance_schema.metadata_locks AS l \
         JOIN performance_schema.threads AS p ON p.THREAD_ID = l.OWNER_THREAD_ID \
         LEFT JOIN performance_schema.events_transactions_current AS t \
         ON t.THREAD_ID = l.OWNER_THREAD_ID AND t.STATE = 'ACTIVE' \
         WHERE l.OBJECT_TYPE = 'TABLE' AND l.OBJECT_SCHEMA = {} AND l.OBJECT_NAME IN ({logs}) \
         AND l.LOCK_TYPE = 'SHARED_WRITE' AND l.LOCK_STATUS = 'GRANTED' \
         AND p.PROCESSLIST_ID IS NOT NULL AND p.PROCESSLIST_ID <> CONNECTION_ID() GROUP BY p.PROCESSLIST_ID",
        literal(&names.capture)
    );
    ask(session, &sql).await
}

/// Rows of a list; `None` where a privilege is missing. Whatever else fails is told: whoever is waited for
/// must be known by the same name each time.
async fn ask(session: &mut Session, sql: &str) -> Result<Option<Vec<Record>>> {
    listed(session.connection()?, sql).await.map_err(|e| classify(e, &session.place))
}

/// Elsewhere nobody writes what can be locked. Who it may be otherwise, the list of open transactions says
/// as far as it is shown: whoever has locked or changed a row of anything.
async fn by_lock(session: &mut Session, source: &Inner, plan: &Plan) -> Result<Vec<Writer>> {
    let logs: Vec<String> = plan.tables.iter().map(|t| source.names.log(&t.source.name)).collect();
    if lock::nobody_writes(&source.server, &logs).await? {
        return Ok(Vec::new());
    }
    let rows = ask(session, OPEN).await?.unwrap_or_default();
    let found: Vec<Writer> = rows.iter().map(writer).collect::<Result<_>>()?;
    if found.is_empty() {
        let who = "transactions that can't be seen (grant PROCESS to see whose)".to_string();
        return Ok(vec![Writer { id: "unseen".to_string(), who }]);
    }
    Ok(found)
}

const OPEN: &str = "SELECT x.trx_mysql_thread_id, CONCAT(p.USER, '@', p.HOST), \
    TIMESTAMPDIFF(SECOND, x.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')), x.trx_started FROM information_schema.INNODB_TRX AS x \
    LEFT JOIN information_schema.PROCESSLIST AS p ON p.ID = x.trx_mysql_thread_id \
    WHERE x.trx_mysql_thread_id > 0 AND (x.trx_rows_modified > 0 OR x.trx_rows_locked > 0)";

/// Identified by session and begin: a session's next transaction is another one.
fn writer(row: &Record) -> Result<Writer> {
    let since = maybe(row, 3).unwrap_or_default();
    Ok(Writer { id: format!("{} {since}", text(row, 0)?), who: person(row)? })
}

/// The transactions that are prepared (XA), of whichever database.
///
/// # Errors
/// When they can't be listed: unknown is a no.
pub(super) async fn prepared(session: &mut Session) -> Result<Vec<Writer>> {
    let rows = match records(session.connection()?, "XA RECOVER").await {
        Ok(rows) => rows,
        Err(error) if is_denied(&error) || code(&error) == Some(NO_XA_RECOVER) => {
            return Err(Error::refused(format!(
                "{}: prepared transactions (XA) can't be listed",
                session.place
            ))
            .because(classify(error, &session.place))
            .remedy("GRANT XA_RECOVER_ADMIN ON *.* TO highwater's user"));
        }
        Err(error) => return Err(classify(error, &session.place)),
    };
    let writer = |row: &Record| {
        let id = maybe(row, 3).unwrap_or_default();
        Writer { id: format!("xa:{id}"), who: format!("a prepared transaction (XA RECOVER: {id})") }
    };
    Ok(rows.iter().map(writer).collect())
}

/// The prepared transactions, seen from a session of their own.
pub(super) async fn all_prepared(source: &Inner) -> Result<Vec<Writer>> {
    let mut session = source.server.session().await?;
    let found = prepared(&mut session).await?;
    session.close();
    Ok(found)
}

/// Transactions that are open for longer than some time.
pub(super) enum Old {
    /// They wrote captured tables.
    Writers(Vec<Writer>),
    /// They wrote or locked something, on whichever database of the server.
    Perhaps(Vec<Writer>),
}

/// Transactions that are open for longer than `age`, as far as the server shows them.
pub(super) async fn older_than(source: &Inner, plan: &Plan, age: Duration) -> Result<Old> {
    let mut session = source.server.session().await?;
    let exact = match source.server.flavour {
        Flavour::Mysql if !plan.tables.is_empty() => {
            by_metadata_locks(&mut session, &source.names, plan).await?
        }
        _ => None,
    };
    let is_exact = exact.is_some();
    let rows = match exact {
        Some(rows) => rows,
        None => ask(&mut session, OPEN).await?.unwrap_or_default(),
    };
    session.close();
    let is_old = |row: &&Record| maybe(row, 2).and_then(|age| age.parse().ok()) >= Some(age.as_secs());
    let old = rows.iter().filter(is_old).map(writer).collect::<Result<Vec<_>>>()?;
    Ok(if is_exact { Old::Writers(old) } else { Old::Perhaps(old) })
}
