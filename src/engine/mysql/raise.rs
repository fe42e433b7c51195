//! Raising the fence by DDL on the change logs, and clearing up behind it.
//!
//! A trigger on a log is no row: no snapshot hides it. Making it waits, by the log's metadata lock, for
//! every session that has written that log; writers that come later queue up behind, so each attempt waits a second
//! at most (`lock_wait_timeout`, which also ends the request of a client that is gone), and between two the
//! writers get through. One log at a time: to lock several would deadlock with writers of several tables.
//! The order, each step durable before the next:
//!
//! 1. `raised` is n ([`fence::begin`]). Dying here leaves a fence that refuses no writer and that lowering ends.
//! 2. The triggers. Dying here, or one that arrives late, leaves triggers that refuse until n is lowered, and
//!    never again after that.
//! 3. A look whether all of it is there, under the same numbers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::capture::{self, Trigger};
use super::facts::{self, Facts};
use super::fault::{classify, code, is_interrupted};
use super::fence::{self, PAUSE, durable, superseded};
use super::inspect::Outlook;
use super::install::take_turns;
use super::lock::{nobody_writes, users};
use super::names::Names;
use super::session::{Session, records};
use super::source::Inner;
use super::value::quote;
use super::writers::{self, Old};
use crate::engine::{Fault, Stamp, Writer};
use crate::error::{Error, Kind, Result};
use crate::model::Plan;

/// A writer that has been open for longer keeps the fence from being tried: others would queue up behind it.
const OLDEST: Duration = Duration::from_secs(3);

/// How long one attempt to make or drop a trigger keeps writers waiting, in seconds. Triggers take the
/// `sql_mode` along.
const SETTINGS: &str = "SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, sql_mode = ''";

/// How one statement of DDL ended.
enum Attempt {
    Done,
    /// A lock could not be had in time.
    Locked(Error),
}

/// Raises the fence. See [`crate::engine::Source::raise_fence`].
pub(super) async fn raise(source: &Inner, plan: &Plan, stamp: Stamp, until: Instant) -> Result<()> {
    let mut session = source.server.session().await?;
    session.execute(SETTINGS).await?;
    intact(source, &mut session, plan).await?;
    quiet(source, plan, until).await?;
    fence::begin(source, &mut session, stamp, until).await?;
    for trigger in wanted(&source.names, plan, stamp) {
        put(source, &mut session, &trigger, until).await?;
    }
    confirm(source, &mut session, plan, stamp).await?;
    durable(source, &mut session).await
    // The session is dropped with its settings.
}

/// The fence's triggers of an attempt: on each change log, and on the table that a write meets whose log is gone.
pub(super) fn wanted(names: &Names, plan: &Plan, stamp: Stamp) -> Vec<Trigger> {
    let logs = plan.tables.iter().map(|table| names.log_name(&table.source.name));
    logs.chain([names.missed_name()])
        .map(|table| capture::fence_trigger(names, &table, stamp.attempt))
        .collect()
}

/// A table without sound capture has no log that could refuse its writers.
async fn intact(source: &Inner, session: &mut Session, plan: &Plan) -> Result<()> {
    let names = &source.names;
    let mut facts = Facts::read(session, names, source.server.flavour).await?;
    facts.planned = source.planned();
    let graph = facts::graph(session, names, source.server.flavour).await?;
    let subjects = capture::subjects(names, plan, &graph);
    facts.look_closer(session, subjects.iter().flat_map(|s| &s.triggers)).await?;
    let outlook = Outlook { names, facts: &facts, grants: None };
    for subject in &subjects {
        let Some(fault) = outlook.fault(subject) else { continue };
        let (Fault::Mend(what) | Fault::Stop { what, .. }) = fault;
        return Err(Error::new(
            Kind::NotConverged,
            format!("{}: the fence is not raised: {}: {what}", source.server.place, subject.label()),
        )
        .remedy("let `highwater run` repair capture, then try again"));
    }
    Ok(())
}

/// Waits, without a lock, until no writer is open for long. Where the server does not tell who has written a
/// log, and the logs are never free at a glance, half of the time is spent on that.
async fn quiet(source: &Inner, plan: &Plan, until: Instant) -> Result<()> {
    let now = Instant::now();
    let half = now + until.saturating_duration_since(now) / 2;
    let logs: Vec<String> = plan.tables.iter().map(|t| source.names.log(&t.source.name)).collect();
    loop {
        match writers::older_than(source, plan, OLDEST).await? {
            Old::Writers(old) | Old::Perhaps(old) if old.is_empty() => return Ok(()),
            Old::Writers(old) if Instant::now() + PAUSE >= until => return Err(too_old(source, &old)),
            Old::Writers(_) => {}
            Old::Perhaps(_) if Instant::now() >= half || logs.is_empty() => return Ok(()),
            Old::Perhaps(_) if nobody_writes(&source.server, &logs).await? => return Ok(()),
            Old::Perhaps(_) => {}
        }
        sleep(PAUSE).await;
    }
}

