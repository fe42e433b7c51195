//! Taking the term of the lease, and ending what an earlier holder left behind.

use super::{Sides, check_identity};
use crate::error::Result;
use crate::ledger::Ledger;
use crate::state::AttemptState;

/// Takes the term of the lease, with the lease held. What an earlier holder left behind ends here: its open
/// attempt is void, and the fence of a void attempt is lowered. Dying between leaves a void attempt whose fence
/// may be up: the next holder lowers it, as this asks what the source has and not what happened.
///
/// A fence that the ledger knows nothing of (the target was restored) is left alone: the attempt may have ended
/// well, and only a person can tell.
///
/// # Errors
/// [`Kind::Foreign`](crate::error::Kind) when the source is another database than the one this migration began with: nothing is touched
/// then. When a side can't be reached.
pub async fn take_term(sides: &Sides, ledger: &Ledger) -> Result<Ledger> {
    check_identity(ledger.database(), ledger.read().await?.identity.as_ref(), &sides.identity)?;
    let ledger = ledger.take_term().await?;
    let attempt = ledger.read().await?.attempt;
    let fence = sides.source.fence().await?;
    let database = ledger.database();
    if attempt.state == AttemptState::Final {
        return Ok(ledger);
    }
    if fence.stamp.attempt > attempt.stamp.attempt {
        if fence.raised {
            tracing::warn!(database, attempt = %fence.stamp, "the fence was raised by an attempt that the ledger \
                does not know, and is left alone: `highwater final-sync --lower` lowers it");
        }
        return Ok(ledger);
    }
    // Also where no fence is seen: the raise of an attempt that died may still arrive.
    let lowered = match attempt.stamp.attempt {
        0 => return Ok(ledger),
        _ => sides.source.lower_fence(attempt.stamp).await,
    };
    match lowered {
        // Where capture is gone nothing can be raised either.
        Err(error) if !fence.raised && error.ends_command() => {
            tracing::debug!(database, %error, "there is no fence to lower");
        }
        Err(error) => return Err(error),
        Ok(_) if fence.raised => {
            tracing::warn!(database, attempt = %attempt.stamp, "lowered the fence of an attempt that did not end");
            ledger.event(&format!("cutover attempt {}: its fence is lowered", attempt.stamp)).await?;
        }
        Ok(_) => {}
    }
    Ok(ledger)
}
