//! The fence goes up, what was written before it is applied, and the target is final; or it comes down again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::lower::{GivenUp, give_up};
use super::outage::{Clock, Step};
use super::{FinalSync, LOOK, Prepared, Ready, Remains, Verdict, compare, look};
use crate::checkpoint::{self, Rows};
use crate::engine::Stamp;
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::ledger::{AttemptState, TableEntry};
use crate::metrics;
use crate::pair::Pair;
use crate::point;

/// How long the target may take to record that it is final: to break that off would leave it unknown.
const RECORDING: Duration = Duration::from_secs(30);

impl Ready {
    /// Gives the lease back without having raised the fence.
    pub(super) async fn give_back(self, reasons: Vec<String>) -> Result<FinalSync> {
        let Ready { sync, mut report, .. } = self;
        sync.lease.release().await?;
        report.reasons.extend(reasons);
        Ok(report.finish().gave_up("the fence was not raised: production was not held up"))
    }

    /// Applies what was written since it was checked, so that little is left for the outage.
    pub(super) async fn approach(mut self: Box<Self>) -> Result<Prepared> {
        self.sync.step("draining once more before the fence");
        self.sync.deadline = self.sync.deadline.max(Instant::now() + self.sync.options.timeout / 2);
        let barrier = point::drain(&mut self.sync.worker()).await?;
        let reasons = look::reasons(&self.sync.pair, Some(&barrier)).await?;
        if reasons.is_empty() {
            return Ok(Prepared::Ready(self));
        }
        Ok(Prepared::Ended(Box::new(self.give_back(reasons).await?)))
    }

    /// Raises the fence and ends final; else lowers it again. The outage is bounded by the deadline and by a
    /// signal to stop, whatever is being done.
    pub(super) async fn fence(mut self: Box<Self>) -> Result<FinalSync> {
        let pair = self.sync.pair.clone();
        self.sync.lease.check().await?;
        let seen = pair.sides.source.fence().await?;
        let stamp = pair.ledger.open_attempt(seen.stamp).await?;
        fault::point("after_attempt_opened").await?;
        self.sync.deadline = Instant::now() + self.sync.options.timeout;
        let (deadline, stop) = (self.sync.deadline, self.sync.stop.clone());
        let mut clock = Clock::start(&pair.database.name);
        let outcome = tokio::select! {
            outcome = timeout_at(deadline, self.under_fence(stamp, &mut clock)) => outcome.ok(),
            () = stop.cancelled() => Some(Err(broken_off(&pair, "it was stopped"))),
        };
        let at = clock.at();
        let outcome = outcome.unwrap_or_else(|| Err(broken_off(&pair, "time is up")));
        let outcome = outcome.map_err(|e| e.at(format!("under the fence, step {at}")));
        let mut report = match outcome {
            Ok((report, tables)) if report.converged => match conclude(&pair, stamp, &clock, &tables).await {
                Ok(()) => report,
                Err(error) => return self.gave_up(stamp, Err(error)).await,
            },
            outcome => return self.gave_up(stamp, outcome.map(|(report, _)| report)).await,
        };
        let outage = clock.end();
        metrics::outage(&pair.database.name, outage.seconds);
        report.outage = Some(outage);
        fault::point("after_final").await?;
        self.sync.lease.release().await?;
        Ok(report)
    }

