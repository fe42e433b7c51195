//! What the loop looks at from time to time: capture, lag, stopped tables, covered log entries.

use tokio::time::{Duration, Instant, sleep};

use super::{Beside, Done, Follow};
use crate::engine::{Fault, Measures, Origin, Verdict, Watch};
use crate::error::{Error, Result};
use crate::model::{TablePlan, Watermark};
use crate::pair::{self, Pair};
use crate::plan;
use crate::state::{TableState, Task};

/// How many steps a purge of one table takes at most before it makes way, and the pause between two.
const PURGE_STEPS: u32 = 50;
const PURGE_PAUSE: Duration = Duration::from_millis(20);

/// What a look at the source found.
pub(super) struct Look {
    verdicts: Vec<Verdict>,
    /// The tables that were measured.
    labels: Vec<String>,
    measures: Measures,
    /// Whether another process asks for the lease.
    asked: bool,
}

impl Follow {
    /// Checks capture and measures lags, as a job: the loop goes on meanwhile, and a look that hangs leaves
    /// the figures to become stale and absent. Lags take the change logs and the watermarks only.
    pub(super) fn start_look(&mut self) {
        let tables: Vec<(String, TablePlan, Watermark, Origin)> = self
            .tables
            .iter()
            .filter_map(|(label, t)| {
                let watch = t.watch()?;
                Some((label.clone(), watch.table.clone(), watch.watermark.clone(), watch.origin.clone()))
            })
            .collect();
        let pair = self.pair.clone();
        self.spawn_beside(Beside::Look, async move {
            let source = &pair.sides.source;
            let verdicts = source.inspect(&pair.plan).await?;
            let watches: Vec<Watch<'_>> = tables
                .iter()
                .map(|(_, table, watermark, origin)| Watch { table, watermark, origin })
                .collect();
            let measures = source.measure(&watches).await?;
            let asked = pair.ledger.requested().await?.is_some();
            let labels = tables.iter().map(|(label, ..)| label.clone()).collect();
            Ok(Done::Looked(Look { verdicts, labels, measures, asked }))
        });
    }

    /// Takes over what a look found.
    pub(super) async fn looked(&mut self, look: Look) -> Result<()> {
        let mut repair = false;
        let mut sound = true;
        for verdict in look.verdicts {
            match verdict.fault {
                None => {}
                Some(Fault::Mend(what)) => {
                    sound = false;
                    repair = true;
                    tracing::warn!(table = %verdict.label, what, "capture is repaired");
                }
                Some(Fault::Stop { what, remedy }) => {
                    let free =
                        self.tables.get(&verdict.label).is_some_and(|t| t.state != TableState::Stopped);
                    if free && self.standing.writes_rows() {
                        self.stop_table(&verdict.label, &format!("{what}; to do: {remedy}")).await?;
                    }
                }
            }
        }
        if repair && self.standing.forbids(Task::Capture).is_none() {
            self.start_repair();
        }
        self.asked = look.asked;
        self.pair.board.update(|status| {
            status.capture_sound = sound;
            status.inspected_at = Some(Instant::now());
            status.take_measures(&look.labels, &look.measures);
        });
        Ok(())
    }

    /// The term is looked at before and after: no transaction on the target guards what is done on the source.
    fn start_repair(&mut self) {
        let pair = self.pair.clone();
        self.spawn_beside(Beside::Repair, async move {
            pair.ledger.check_term().await?;
            let generations = pair.sides.source.install(&pair.plan, &|_| {}).await?;
            pair.ledger.check_term().await?;
            Ok(Done::Repaired(generations.into_iter().collect()))
        });
    }

    pub(super) fn any_stopped(&self) -> bool {
        self.standing.writes_rows() && self.tables.values().any(|t| t.state == TableState::Stopped)
    }

    /// Looks whether what stopped a table is gone. A table whose plan is another now needs a new start
    /// of the whole database, which plans, installs capture and begins a full resync.
    pub(super) fn start_look_again(&mut self) {
        let now = Instant::now();
        let stopped: Vec<String> =
            self.tables.iter().filter(|(_, t)| t.may_look_again(now)).map(|(l, _)| l.clone()).collect();
        if stopped.is_empty() {
            return;
        }
        let pair = self.pair.clone();
        self.spawn_beside(
            Beside::LookAgain,
            async move { Ok(Done::Resumable(resumable(&pair, stopped).await?)) },
        );
    }

    /// Lets tables go on whose reason to stop is gone.
    pub(super) async fn resume(&mut self, labels: &[String]) -> Result<()> {
        for label in labels {
            self.pair.ledger.resume(label).await?;
        }
        if labels.is_empty() { Ok(()) } else { self.read_ledger().await }
    }

    /// Removes covered log entries in small steps, and triggers of lowered fences, in the background. The ledger's
    /// watermark is read first: only what the target has committed may go.
    pub(super) fn start_purge(&mut self) {
        let pair = self.pair.clone();
        self.spawn_beside(Beside::Purge, async move {
            let ledger = pair.ledger.read().await?;
            // A restore of the target goes back behind what is covered now.
            if ledger.standing().forbids(Task::Purge).is_some() || ledger.log_held_at.is_some() {
                return Ok(Done::Purged);
            }
            for entry in ledger.tables {
                let Some((table, watermark)) = pair.plan.table(&entry.label).zip(entry.watermark) else {
                    continue;
                };
                if entry.state == TableState::Replaying {
                    pair.ledger.check_term().await?;
                    purge_table(&pair, table, &watermark).await?;
                }
            }
            // The triggers of a fence that was lowered refuse no write, and cost each write some time. They stay where
            // the change logs were locked at the lowering, or where the raise arrived after it.
            pair.sides.source.drop_lowered().await?;
            Ok(Done::Purged)
        });
    }
}

/// Those of the stopped tables that may go on.
async fn resumable(pair: &Pair, stopped: Vec<String>) -> Result<Vec<String>> {
    let (source, target) = tokio::try_join!(pair.sides.source.schema(), pair.sides.target.schema())?;
    let circumstances = pair::circumstances(&pair.settings, Some(&pair.ledger)).await?;
    let found = plan::make(&pair.database, &circumstances, &source, &target);
    let verdicts = pair.sides.source.inspect(&pair.plan).await?;
    let entry = pair.ledger.read().await?;
    let mut free = Vec::new();
    for label in stopped {
        let blocked = found.blockers.iter().any(|b| b.table.as_deref() == Some(&label))
            || entry.left_out.contains(&label);
        let Some(fits) = found.table(&label).filter(|_| !blocked) else { continue };
        let kept = entry.tables.iter().find(|t| t.label == label).and_then(|t| t.plan.as_ref());
        if kept.is_some_and(|kept| pair::unannounced(kept, fits, entry.upgraded_at.is_some()).is_some()) {
            continue;
        }
        let before = pair.plan.table(&label).map(TablePlan::shape);
        if before.as_ref() != Some(&fits.shape()) {
            let what = format!("{label}: its schema has changed and fits again; planned again");
            return Err(Error::superseded(what));
        }
        if !verdicts.iter().any(|v| v.label == label && v.fault.is_some()) {
            free.push(label);
        }
    }
    Ok(free)
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
