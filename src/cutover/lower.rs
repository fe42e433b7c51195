//! Lowering the fence: the state first, then the fence.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::{Fence, Lowered, Source, Stamp};
use crate::error::{Error, Policy, Result};
use crate::fault;
use crate::ledger::{Actor, Ledger, Voidable, Voided};
use crate::pair;
use crate::settings::{DatabaseSettings, Settings};

/// How long a side that does not answer is tried: production waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// How often what lowered fences have left is tried to be dropped; the source drops the rest later.
const DROPS: u32 = 5;

/// What became of an attempt that was given up, and of its fence.
#[derive(Debug)]
pub(super) enum GivenUp {
    /// The fence is down, and nothing of the attempt can raise it any more.
    Down,
    /// The fence of a later attempt is up and was left alone.
    Another(Stamp),
    /// The attempt is final after all: the fence stays.
    Final,
    /// The target could not be reached: the attempt may be final, so the fence stays.
    TargetAway(Error),
    /// The attempt is void, but the source could not be reached.
    SourceAway(Error),
}

impl GivenUp {
    /// For people: what is the case, and what to do.
    pub(super) fn text(&self) -> String {
        match self {
            GivenUp::Down => "the fence is lowered: production writes again".to_string(),
            GivenUp::Another(stamp) => {
                format!("the fence of attempt {stamp}, which began later, is up, and was left alone")
            }
            GivenUp::Final => "the attempt is final after all: the fence stays up".to_string(),
            GivenUp::TargetAway(error) => format!(
                "THE FENCE STAYS UP, production can't write: the attempt can't be made void on the target ({}); \
                 `highwater final-sync --lower` once the target is reachable",
                error.summary()
            ),
            GivenUp::SourceAway(error) => format!(
                "THE FENCE MAY STAY UP: the attempt is void, but the source can't be reached ({}); `highwater \
                 final-sync --lower` once it is",
                error.summary()
            ),
        }
    }
}

/// Makes an attempt void that did not become final, then lowers its fence, and no other one.
///
/// Dying between leaves a database that replays behind a fence that is up: `--lower` lowers it.
pub(super) async fn give_up(ledger: &Ledger, source: &Arc<dyn Source>, stamp: Stamp) -> GivenUp {
    let voided = patiently(|| ledger.make_void(stamp, Voidable::Open)).await;
    match voided {
        Err(error) => return GivenUp::TargetAway(error),
        Ok(Voided::Final) => return GivenUp::Final,
        Ok(Voided::Void) => {}
    }
    let lowered = match fault::point("before_fence_lowered").await {
        Ok(()) => patiently(|| source.lower_fence(stamp)).await,
        Err(error) => Err(error),
    };
    match lowered {
        Err(error) => GivenUp::SourceAway(error),
        Ok(Lowered::Another(stamp)) => GivenUp::Another(stamp),
        Ok(Lowered::Down | Lowered::WasDown) => {
            drop_lowered(source.as_ref()).await;
            GivenUp::Down
        }
    }
}

/// Tries until it is done, or refused, or [`PATIENCE`] is over.
async fn patiently<T, F: Future<Output = Result<T>>>(mut work: impl FnMut() -> F) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let error = match timeout(left, work()).await {
            Ok(Err(error)) if error.policy() == Policy::Retry => error,
            Ok(done) => return done,
            Err(_) => return Err(Error::failed("it does not answer")),
        };
        if Instant::now() + PAUSE >= until {
            return Err(error);
        }
        sleep(PAUSE).await;
    }
}

/// What lowered fences have left does no harm: it is no error if it stays.
async fn drop_lowered(source: &dyn Source) {
    for _ in 0..DROPS {
        match source.drop_lowered().await {
            Ok(true) => return,
            Ok(false) => sleep(PAUSE).await,
            Err(error) => {
                tracing::debug!(%error, "what a lowered fence has left is dropped later");
                return;
            }
        }
    }
}

/// What `--lower` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoweredFence {
    /// The fence as it was found.
    pub found: Fence,
    /// Whether it was up, or might have been, until now.
    pub lowered: bool,
    /// The later attempt whose fence was left alone, if one was.
    pub left_alone: Option<Stamp>,
}

/// Lowers the fence that is up, whichever attempt raised it, and takes a final phase back. A person asked for it.
///
/// # Errors
/// When the target can't be reached to make the attempt void: the fence stays then. When the source can't be
/// reached: the attempt is void then.
pub async fn lower(
    settings: &Arc<Settings>,
    database: &DatabaseSettings,
    actor: &Actor,
    wait: Duration,
) -> Result<LoweredFence> {
    let away = |e: Error| e.remedy("THE FENCE STAYS as it is: once the target is reachable, run this again");
    let target = pair::target(database, settings).await.map_err(away)?;
    let ledger = super::ledger(&target, database, actor).await?;
    let stop = CancellationToken::new();
    let lease = super::lease_of(target.as_ref(), &ledger, Instant::now() + wait, &stop).await?;
    let outcome = lower_under_lease(settings, database, &ledger).await;
    let released = lease.release().await;
    let outcome = outcome?;
    released?;
    Ok(outcome)
}

async fn lower_under_lease(
    settings: &Arc<Settings>,
    database: &DatabaseSettings,
    ledger: &Ledger,
) -> Result<LoweredFence> {
    // What is out of reach now does not keep the attempt from being made void.
    let source = pair::source(database, settings).await;
    let found = match &source {
        Ok(source) => source.fence().await,
        Err(error) => Err(Error::failed(error.summary())),
    };
    let last = ledger.read().await?.attempt.stamp;
    fault::point("before_attempt_void").await?;
    ledger.make_void(last, Voidable::Final).await?;
    fault::point("before_fence_lowered").await?;
    let void = |e: Error| {
        e.at(format!("database {}: the attempt is void, but the fence can't be lowered", database.name))
            .remedy("THE FENCE MAY STAY UP: run `highwater final-sync --lower` again once the source is reachable")
    };
    let source = source.map_err(void)?;
    let found = found.map_err(void)?;
    // A raise of the last attempt that arrives late has to find a greater number, too.
    let greatest = found.stamp.attempt.max(last.attempt);
    let stamp = Stamp { epoch: last.epoch, attempt: greatest - greatest % 2 };
    let lowered = source.lower_fence(stamp).await.map_err(void)?;
    fault::point("after_fence_lowered").await?;
    drop_lowered(source.as_ref()).await;
    Ok(match lowered {
        Lowered::Down => LoweredFence { found, lowered: true, left_alone: None },
        Lowered::WasDown => LoweredFence { found, lowered: false, left_alone: None },
        Lowered::Another(stamp) => LoweredFence { found, lowered: false, left_alone: Some(stamp) },
    })
}
