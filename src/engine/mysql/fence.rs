//! The fence: what of it is data. [`super::raise`] makes and drops its triggers, [`super::prove`] shows that
//! they refuse.
//!
//! An attempt to raise the fence puts a trigger with its number n on each change log, and the trigger refuses
//! unless what is lowered is greater than n. Two numbers that only grow say what is true:
//!
//! - `raised`, the greatest attempt that has begun to raise, is written before the first trigger;
//! - `stamp`: every attempt below it is lowered. Lowering attempt n makes it n + 1.
//!
//! The fence is up, or may be, while `raised >= stamp`. Requests may arrive in any order and late: both numbers
//! are maxima, and a trigger compares its own number alone. On MariaDB `stamp` is a sequence, because a trigger's
//! SELECT from a table locks its row wherever the writer's `binlog_format` is not ROW, as by default, and a refused
//! writer that stays open would hold the fence up. On MySQL that is so at SERIALIZABLE, or when the writer's session
//! leaves ROW; lowering then waits for that writer.

use std::time::Duration;

use tokio::time::Instant;

use super::connect::Flavour;
use super::facts;
use super::fault::{classify, is_interrupted};
use super::flush;
use super::lock::{open_transactions, people};
use super::names::Names;
use super::session::{Session, number, text};
use super::source::Inner;
use super::value::literal;
use crate::engine::{Fence, Lowered, Stamp};
use crate::error::{Error, Kind, Policy, Result};

/// How long lowering waits for writers that hold the row, where one can.
const LOWERING: Duration = Duration::from_secs(60);

/// The pause between two attempts.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

const NEVER: Fence = Fence { raised: false, stamp: Stamp { epoch: 0, attempt: 0 } };

/// What the source holds of the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// The greatest attempt that has begun to raise; 0 for none.
    pub(super) raised: Stamp,
    /// Every attempt below it is lowered.
    pub(super) lowered: i64,
}

impl State {
    /// Whether writers are refused, or may be.
    pub(super) fn is_up(&self) -> bool {
        self.raised.attempt >= self.lowered
    }

    /// Whether `attempt` is the one that stands.
    pub(super) fn stands(&self, attempt: i64) -> bool {
        self.raised.attempt == attempt && self.lowered <= attempt
    }
}

/// The numbers of the fence; `None` where it is not installed, or has lost them.
pub(super) async fn state(session: &mut Session, names: &Names) -> Result<Option<State>> {
    let lowered = names.lowered();
    let sql = format!(
        "SELECT f.epoch, f.raised, {} FROM {} AS f, {} WHERE f.database_name = {} AND {}",
        lowered.stamp,
        names.own("fence"),
        lowered.from,
        names.database_literal(),
        lowered.only
    );
    let rows = facts::if_there(session, sql).await?.unwrap_or_default();
    let Some(row) = rows.first() else { return Ok(None) };
    let raised = Stamp { epoch: number(row, 0)?, attempt: number(row, 1)? };
    Ok(Some(State { raised, lowered: number(row, 2)? }))
}

/// The triggers of the fence that stand in this database's logs, with their attempts.
pub(super) async fn triggers(session: &mut Session, names: &Names) -> Result<Vec<(i64, String)>> {
    let sql = format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {} ORDER BY TRIGGER_NAME",
        literal(&names.capture)
    );
    let rows = session.query(sql).await?;
    let mut found = Vec::new();
    for row in &rows {
        let name = text(row, 0)?;
        found.extend(names.attempt_of(name).map(|attempt| (attempt, name.to_string())));
    }
    Ok(found)
}

/// The fence as it stands.
pub(super) async fn read(source: &Inner) -> Result<Fence> {
    let mut session = source.server.session().await?;
    let state = state(&mut session, &source.names).await?;
    let triggers = triggers(&mut session, &source.names).await?;
    session.close();
    let Some(state) = state else { return Ok(NEVER) };
    let greatest = triggers.iter().map(|(attempt, _)| *attempt).max().unwrap_or(0);
    if state.raised.attempt == 0 && greatest == 0 && state.lowered <= 1 {
        return Ok(NEVER);
    }
    let attempt = state.raised.attempt.max(state.lowered).max(greatest);
    // Triggers that stand refuse, whatever became of the number of their attempt.
    let raised = state.is_up() || greatest >= state.lowered;
    Ok(Fence { raised, stamp: Stamp { attempt, ..state.raised } })
}

