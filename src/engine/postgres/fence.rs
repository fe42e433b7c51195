//! The fence as data: the row that says which attempts are lowered, the triggers that attempts have put on
//! change logs, and who may still write.
//!
//! The triggers refuse; the row makes them inert. So a lowered attempt stays lowered whatever of it arrives
//! later (docs/how-it-works.md, "the fence is lowered by data").

use super::connect::literal;
use super::session::{Session, flag, number, query, text};
use super::source::PostgresSource;
use super::sqlstate::code;
use crate::engine::template::fill;
use crate::engine::{Fence, Lowered, Stamp, Writer};
use crate::error::{Error, Kind, Result};
use crate::model::{Plan, quote};

/// The longest that dropping an inert trigger may keep writers waiting, in milliseconds.
const DROP_TIMEOUT: u128 = 100;

/// The one row of the fence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Every attempt below is lowered.
    pub(super) stamp: i64,
    /// The greatest attempt that began to raise.
    pub(super) raised: i64,
    epoch: i64,
}

impl Row {
    fn of(record: &crate::engine::Record) -> Result<Self> {
        Ok(Row { stamp: number(record, 0)?, raised: number(record, 1)?, epoch: number(record, 2)? })
    }

    fn is_raised(&self) -> bool {
        self.raised >= self.stamp
    }
}

/// The fence of an attempt on a change log.
#[derive(Debug)]
pub(super) struct FenceTrigger {
    /// The log's name.
    pub(super) log: String,
    pub(super) attempt: i64,
    /// Whether sessions in replica role meet it too.
    pub(super) always: bool,
}

/// All that is known of the fence.
#[derive(Debug)]
pub(super) struct State {
    /// Missing where row or table was removed.
    pub(super) row: Option<Row>,
    pub(super) triggers: Vec<FenceTrigger>,
}

impl State {
    /// Whether writers are refused. Without the row every trigger refuses.
    pub(super) fn is_raised(&self) -> bool {
        self.row.map_or(!self.triggers.is_empty(), |row| row.is_raised())
    }

    /// The greatest number that was seen, on logs too: a number is never used twice.
    fn stamp(&self) -> Stamp {
        let on_logs = self.triggers.iter().map(|t| t.attempt).max().unwrap_or(0);
        let in_row = self.row.map_or(0, |row| row.stamp.max(row.raised));
        let attempt = in_row.max(on_logs);
        // A row that no attempt has touched says 1.
        Stamp { epoch: self.row.map_or(0, |row| row.epoch), attempt: if attempt <= 1 { 0 } else { attempt } }
    }
}

/// Looks at row and triggers.
pub(super) async fn state(source: &PostgresSource, session: &mut Session) -> Result<State> {
    let s = quote(&source.schema);
    let sql = fill(
        include_str!("../../../sql/postgres/fence_triggers.sql"),
        &[("schema_name", &literal(&source.schema))],
    );
    let mut triggers = Vec::new();
    for row in session.query(sql).await? {
        let (log, attempt) = (text(&row, 0)?.to_string(), number(&row, 1)?);
        triggers.push(FenceTrigger { log, attempt, always: flag(&row, 2) });
    }
    let there = format!("SELECT to_regclass({}) IS NOT NULL", literal(&format!("{s}.fence")));
    let row = if flag(&session.row(there).await?, 0) {
        session.query(format!("SELECT stamp, raised, epoch FROM {s}.fence")).await?.first().map(Row::of)
    } else {
        None
    };
    Ok(State { row: row.transpose()?, triggers })
}

/// As [`Source::fence`](crate::engine::Source::fence).
pub(super) async fn fence(source: &PostgresSource) -> Result<Fence> {
    let mut session = source.session().await?;
    let found = state(source, &mut session).await?;
    session.close();
    Ok(Fence { raised: found.is_raised(), stamp: found.stamp() })
}

/// Notes, durably, that the attempt begins to raise. From here on excluded tables refuse, and logs that are
/// made get the fence.
///
/// # Errors
/// [`Kind::Superseded`] when a later attempt began, or this one is lowered already.
pub(super) async fn begin(source: &PostgresSource, session: &mut Session, stamp: Stamp) -> Result<()> {
    let Stamp { epoch, attempt } = stamp;
    let sql = format!(
        "BEGIN; SET LOCAL synchronous_commit = 'on'; SET LOCAL lock_timeout = '10s'; \
         UPDATE {}.fence SET raised = {attempt}, epoch = {epoch} \
         WHERE raised < {attempt} AND stamp <= {attempt} RETURNING raised; COMMIT",
        quote(&source.schema)
    );
    if !session.query(sql).await?.is_empty() {
        return Ok(());
    }
    let seen = state(source, session).await?.stamp();
    Err(Error::new(
        Kind::Superseded,
        format!("{}: attempt {stamp} can't raise the fence, which has seen {seen}", source.place),
    ))
}

