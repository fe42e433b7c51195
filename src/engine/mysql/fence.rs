//! The fence: a row that every writer locks.
//!
//! A trigger of every table reads the row and locks it (shared) until the writer's transaction ends.
//! Raising the fence takes the row exclusively: that waits for everybody who has passed it, and whoever
//! comes later reads it as it is then, whatever their snapshot shows.

use std::collections::BTreeSet;
use std::time::Duration;

use super::capture::{self, REFUSED};
use super::facts::{self, Facts};
use super::fault::{classify, is_interrupted};
use super::flush;
use super::inspect::Outlook;
use super::lock::person;
use super::names::Names;
use super::session::{Session, flag, listed, number, records};
use super::source::Inner;
use super::writers;
use crate::engine::{Fence, Record, Stamp, Writer};
use crate::error::{Error, Kind, Result};
use crate::model::{Plan, TableName};

/// How often raising or lifting is tried; each time waits for a second, in which writers wait too.
const ATTEMPTS: u32 = 40;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

const NEVER: Fence = Fence { raised: false, stamp: Stamp { epoch: 0, attempt: 0 } };

/// The fence as it stands.
pub(super) async fn read(source: &Inner) -> Result<Fence> {
    let mut session = source.server.session().await?;
    let rows = facts::if_there(&mut session, row(&source.names)).await?.unwrap_or_default();
    session.close();
    rows.first().map_or(Ok(NEVER), fence)
}

fn row(names: &Names) -> String {
    format!(
        "SELECT raised, epoch, attempt FROM {} WHERE database_name = {}",
        names.own("fence"),
        names.database_literal()
    )
}

fn fence(row: &Record) -> Result<Fence> {
    Ok(Fence { raised: flag(row, 0), stamp: Stamp { epoch: number(row, 1)?, attempt: number(row, 2)? } })
}

/// Raises the fence.
pub(super) async fn raise(source: &Inner, stamp: Stamp) -> Result<()> {
    let place = &source.server.place;
    let allow = |now: Option<Fence>| match now {
        None => Err(Error::failed(format!("{place}: the fence is not installed"))
            .remedy("`highwater run` installs it")),
        Some(now) if stamp <= now.stamp => Err(Error::new(
            Kind::Superseded,
            format!("{place}: the fence was raised or lifted by attempt {} meanwhile", now.stamp),
        )),
        Some(_) => Ok(true),
    };
    change(source, Fence { raised: true, stamp }, allow).await.map(|_| ())
}

/// Lowers the fence.
pub(super) async fn lift(source: &Inner, stamp: Stamp) -> Result<bool> {
    let place = &source.server.place;
    let allow = |now: Option<Fence>| match now {
        Some(now) if now.raised && now.stamp == stamp => Ok(true),
        Some(now) if now.raised => Err(Error::new(
            Kind::Superseded,
            format!("{place}: the fence stands under attempt {}, not {stamp}", now.stamp),
        )),
        _ => Ok(false),
    };
    change(source, Fence { raised: false, stamp }, allow).await
}

/// Changes the fence if it may be changed, again and again while writers hold it.
async fn change(source: &Inner, to: Fence, allow: impl Fn(Option<Fence>) -> Result<bool>) -> Result<bool> {
    let mut session = source.server.session().await?;
    session.execute("SET SESSION innodb_lock_wait_timeout = 1").await?;
    let mut attempts = 0;
    let changed = loop {
        attempts += 1;
        match attempt(&mut session, &source.names, to, &allow).await? {
            Ok(changed) => break changed,
            Err(_) if attempts < ATTEMPTS => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                let holders = holders(&mut session).await;
                return Err(Error::new(
                    Kind::NotConverged,
                    format!("{}: the fence is held by writers: {holders}", session.place),
                )
                .because(error)
                .remedy("wait for their transactions to end, or end them; then try again"));
            }
        }
    };
    // A fence that a crash of the source takes away again would let writers pass a finished attempt.
    let position = flush::position(&session.query(flush::POSITION).await?)?;
    flush::flushed(source, &mut session, position).await?;
    // The session goes back as it came.
    session.execute("SET SESSION innodb_lock_wait_timeout = 10").await?;
    session.close();
    Ok(changed)
}