/// Notes that an attempt begins to raise, durably: its triggers come after. Dying behind this leaves a fence
/// that counts as raised and refuses no writer, which lowering ends.
pub(super) async fn begin(source: &Inner, session: &mut Session, stamp: Stamp, until: Instant) -> Result<()> {
    let names = &source.names;
    let place = &source.server.place;
    let now = state(session, names).await?.ok_or_else(|| {
        Error::failed(format!("{place}: the fence is not installed")).remedy("`highwater run` installs it")
    })?;
    let sql = format!(
        "UPDATE {} SET raised = {}, epoch = {} WHERE database_name = {} AND raised < {}",
        names.own("fence"),
        stamp.attempt,
        stamp.epoch,
        names.database_literal(),
        stamp.attempt
    );
    let begun = now.lowered <= stamp.attempt && update(session, &sql, until).await? > 0;
    if !begun {
        return Err(superseded(place, stamp, &now));
    }
    durable(source, session).await
}

/// Says that another attempt has the fence.
pub(super) fn superseded(place: &str, stamp: Stamp, now: &State) -> Error {
    Error::new(
        Kind::Superseded,
        format!(
            "{place}: attempt {stamp} does not have the fence: attempt {} raised it last, and every attempt below \
             {} is lowered",
            now.raised, now.lowered
        ),
    )
}

/// Marks every attempt below `to` as lowered.
async fn set_lowered(session: &mut Session, names: &Names, to: i64) -> Result<()> {
    match names.flavour {
        Flavour::Mariadb => {
            // A sequence is never set back.
            session.query(format!("SELECT SETVAL({}, {to}, 0)", names.lowered_sequence())).await?;
        }
        Flavour::Mysql => {
            session.execute("SET SESSION innodb_lock_wait_timeout = 1").await?;
            let sql = format!(
                "UPDATE {} SET stamp = {to} WHERE database_name = {} AND stamp < {to}",
                names.own("lowered"),
                names.database_literal()
            );
            update(session, &sql, Instant::now() + LOWERING).await?;
            session.execute("SET SESSION innodb_lock_wait_timeout = 10").await?;
        }
    }
    Ok(())
}

/// That a fence could be lowered again: the statement is run so that it changes nothing.
///
/// # Errors
/// [`Kind::Refused`] when the server refuses it.
pub(super) async fn attempt_lowering(session: &mut Session, names: &Names) -> Result<()> {
    match set_lowered(session, names, 1).await {
        Err(error) if error.policy() == Policy::Retry => Err(error),
        Err(error) => {
            let refused =
                Error::refused(format!("the fence could not be lowered again: {}", error.summary()));
            Err(refused.remedy(error.remedy_text().unwrap_or("let the server take it").to_string()))
        }
        Ok(()) => Ok(()),
    }
}

/// Lowers the fence of `stamp` and of all earlier attempts.
pub(super) async fn lower(source: &Inner, stamp: Stamp) -> Result<Lowered> {
    let names = &source.names;
    let mut session = source.server.session().await?;
    let Some(before) = state(&mut session, names).await? else {
        session.close();
        return Ok(Lowered::WasDown);
    };
    let to = stamp.attempt.saturating_add(1);
    set_lowered(&mut session, names, to).await?;
    // A crash of the source must not raise it again when production writes.
    durable(source, &mut session).await?;
    let after = state(&mut session, names).await?;
    session.close();
    Ok(match after {
        Some(after) if after.is_up() && after.raised.attempt > stamp.attempt => {
            Lowered::Another(after.raised)
        }
        _ if before.is_up() => Lowered::Down,
        _ => Lowered::WasDown,
    })
}

/// Changes a row that writers may hold, again and again until it can be had.
async fn update(session: &mut Session, sql: &str, until: Instant) -> Result<u64> {
    loop {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_string())).execute(session.connection()?).await;
        let error = match done {
            Ok(done) => return Ok(done.rows_affected()),
            Err(error) if is_interrupted(&error) || super::fault::code(&error) == Some(1213) => error,
            Err(error) => return Err(classify(error, &session.place)),
        };
        if Instant::now() >= until {
            let error = classify(error, &session.place);
            let holders = holders(session).await;
            return Err(Error::new(
                Kind::NotConverged,
                format!("{}: writers hold the row of the fence: {holders}", session.place),
            )
            .because(error)
            .remedy("wait for their transactions to end, or end them (KILL); then try again"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until what was committed is on disk.
pub(super) async fn durable(source: &Inner, session: &mut Session) -> Result<()> {
    let position = flush::position(&session.query(flush::POSITION).await?)?;
    flush::flushed(source, session, position).await
}

/// Who has transactions open, for people.
async fn holders(session: &mut Session) -> String {
    let found = people(session, open_transactions()).await;
    if found.is_empty() {
        "transactions that are not visible without the PROCESS privilege".to_string()
    } else {
        found.join(", ")
    }
}
