//! What a final sync reports.

use serde::Serialize;

use super::compare::Counted;
use super::look::Barrier;
use super::outage::Outage;
use crate::checkpoint::{self, Outcome};
use crate::error::Error;
use crate::ledger::{Entry, Exempt};
use crate::model::Plan;
use crate::status::SCHEMA_VERSION;

/// What is claimed of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was committed on the source before the barrier is in the target; at a consistent point the
    /// target is equal to the source as it was then.
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
    /// The instant of production's that the target was equal to: when checkpoints were asked and rows were counted.
    pub consistent_at: Option<String>,
    /// For how long replay was held for that.
    pub replay_held_seconds: Option<f64>,
    /// For how long production could not write until it was final.
    pub outage: Option<Outage>,
    /// What was done, per table.
    pub tables: Vec<TableFinal>,
    /// What came out of the checkpoints, where they were asked.
    pub checkpoints: Vec<Outcome>,
    /// Sequences that were moved.
    pub sequences_moved: Vec<String>,
    /// Signs that production is still being written.
    pub writers: Vec<String>,
    /// What is good to know, and forbids nothing.
    pub remarks: Vec<String>,
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
    /// What the upgrade made or deleted there.
    #[serde(flatten)]
    pub exempt: Exempt,
    /// Whether its watermark covers all that production had committed to its log by the barrier.
    pub reached: bool,
}

impl FinalSync {
    pub(super) fn new(
        database: &str,
        verdict: Verdict,
        plan: &Plan,
        entry: &Entry,
        barrier: Option<&Barrier>,
        reasons: Vec<String>,
    ) -> Self {
        let reached = |t: &crate::ledger::TableEntry| {
            let extent = barrier.and_then(|barrier| barrier.get(&t.label));
            extent.zip(t.watermark.as_ref()).is_some_and(|(extent, watermark)| watermark.reaches(extent))
        };
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
                exempt: t.exempt,
                reached: reached(t),
            })
            .collect();
        FinalSync {
            schema_version: SCHEMA_VERSION,
            database: database.to_string(),
            verdict,
            converged: false,
            consistent_at: None,
            replay_held_seconds: None,
            outage: None,
            tables,
            checkpoints: Vec::new(),
            sequences_moved: Vec::new(),
            writers: Vec::new(),
            remarks: Vec::new(),
            reasons,
            next_steps: Vec::new(),
        }
    }

    /// Takes over the rows of both sides, which must agree.
    pub(super) fn take_counts(&mut self, counted: &Result<Vec<Counted>, String>) {
        let counted = match counted {
            Ok(counted) => counted,
            Err(why) => {
                self.remarks.push(format!("rows were not counted: {why}"));
                return;
            }
        };
        for found in counted {
            self.reasons.extend(found.difference.clone());
            if let Some(row) = self.tables.iter_mut().find(|t| t.table == found.label) {
                row.source_rows = Some(found.source);
                row.target_rows = Some(found.target);
            }
        }
    }

    /// Takes over what the checkpoints gave; one that fails is a reason.
    pub(super) fn take_checkpoints(&mut self, outcomes: Vec<Outcome>) {
        self.reasons.extend(checkpoint::failures(&outcomes));
        self.checkpoints = outcomes;
    }

    /// Takes over what was found before the fence, and what became of the sequences since.
    pub(super) fn take_before(&mut self, before: &FinalSync, moved: Vec<String>, remarks: Vec<String>) {
        self.consistent_at.clone_from(&before.consistent_at);
        self.replay_held_seconds = before.replay_held_seconds;
        self.checkpoints.clone_from(&before.checkpoints);
        for table in &mut self.tables {
            if let Some(known) = before.tables.iter().find(|t| t.table == table.table) {
                (table.source_rows, table.target_rows) = (known.source_rows, known.target_rows);
            }
        }
        self.sequences_moved.clone_from(&before.sequences_moved);
        add_missing(&mut self.sequences_moved, moved);
        self.remarks.clone_from(&before.remarks);
        add_missing(&mut self.remarks, remarks);
    }

    /// Takes over the outage that the ledger has of an attempt that was final before.
    pub(super) fn outage_before(&mut self, entry: &Entry) {
        self.remarks.push(
            "it was final before: nothing was done, the fence and the change logs were looked at".into(),
        );
        if let Some(ms) = entry.outage_ms {
            self.remarks.push(format!("production could not write for {ms} ms until it was final"));
        }
    }

    /// Draws the conclusion.
    pub(super) fn finish(mut self) -> Self {
        self.converged = self.reasons.is_empty();
        self.next_steps = match (self.converged, self.verdict) {
            (true, Verdict::Final) => vec![
                "point the application at the target; the fence stays up on the source".to_string(),
                "to go back instead: `highwater final-sync --lower`".to_string(),
            ],
            (true, Verdict::Drained) if self.writers.is_empty() => vec![
                "production was not being written; `highwater final-sync --fence` makes sure that it will not be".to_string(),
            ],
            (true, Verdict::Drained) => {
                vec!["stop production's writers, then `highwater final-sync --fence`".to_string()]
            }
            (false, _) => {
                vec!["`highwater status` shows the tables; correct what is named, then run it again".to_string()]
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

fn add_missing(to: &mut Vec<String>, more: Vec<String>) {
    for one in more {
        if !to.contains(&one) {
            to.push(one);
        }
    }
}
