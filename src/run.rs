//! The daemon: every database followed until told to stop, with its lease, through lost connections.

mod attempts;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::engine::Lease;
use crate::error::{Error, Kind, Result};
use crate::follow::{Ended, Follow, Goal};
use crate::ledger::{Actor, Ledger};
use crate::metrics;
use crate::pair::{self, Sides};
use crate::settings::{DatabaseSettings, Settings};
use crate::status::{Board, DatabaseStatus, Role};
use crate::{descriptors, http, schedule, upgrade};
use attempts::{Attempts, Hopes, Next};

/// Between two looks of a standby at the lease.
const STANDBY: Duration = Duration::from_millis(500);
/// A request for the lease is void after this: who asked is gone.
const REQUEST_VOID: Duration = Duration::from_secs(15);

/// A board for each database, which knows nothing yet.
pub fn boards(settings: &Settings) -> Vec<Board> {
    settings
        .databases
        .iter()
        .map(|d| {
            let mut status = DatabaseStatus::unknown(&d.name, &d.source, &d.target, Role::Connecting);
            status.upgrade_follows = d.upgrade.is_after_copy();
            Board::new(status)
        })
        .collect()
}

/// Copies if needed, then replays until `stop`; serves metrics and the page meanwhile. A database that
/// can't go on leaves the others running, and is tried again as long as they do.
///
/// # Errors
/// The first database's error, once none is left running; or that the address can't be listened on.
pub async fn daemon(
    settings: Arc<Settings>,
    actor: Actor,
    boards: Vec<Board>,
    stop: CancellationToken,
) -> Result<()> {
    descriptors::raise_limit();
    let handle = metrics::install()?;
    let mut services = JoinSet::new();
    if let Some(address) = settings.http.listen {
        let listener = TcpListener::bind(address).await.map_err(|e| {
            Error::usage(format!("can't listen on {address}")).because(e).remedy(
                "is another highwater running? set http.listen to a free address, or to \"\" for none",
            )
        })?;
        tracing::info!(%address, "metrics and status page");
        services.spawn(http::serve(listener, boards.clone(), settings.clone(), handle, stop.clone()));
    }
    services.spawn(publish(boards.clone(), stop.clone()));
    let (ticks, purges): (Vec<_>, Vec<_>) = boards.iter().map(|_| mpsc::channel(1)).unzip();
    let _schedule = schedule::start(&settings.schedule, ticks).await?;
    let outcome = follow_all(&settings, &actor, boards, purges, Until::Stopped, &stop).await;
    stop.cancel();
    services.join_all().await;
    outcome
}

/// Copies every table of every database, and ends.
///
/// # Errors
/// [`Kind::Refused`] when a daemon holds the lease; [`Kind::NotConverged`] when a table could not be
/// copied; else the first database's error.
pub async fn copy(
    settings: Arc<Settings>,
    actor: Actor,
    boards: Vec<Board>,
    stop: CancellationToken,
) -> Result<()> {
    let purges = boards.iter().map(|_| mpsc::channel(1).1).collect();
    follow_all(&settings, &actor, boards, purges, Until::Copied, &stop).await
}

