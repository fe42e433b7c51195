//! What a final sync reports.

use serde::Serialize;

use crate::checkpoint::{self, Outcome};
use crate::error::{Error, Result};
use crate::ledger::Entry;
use crate::model::{OnDelete, Plan, TablePlan};
use crate::pair::Pair;
use crate::status::SCHEMA_VERSION;

/// What is claimed of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was committed on the source before the barrier is in the target.
    Drained,
    /// The source is fenced and the target is equal to it.
    Final,
}

/// The outcome of a final sync.
#[derive(Debug, Clone, Serialize)]
pub struct FinalSync {
    /// The version of this report's form.
    pub schema_version: u32,
    /// The database.
    pub database: String,
    /// What is claimed, if `converged`.
    pub verdict: Verdict,
    /// Whether the claim holds.
    pub converged: bool,
    /// What was done, per table.
    pub tables: Vec<TableFinal>,
    /// What came out of the checkpoints, where they were asked.
    pub checkpoints: Vec<Outcome>,
    /// Sequences that were moved.
    pub sequences_moved: Vec<String>,
    /// Signs that production is still being written.
    pub writers: Vec<String>,
    /// Why it did not converge.
    pub reasons: Vec<String>,
    /// What to do next.
    pub next_steps: Vec<String>,
}

/// The outcome for one table.
#[derive(Debug, Clone, Serialize)]
pub struct TableFinal {
    /// The source table.
    pub table: String,
    /// The target table.
    pub target: String,
    /// Its state.
    pub state: String,
    /// Rows on the source, where they were counted.
    pub source_rows: Option<u64>,
    /// Rows on the target, where they were counted.
    pub target_rows: Option<u64>,
    /// Keys parked.
    pub parked: u64,
}

impl FinalSync {
    pub(super) fn new(
        database: &str,
        verdict: Verdict,
        plan: &Plan,
        entry: &Entry,
        reasons: Vec<String>,
    ) -> Self {
        let tables = entry
            .tables
            .iter()
            .map(|t| TableFinal {
                table: t.label.clone(),
                target: plan.table(&t.label).map(|p| p.target.to_string()).unwrap_or_default(),
                state: t.state.to_string(),
                source_rows: None,
                target_rows: None,
                parked: t.parked,
            })
            .collect();
        FinalSync {
            schema_version: SCHEMA_VERSION,
            database: database.to_string(),
            verdict,
            converged: false,
            tables,
            checkpoints: Vec::new(),
            sequences_moved: Vec::new(),
            writers: Vec::new(),
            reasons,
            next_steps: Vec::new(),
        }
    }

    /// Counts the rows of both sides, which must agree while the source is fenced but for what is the
    /// upgrade's own.
    pub(super) async fn count_rows(&mut self, pair: &Pair) -> Result<()> {
        for table in &pair.plan.tables {
            let sides = &pair.sides;
            let (source, target) = tokio::try_join!(sides.source.count(table), sides.target.count(table))?;
            let (native, removed) = pair.ledger.owned(&table.label()).await?;
            if !agree(table, source + native, target + removed) {
                let mut reason =
                    format!("{}: {source} rows on the source, {target} on the target", table.source);
                if native + removed > 0 {
                    reason += &format!(", where the upgrade made {native} and deleted {removed}");
                }
                self.reasons.push(reason);
            }
            if let Some(row) = self.tables.iter_mut().find(|t| t.table == table.label()) {
                row.source_rows = Some(source);
                row.target_rows = Some(target);
            }
        }
        Ok(())
    }

    /// Asks the checkpoints of the target; one that fails is a reason.
    pub(super) async fn ask_checkpoints(&mut self, pair: &Pair) -> Result<()> {
        self.checkpoints = checkpoint::run(pair.sides.target.as_ref(), &pair.database.checkpoints).await?;
        self.reasons.extend(checkpoint::failures(&self.checkpoints));
        Ok(())
    }

    /// Draws the conclusion.
    pub(super) fn finish(mut self) -> Self {
        self.converged = self.reasons.is_empty();
        self.next_steps = match (self.converged, self.verdict) {
            (true, Verdict::Final) => vec![
                "point the application at the target; the fence stays up on the source".to_string(),
                "to go back instead: `highwater final-sync --lift`".to_string(),
            ],
            (true, Verdict::Drained) if self.writers.is_empty() => vec![
                "nobody was writing; `highwater final-sync --fence` makes sure that nobody will".to_string(),
            ],
            (true, Verdict::Drained) => {
                vec!["stop production's writers, then `highwater final-sync --fence`".to_string()]
            }
            (false, _) => {
                vec!["`highwater status` shows the tables; mend what is named, then run it again".to_string()]
            }
        };
        self
    }

    /// The attempt was given up; `note` says what became of the fence.
    pub(super) fn gave_up(mut self, note: &str) -> Self {
        self.converged = false;
        self.next_steps.insert(0, note.to_string());
        self
    }

    /// The error with which a command ends that did not converge.
    pub fn error(&self) -> Option<Error> {
        (!self.converged).then(|| {
            let what =
                format!("database {}: not {}: {}", self.database, self.claim(), self.reasons.join("; "));
            Error::new(crate::error::Kind::NotConverged, what).remedy(self.next_steps.join("; "))
        })
    }

    /// The claim in one word.
    pub fn claim(&self) -> &'static str {
        match self.verdict {
            Verdict::Drained => "drained",
            Verdict::Final => "final",
        }
    }
}

/// Whether the rows that a target should hold and those that it does are as many, as far as its rule tells.
fn agree(table: &TablePlan, should: u64, does: u64) -> bool {
    let keeps = table.rule.on_delete == OnDelete::Keep;
    // A command may leave rows out.
    let leaves_out = table.rule.transform.is_some();
    (should <= does || leaves_out) && (does <= should || keeps)
}