/// As [`Source::lower_fence`](crate::engine::Source::lower_fence): one row, which no log's reader holds.
pub(super) async fn lower(source: &PostgresSource, stamp: Stamp) -> Result<Lowered> {
    let mut session = source.session().await?;
    let (s, n) = (quote(&source.schema), stamp.attempt);
    let found = state(source, &mut session).await?;
    if found.row.is_none() {
        if found.triggers.is_empty() {
            session.close();
            return Ok(Lowered::WasDown);
        }
        let what = format!("{}: the row of {s}.fence is missing, so every fence refuses", source.place);
        let row =
            format!("INSERT INTO {s}.fence (stamp, raised, epoch) VALUES ({}, {n}, {})", n + 1, stamp.epoch);
        return Err(
            Error::refused(what).remedy(format!("{row} (in form of the output of `highwater plan --ddl`)"))
        );
    }
    let sql = format!(
        "BEGIN; SET LOCAL synchronous_commit = 'on'; SET LOCAL lock_timeout = '10s'; \
         SELECT stamp, raised, epoch FROM {s}.fence FOR UPDATE; \
         UPDATE {s}.fence SET stamp = {} WHERE stamp <= {n}; COMMIT",
        n + 1
    );
    let before = Row::of(&session.row(sql).await?)?;
    session.close();
    if before.is_raised() && before.raised > n {
        return Ok(Lowered::Another(Stamp { epoch: before.epoch, attempt: before.raised }));
    }
    Ok(if before.is_raised() { Lowered::Down } else { Lowered::WasDown })
}

/// As [`Source::drop_lowered`](crate::engine::Source::drop_lowered).
pub(super) async fn drop_lowered(source: &PostgresSource) -> Result<bool> {
    let mut session = source.session().await?;
    let found = state(source, &mut session).await?;
    let s = quote(&source.schema);
    let milliseconds = source.lock_timeout.as_millis().clamp(1, DROP_TIMEOUT);
    let mut all = true;
    let stamp = found.row.map_or(0, |row| row.stamp);
    for trigger in found.triggers.iter().filter(|t| t.attempt < stamp) {
        let dropped = session
            .attempt(format!(
                "BEGIN; SET LOCAL lock_timeout = '{milliseconds}ms'; SELECT {s}.drop_fence({}, {}); COMMIT",
                literal(&trigger.log),
                trigger.attempt
            ))
            .await?;
        match dropped {
            Ok(()) => {}
            Err(error) if is_lock(&error) => all = false,
            Err(error) => return Err(super::connect::classify(error, &source.place)),
        }
    }
    session.close();
    Ok(all)
}

/// Whether a lock could not be had in time.
pub(super) fn is_lock(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("55P03" | "40P01"))
}

/// As [`Source::prepared`](crate::engine::Source::prepared).
pub(super) async fn prepared(source: &PostgresSource) -> Result<Vec<Writer>> {
    let sql = "SELECT p.gid, format('prepared transaction %L (%s, since %s)', p.gid, p.owner, p.prepared) \
               FROM pg_prepared_xacts AS p WHERE p.database = current_database()";
    query(&source.pool, &source.place, sql).await?.iter().map(writer).collect()
}

/// As [`Source::writers`](crate::engine::Source::writers).
pub(super) async fn writers(source: &PostgresSource, plan: &Plan) -> Result<Vec<Writer>> {
    if plan.tables.is_empty() {
        return Ok(Vec::new());
    }
    let labels: Vec<String> = plan.tables.iter().map(|t| literal(&t.label())).collect();
    let sql = fill(
        include_str!("../../../sql/postgres/writers.sql"),
        &[("s", &quote(&source.schema)), ("labels", &labels.join(", "))],
    );
    query(&source.pool, &source.place, sql).await?.iter().map(writer).collect()
}

fn writer(row: &crate::engine::Record) -> Result<Writer> {
    Ok(Writer { id: text(row, 0)?.to_string(), who: text(row, 1)?.to_string() })
}