/// The inner error says that writers hold the fence.
async fn attempt(
    session: &mut Session,
    names: &Names,
    to: Fence,
    allow: &impl Fn(Option<Fence>) -> Result<bool>,
) -> Result<Result<bool>> {
    session.execute("START TRANSACTION").await?;
    let rows = match records(session.connection()?, format!("{} FOR UPDATE", row(names))).await {
        Ok(rows) => rows,
        Err(error) if is_interrupted(&error) || super::fault::code(&error) == Some(1213) => {
            session.execute("ROLLBACK").await?;
            return Ok(Err(classify(error, &session.place)));
        }
        Err(error) => return Err(classify(error, &session.place)),
    };
    let now = rows.first().map(fence).transpose()?;
    let allowed = match allow(now) {
        Ok(allowed) => allowed,
        Err(error) => {
            session.execute("ROLLBACK").await?;
            return Err(error);
        }
    };
    if allowed {
        let Fence { raised, stamp } = to;
        let sql = format!(
            "UPDATE {} SET raised = {}, epoch = {}, attempt = {} WHERE database_name = {}",
            names.own("fence"),
            u8::from(raised),
            stamp.epoch,
            stamp.attempt,
            names.database_literal()
        );
        session.execute(sql).await?;
    }
    session.execute("COMMIT").await?;
    Ok(Ok(allowed))
}

/// Who has transactions open that hold locks, for people.
async fn holders(session: &mut Session) -> String {
    let sql = "SELECT x.trx_mysql_thread_id, CONCAT(p.USER, '@', p.HOST), \
               TIMESTAMPDIFF(SECOND, x.trx_started, NOW()) FROM information_schema.INNODB_TRX AS x \
               LEFT JOIN information_schema.PROCESSLIST AS p ON p.ID = x.trx_mysql_thread_id \
               WHERE x.trx_mysql_thread_id <> CONNECTION_ID() AND x.trx_rows_locked > 0 \
               ORDER BY x.trx_started LIMIT 10";
    let Ok(connection) = session.connection() else { return "nobody that can be seen".to_string() };
    let rows = listed(connection, sql).await.ok().flatten().unwrap_or_default();
    let found: Vec<String> = rows.iter().filter_map(|row| person(row).ok()).collect();
    if found.is_empty() {
        "nobody that can be seen (PROCESS shows them)".to_string()
    } else {
        found.join(", ")
    }
}

/// Shows that the fence refuses writers: every table has the triggers, and a write of a table that
/// carries the same one is refused by it.
pub(super) async fn prove(source: &Inner, plan: &Plan) -> Result<()> {
    let names = &source.names;
    let mut session = source.server.session().await?;
    let mut facts = Facts::read(&mut session, names, source.server.flavour).await?;
    let graph = facts::graph(&mut session, names, source.server.flavour).await?;
    let subjects = capture::subjects(names, plan, &graph);
    let canary = capture::canary_trigger(names);
    let wanted = subjects.iter().flat_map(|s| &s.triggers).chain([&canary]);
    facts.look_closer(&mut session, wanted.clone()).await?;
    let unproven = |table: &str, why: &str| {
        Error::new(
            Kind::NotConverged,
            format!("{}: the fence does not hold on {table}: {why}", source.server.place),
        )
        .remedy("`highwater run` puts it on tables that are new; exclude no table that is written to")
    };
    let outlook = Outlook { names, facts: &facts, grants: None };
    let known: BTreeSet<&str> = subjects.iter().map(|s| s.table.as_str()).collect();
    if let Some(new) = facts.tables.keys().find(|table| !known.contains(table.as_str())) {
        return Err(unproven(&TableName::bare(new).to_string(), "the table is new"));
    }
    for trigger in wanted.filter(|t| t.database != names.database || facts.tables.contains_key(&t.table)) {
        if let Some(fault) = outlook.trigger_fault(trigger) {
            return Err(unproven(&TableName::bare(&trigger.table).to_string(), &fault));
        }
    }
    let refused = refuse(&mut session, names).await?;
    session.close();
    refused.map_err(|why| unproven("its own table", &why))
}

/// Tries to write the canary. The inner error says why that shows nothing.
async fn refuse(session: &mut Session, names: &Names) -> Result<Result<(), String>> {
    session.execute("START TRANSACTION").await?;
    let sql = format!("INSERT INTO {} (id, beat) VALUES (1, 1)", names.own(&names.canary_name()));
    let outcome = match records(session.connection()?, sql).await {
        Ok(_) => Err("a write was not refused".to_string()),
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some(REFUSED) => Ok(()),
        Err(error) => Err(format!("a write failed otherwise: {}", classify(error, &session.place).summary())),
    };
    session.execute("ROLLBACK").await?;
    Ok(outcome)
}

/// Open transactions that wrote a captured table.
pub(super) async fn writers(source: &Inner, plan: &Plan) -> Result<Vec<Writer>> {
    writers::writers(source, plan).await
}

/// Prepared transactions (XA). Where they can't be listed, unknown is a no.
pub(super) async fn prepared(source: &Inner) -> Result<Vec<Writer>> {
    let mut session = source.server.session().await?;
    let found = writers::prepared(&mut session).await?;
    session.close();
    found.ok_or_else(|| {
        Error::refused(format!("{}: prepared transactions (XA) can't be listed", source.server.place))
            .remedy("GRANT XA_RECOVER_ADMIN ON *.* to highwater's user")
    })
}