fn too_old(source: &Inner, old: &[Writer]) -> Error {
    let who: Vec<&str> = old.iter().map(|w| w.who.as_str()).collect();
    Error::new(
        Kind::NotConverged,
        format!(
            "{}: the fence is not raised: writers are open for more than {OLDEST:?}: {}",
            source.server.place,
            who.join("; ")
        ),
    )
    .remedy("wait for their transactions to end, or end them (KILL); then try again")
}

/// Makes one trigger, again and again until its log can be locked.
async fn put(source: &Inner, session: &mut Session, trigger: &Trigger, until: Instant) -> Result<()> {
    loop {
        match attempt(session, &trigger.create()).await? {
            Attempt::Done => return Ok(()),
            Attempt::Locked(_) if Instant::now() + PAUSE < until => sleep(PAUSE).await,
            Attempt::Locked(error) => {
                let who = users(session, source.server.flavour, &trigger.database, &trigger.table).await;
                return Err(Error::new(
                    Kind::NotConverged,
                    format!(
                        "{}: the fence could not be raised on {} in time; the change log is in use by {who}",
                        source.server.place, trigger.table
                    ),
                )
                .because(error)
                .remedy("end these transactions, or the backup that keeps DDL waiting; then try again"));
            }
        }
    }
}

async fn attempt(session: &mut Session, sql: &str) -> Result<Attempt> {
    match records(session.connection()?, sql).await {
        Ok(_) => Ok(Attempt::Done),
        // The trigger is there: an answer was lost. Its text is compared at the end.
        Err(error) if code(&error) == Some(1359) => Ok(Attempt::Done),
        Err(error) if is_interrupted(&error) || code(&error) == Some(1213) => {
            Ok(Attempt::Locked(classify(error, &session.place)))
        }
        Err(error) => Err(classify(error, &session.place)),
    }
}

/// Looks whether all triggers stand, and whether the attempt has not been lowered meanwhile.
async fn confirm(source: &Inner, session: &mut Session, plan: &Plan, stamp: Stamp) -> Result<()> {
    let names = &source.names;
    let place = &source.server.place;
    let state = fence::state(session, names).await?;
    let Some(state) = state else {
        return Err(Error::new(Kind::NotConverged, format!("{place}: the fence has lost its row")));
    };
    if !state.stands(stamp.attempt) {
        return Err(superseded(place, stamp, &state));
    }
    let mut facts = Facts::default();
    facts.read_triggers(session, names).await?;
    let wanted = wanted(names, plan, stamp);
    facts.look_closer(session, wanted.iter()).await?;
    match wanted.iter().find_map(|trigger| facts.trigger_fault(trigger)) {
        None => Ok(()),
        Some(fault) => Err(Error::new(Kind::NotConverged, format!("{place}: the fence is not up: {fault}"))),
    }
}

/// Drops the triggers of attempts that are lowered, each in one short attempt; true when none is left.
pub(super) async fn drop_lowered(source: &Inner) -> Result<bool> {
    let names = &source.names;
    let mut session = source.server.session().await?;
    session.execute(SETTINGS).await?;
    let Some(state) = fence::state(&mut session, names).await? else { return Ok(true) };
    let mut left = false;
    for (_, name) in
        fence::triggers(&mut session, names).await?.into_iter().filter(|(n, _)| *n < state.lowered)
    {
        let sql = format!("DROP TRIGGER IF EXISTS {}.{}", quote(&names.capture), quote(&name));
        left |= matches!(attempt(&mut session, &sql).await?, Attempt::Locked(_));
    }
    Ok(!left)
}

/// Makes and drops a trigger of the fence on a table of highwater's own.
pub(super) async fn attempt_ddl(source: &Inner) -> Result<()> {
    let names = &source.names;
    let mut session = source.server.session().await?;
    session.execute(SETTINGS).await?;
    take_turns(&mut session, names).await?;
    let trial = capture::trial_trigger(names);
    for sql in [trial.remove(), trial.create(), trial.remove()] {
        match attempt(&mut session, &sql).await {
            Ok(Attempt::Done) => {}
            Ok(Attempt::Locked(error)) => {
                return Err(Error::new(
                    Kind::Unavailable,
                    format!("{}: the server keeps DDL waiting: the fence can't be raised now", session.place),
                )
                .because(error)
                .remedy(
                    "wait for the backup to end that holds the lock (LOCK INSTANCE FOR BACKUP, BACKUP STAGE)",
                ));
            }
            Err(error) if matches!(error.kind(), Kind::Table | Kind::Refused) => {
                let grant = format!("GRANT TRIGGER ON {}.* TO the user of the URL", quote(&names.capture));
                let has_remedy = error.kind() == Kind::Refused;
                let refused = Error::refused(format!("the fence can't be raised: {}", error.summary()));
                return Err(if has_remedy {
                    refused.remedy("SET GLOBAL log_bin_trust_function_creators = 1, as binary logging is on")
                } else {
                    refused.remedy(grant)
                });
            }
            Err(error) => return Err(error),
        }
    }
    fence::attempt_lowering(&mut session, names).await?;
    session.execute("DO RELEASE_ALL_LOCKS()").await.map(|_| ())
}