async fn publish(boards: Vec<Board>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let statuses: Vec<DatabaseStatus> = boards.iter().map(Board::status).collect();
        metrics::publish(&statuses);
        tokio::select! {
            () = sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => {}
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Stopped,
    Copied,
}

async fn follow_all(
    settings: &Arc<Settings>,
    actor: &Actor,
    boards: Vec<Board>,
    purges: Vec<mpsc::Receiver<()>>,
    until: Until,
    stop: &CancellationToken,
) -> Result<()> {
    let mut running = JoinSet::new();
    let hopes = Hopes::of(settings.databases.len());
    for ((database, board), purge) in settings.databases.iter().zip(boards).zip(purges) {
        let leg = Leg {
            settings: settings.clone(),
            database: database.clone(),
            actor: actor.clone(),
            board,
            until,
            stop: stop.clone(),
        };
        running.spawn(leg.supervise(purge, Attempts::new(until, hopes.one())));
    }
    let mut first = Ok(());
    while let Some(ended) = running.join_next().await {
        let ended = ended.map_err(|e| Error::failed("a database's task died").because(e))?;
        if let Err(error) = ended {
            if first.is_err() || !running.is_empty() {
                tracing::error!(%error, others_running = running.len(), "a database can't go on");
            }
            first = first.and(Err(error));
        }
    }
    first
}

/// One database under supervision.
struct Leg {
    settings: Arc<Settings>,
    database: DatabaseSettings,
    actor: Actor,
    board: Board,
    until: Until,
    stop: CancellationToken,
}

impl Leg {
    /// Follows the database, connecting again whenever something went away, for as long as it takes.
    async fn supervise(self, mut purge: mpsc::Receiver<()>, mut attempts: Attempts) -> Result<()> {
        loop {
            let error = match self.once(&mut purge, &mut attempts).await {
                Ok(Ended::Asked) => continue,
                Ok(Ended::Reached) => return self.copied(),
                Ok(Ended::Stopped) => return Ok(()),
                Err(error) => error,
            };
            metrics::error(error.kind());
            self.board.update(|status| {
                status.role = Role::Connecting;
                status.error = Some(error.summary());
                status.forget_measures();
            });
            let next = attempts.after(&error);
            self.tell(&error, next);
            let wait = match next {
                Next::End => return Err(error),
                Next::Retry(wait) | Next::RetryBeside(wait) => wait,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = attempts.is_last(), if matches!(next, Next::RetryBeside(_)) => return Err(error),
                () = self.stop.cancelled() => return Ok(()),
            }
        }
    }

    fn tell(&self, error: &Error, next: Next) {
        let (database, fix, said) = (&self.database.name, error.remedy_text(), error.summary());
        match next {
            Next::Retry(wait) => tracing::warn!(%database, error = %said, fix,
                next_try_seconds = wait.as_secs_f64(), "interrupted"),
            Next::RetryBeside(wait) => tracing::error!(%database, error = %said, fix,
                next_try_seconds = wait.as_secs_f64(), "refused, and tried again while other databases are served"),
            Next::End => {}
        }
    }

    fn copied(&self) -> Result<()> {
        let stopped: Vec<String> = self
            .board
            .status()
            .tables
            .iter()
            .filter(|t| t.state != crate::state::TableState::Replaying)
            .map(|t| format!("{}: {}", t.table, t.reason.clone().unwrap_or_else(|| t.state.to_string())))
            .collect();
        if stopped.is_empty() {
            return Ok(());
        }
        let what = format!("database {}: not copied: {}", self.database.name, stopped.join("; "));
        Err(Error::new(Kind::NotConverged, what).remedy("mend what is named there, and run it again"))
    }

    async fn once(&self, purge: &mut mpsc::Receiver<()>, attempts: &mut Attempts) -> Result<Ended> {
        let sides = tokio::select! {
            sides = pair::connect(&self.database, &self.settings) => sides?,
            () = self.stop.cancelled() => return Ok(Ended::Stopped),
        };
        if self.until == Until::Copied {
            self.refuse_while_upgrading(&sides).await?;
        }
        let Some(mut lease) = self.lease(&sides, attempts).await? else { return Ok(Ended::Stopped) };
        let (pair, generations) =
            pair::prepare(&sides, &self.database, &self.settings, &self.actor, &self.board).await?;
        attempts.works();
        tracing::info!(database = %self.database.name, tables = pair.plan.tables.len(), plan = %pair.plan.hash, "following");
        self.board.update(|status| {
            status.role = Role::Active;
            status.error = None;
        });
        let goal = match self.until {
            Until::Stopped => Goal::Forever,
            Until::Copied => Goal::Copied,
        };
        let follow = Follow::new(Arc::new(pair), goal, self.stop.clone()).await?;
        let ended = follow.run(&generations, lease.as_mut(), purge).await?;
        lease.release().await?;
        Ok(ended)
    }

    async fn refuse_while_upgrading(&self, sides: &Sides) -> Result<()> {
        match Ledger::peek(sides.target.clone(), &self.database.name, self.actor.clone()).await? {
            Some(ledger) => upgrade::refuse_while_upgrading(&self.database.name, &ledger.read().await?),
            None => Ok(()),
        }
    }

    /// Waits for the lease, as a standby; `None` when told to stop.
    async fn lease(&self, sides: &Sides, attempts: &mut Attempts) -> Result<Option<Box<dyn Lease>>> {
        let mut told = false;
        loop {
            let ledger = Ledger::peek(sides.target.clone(), &self.database.name, self.actor.clone()).await?;
            if !asked_by_another(ledger.as_ref()).await? {
                if let Some(lease) = sides.target.try_lease(&self.database.name).await? {
                    return Ok(Some(lease));
                }
                if self.until == Until::Copied {
                    return Err(held(ledger.as_ref(), &self.database.name).await);
                }
            }
            let entry = match &ledger {
                Some(ledger) => Some(ledger.read().await?),
                None => None,
            };
            attempts.works();
            self.board.update(|status| {
                status.role = Role::Standby;
                status.error = None;
                if let Some(entry) = &entry {
                    status.take_entry(entry, None);
                }
            });
            if !told {
                tracing::info!(database = %self.database.name, "standing by: another process holds the lease");
                told = true;
            }
            tokio::select! {
                () = sleep(STANDBY) => {}
                () = self.stop.cancelled() => return Ok(None),
            }
        }
    }
}

/// Whether a one-shot command waits for the lease, and is still there to take it.
async fn asked_by_another(ledger: Option<&Ledger>) -> Result<bool> {
    let Some(ledger) = ledger else { return Ok(false) };
    let Some((_, since)) = ledger.requested().await? else { return Ok(false) };
    if Utc::now().timestamp().saturating_sub(since).unsigned_abs() <= REQUEST_VOID.as_secs() {
        return Ok(true);
    }
    ledger.request_lease(false).await?;
    Ok(false)
}

/// The error that another process holds the lease.
pub async fn held(ledger: Option<&Ledger>, database: &str) -> Error {
    let holder = match ledger {
        Some(ledger) => ledger.read().await.ok().and_then(|e| e.holder),
        None => None,
    };
    let holder =
        holder.map_or_else(|| "another process".to_string(), |(who, since)| format!("{who}, since {since}"));
    Error::refused(format!("database {database}: the lease is held by {holder}"))
        .remedy("stop that process first (a running daemon copies by itself; see `highwater status`)")
}
