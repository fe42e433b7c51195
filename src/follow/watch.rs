//! What the loop looks at from time to time: capture, lag, stopped tables, covered log entries.

use tokio::time::{Duration, Instant, sleep};

use super::{Done, Follow, Job};
use crate::engine::{Fault, Watch};
use crate::error::{Error, Kind, Result};
use crate::model::{Phase, TablePlan, TableState, Watermark};
use crate::pair::{self, Pair};
use crate::plan;

/// How many steps a purge of one table takes at most before it makes way, and the pause between two.
const PURGE_STEPS: u32 = 50;
const PURGE_PAUSE: Duration = Duration::from_millis(20);

impl Follow {
    /// Checks capture and measures lags, once a second.
    pub(super) async fn look(&mut self) -> Result<()> {
        let verdicts = self.pair.sides.source.inspect(&self.pair.plan).await?;
        let mut mend = false;
        let mut sound = true;
        for verdict in verdicts {
            match verdict.fault {
                None => {}
                Some(Fault::Mend(what)) => {
                    sound = false;
                    mend = true;
                    tracing::warn!(table = %verdict.label, what, "capture is mended");
                }
                Some(Fault::Stop { what, remedy }) => {
                    let free =
                        self.tables.get(&verdict.label).is_some_and(|t| t.state != TableState::Stopped);
                    if free && !self.rests {
                        self.stop_table(&verdict.label, &format!("{what}; to do: {remedy}")).await?;
                    }
                }
            }
        }
        if mend && !self.mending {
            self.start_mend();
        }
        self.asked = self.pair.ledger.requested().await?.is_some();
        self.pair.board.update(|status| {
            status.capture_sound = sound;
            status.inspected_at = Some(Instant::now());
        });
        self.measure().await
    }

    fn start_mend(&mut self) {
        self.mending = true;
        let pair = self.pair.clone();
        let mend = async move {
            let generations = pair.sides.source.install(&pair.plan, &|_| {}).await?;
            Ok(Done::Mended(generations.into_iter().collect()))
        };
        self.jobs.spawn(async move { (Job::Mend, mend.await) });
    }

    async fn measure(&mut self) -> Result<()> {
        let watched: Vec<(&String, Watch<'_>)> =
            self.tables.iter().filter_map(|(l, t)| Some((l, t.watch()?))).collect();
        let labels: Vec<String> = watched.iter().map(|(l, _)| (*l).clone()).collect();
        let watches: Vec<Watch<'_>> = watched.into_iter().map(|(_, w)| w).collect();
        let measures = self.pair.sides.source.measure(&watches).await?;
        self.pair.board.update(|status| status.take_measures(&labels, &measures));
        Ok(())
    }

    pub(super) fn any_stopped(&self) -> bool {
        !self.rests && self.tables.values().any(|t| t.state == TableState::Stopped)
    }

    /// Looks whether what stopped a table is gone. A table whose plan is another now needs a new start
    /// of the whole database, which plans, installs capture and copies it anew.
    pub(super) async fn look_again(&mut self) -> Result<()> {
        let pair = self.pair.clone();
        let (source, target) = tokio::try_join!(pair.sides.source.schema(), pair.sides.target.schema())?;
        let circumstances = pair::circumstances(&pair.settings, Some(&pair.ledger)).await?;
        let found = plan::make(&pair.database, &circumstances, &source, &target);
        let verdicts = pair.sides.source.inspect(&pair.plan).await?;
        let entry = pair.ledger.read().await?;
        let now = Instant::now();
        let stopped: Vec<String> =
            self.tables.iter().filter(|(_, t)| t.may_look_again(now)).map(|(l, _)| l.clone()).collect();
        for label in stopped {
            let blocked = found.blockers.iter().any(|b| b.table.as_deref() == Some(&label));
            let blocked = blocked || entry.left_out.contains(&label);
            let Some(fits) = found.table(&label).filter(|_| !blocked) else { continue };
            let kept = entry.tables.iter().find(|t| t.label == label).and_then(|t| t.plan.as_ref());
            if kept.is_some_and(|kept| pair::unannounced(kept, fits, entry.upgraded_at.is_some()).is_some()) {
                continue;
            }
            let before = pair.plan.table(&label).map(TablePlan::shape);
            if before.as_ref() != Some(&fits.shape()) {
                let what = format!("{label}: its schema has changed and fits again; planned anew");
                return Err(Error::new(Kind::Superseded, what));
            }
            let still = |v: &&crate::engine::Verdict| v.label == label && v.fault.is_some();
            if verdicts.iter().any(|v| still(&v)) {
                continue;
            }
            pair.ledger.set_stopped(&label, None).await?;
            self.read_ledger().await?;
        }
        Ok(())
    }

    /// Removes covered log entries in small steps, in the background. The ledger's watermark is read
    /// first: only what the target has committed may go.
    pub(super) fn start_purge(&mut self) {
        self.purging = true;
        let pair = self.pair.clone();
        let purge = async move {
            let ledger = pair.ledger.read().await?;
            // A restore of the target goes back behind what is covered now.
            if ledger.phase == Phase::Upgrading || ledger.log_held_at.is_some() {
                return Ok(Done::Purged);
            }
            for entry in ledger.tables {
                let Some((table, watermark)) = pair.plan.table(&entry.label).zip(entry.watermark) else {
                    continue;
                };
                if entry.state == TableState::Replaying {
                    purge_table(&pair, table, &watermark).await?;
                }
            }
            Ok(Done::Purged)
        };
        self.jobs.spawn(async move { (Job::Purge, purge.await) });
    }
}

async fn purge_table(pair: &Pair, table: &TablePlan, watermark: &Watermark) -> Result<()> {
    for _ in 0..PURGE_STEPS {
        if pair.sides.source.purge(table, watermark).await? == 0 {
            break;
        }
        sleep(PURGE_PAUSE).await;
    }
    Ok(())
}