    /// Nothing is copied, created or fully resynced here. Gives the tables too as they were looked at.
    async fn under_fence(&mut self, stamp: Stamp, clock: &mut Clock) -> Result<(FinalSync, Vec<TableEntry>)> {
        let pair = self.sync.pair.clone();
        let source = &pair.sides.source;
        clock.step(Step::Raise);
        source.raise_fence(&pair.plan, stamp, self.sync.deadline.into_std()).await?;
        fault::point("after_fence_raised").await?;
        tracing::info!(database = %pair.database.name, %stamp, "the fence is up");
        clock.step(Step::Prove);
        source.prove_fence(&pair.plan, stamp).await?;
        self.no_prepared(&pair).await?;
        clock.step(Step::Drain);
        let barrier = point::drain(&mut self.sync.worker()).await?;
        clock.step(Step::Sequences);
        let moved = point::move_sequences(&pair, None).await?;
        let (behind, remarks) = look::sequences(&pair).await?;
        clock.step(Step::Check);
        let tables = pair.ledger.read().await?.tables;
        let mut report = self.sync.report(Verdict::Final, Some(&barrier)).await?;
        report.take_before(&self.report, moved, remarks);
        report.reasons.extend(behind);
        if self.remains == Remains::RowsAndCheckpoints {
            report.take_counts(&Ok(compare::rows(&pair).await?));
            let checkpoints = &pair.database.checkpoints;
            let target = pair.sides.target.as_ref();
            report.take_checkpoints(checkpoint::run(target, checkpoints, &Rows::AtRest).await?);
        }
        // The fence must have been up all the time, under our number, and the lease ours. A routine of the
        // application's that caught the refusal and kept its row is found by the proof.
        source.prove_fence(&pair.plan, stamp).await?;
        let found = source.fence().await?;
        if !found.raised || found.stamp != stamp {
            let what =
                format!("the fence is not that of attempt {stamp} any more: it has seen {}", found.stamp);
            report.reasons.push(what);
        }
        self.sync.lease.check().await?;
        Ok((report.finish(), tables))
    }

    /// Prepared transactions have passed the fence already and commit when they like.
    async fn no_prepared(&self, pair: &Pair) -> Result<()> {
        loop {
            let left = pair.sides.source.prepared().await?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() + LOOK >= self.sync.deadline {
                let who: Vec<String> = left.into_iter().map(|w| w.who).collect();
                let what = format!("prepared transactions are open: {}", who.join("; "));
                return Err(Error::new(Kind::NotConverged, what).remedy("commit them or roll them back"));
            }
            sleep(LOOK).await;
        }
    }

    /// Gives the attempt up, and says what became of its fence.
    async fn gave_up(self, stamp: Stamp, outcome: Result<FinalSync>) -> Result<FinalSync> {
        let pair = self.sync.pair.clone();
        let failure = match &outcome {
            Ok(report) => report.reasons.join("; "),
            Err(error) => error.summary(),
        };
        tracing::warn!(database = %pair.database.name, reason = %failure, "the attempt is given up");
        let became = give_up(&pair.ledger, &pair.sides.source, stamp).await;
        let text = became.text();
        tracing::warn!(database = %pair.database.name, "{text}");
        if let Err(error) = self.sync.lease.release().await {
            tracing::debug!(%error, "the lease ends with its session");
        }
        match (outcome, became) {
            (Ok(report), GivenUp::Final) => Ok(report),
            (Ok(report), _) => Ok(report.gave_up(&text)),
            (Err(error), GivenUp::Down) => Err(error.remedy(format!("{text}; then try again"))),
            (Err(error), _) => Err(error.remedy(text)),
        }
    }
}

fn broken_off(pair: &Pair, why: &str) -> Error {
    let what = format!("database {}: {why} before the target was final", pair.database.name);
    Error::new(Kind::NotConverged, what)
}

/// Records that the target is final. When the answer is lost, the ledger knows.
async fn conclude(pair: &Arc<Pair>, stamp: Stamp, clock: &Clock, tables: &[TableEntry]) -> Result<()> {
    fault::point("before_final").await?;
    let recording = timeout(RECORDING, pair.ledger.make_final(stamp, clock.milliseconds(), tables)).await;
    let error = match recording {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_) => Error::new(Kind::Unavailable, "the target does not answer"),
    };
    let attempt = timeout(RECORDING, pair.ledger.read()).await;
    match attempt {
        Ok(Ok(entry)) if entry.attempt.stamp == stamp && entry.attempt.state == AttemptState::Final => Ok(()),
        _ => Err(error),
    }
}
