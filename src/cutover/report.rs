//! What a final sync reports.

use std::collections::HashSet;

use serde::Serialize;

use crate::checkpoint::{self, Outcome};
use crate::engine::{Feed, Watch};
use crate::error::{Error, Result};
use crate::ledger::owned::{self, Owned};
use crate::ledger::{Entry, TableEntry};
use crate::model::{Bounds, Key, Layout, OnDelete, Plan, Strategy, TablePlan};
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

    /// Compares the rows of both sides, which must agree while the source is fenced: by number, where not
    /// every row of a table has its counterpart by key.
    pub(super) async fn compare_rows(&mut self, pair: &Pair) -> Result<()> {
        let entry = pair.ledger.read().await?;
        for table in &pair.plan.tables {
            let sides = &pair.sides;
            let (source, target) = tokio::try_join!(sides.source.count(table), sides.target.count(table))?;
            let owned = pair.ledger.owned(&table.label()).await?;
            let known = entry.tables.iter().find(|t| t.label == table.label());
            match known.filter(|_| is_partial(table, owned)) {
                Some(known) => self.reasons.extend(strays(pair, table, known).await?),
                None if source != target => self
                    .reasons
                    .push(format!("{}: {source} rows on the source, {target} on the target", table.source)),
                None => {}
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

/// Whether a keyed table has rows on one side that are not to be on the other: its rule leaves some out or
/// keeps some, another table goes into the same one, or the upgrade made or deleted some.
fn is_partial(table: &TablePlan, (native, removed): (u64, u64)) -> bool {
    let rule = &table.rule;
    let by_rule = rule.filter.is_some() || rule.transform.is_some() || rule.on_delete == OnDelete::Keep;
    let by_upgrade = native + removed > 0;
    table.strategy == Strategy::Keyed && (by_rule || by_upgrade || table.constants().next().is_some())
}

/// What stands on one side of such a table and should stand on both.
async fn strays(pair: &Pair, table: &TablePlan, known: &TableEntry) -> Result<Option<String>> {
    // A table without these is not copied, which is told by its state.
    let Some((watermark, origin)) = known.watermark.as_ref().zip(known.origin.as_ref()) else {
        return Ok(None);
    };
    let watch = Watch { table, watermark, origin };
    let mut keys = pair.sides.source.stream(watch, &Bounds::all(), Layout::Keys).await?;
    let mut tx = pair.sides.target.begin().await?;
    let found = tx.compare_keys(table, Feed::Stream(&mut keys)).await?;
    let database = &pair.database.name;
    let removed = owned::all(tx.as_mut(), database, &known.label, Owned::Removed).await?;
    let native = owned::all(tx.as_mut(), database, &known.label, Owned::Native).await?;
    // What a command leaves out is known to the command alone.
    let missing = if table.rule.transform.is_some() { Vec::new() } else { found.source_only };
    let missing = without(missing, removed);
    let keeps = table.rule.on_delete == OnDelete::Keep;
    let too_much = if keeps { Vec::new() } else { without(found.target_only, native) };
    if missing.is_empty() && too_much.is_empty() {
        return Ok(None);
    }
    let told =
        [(missing, "rows are missing on the target"), (too_much, "rows of the target are not production's")]
            .into_iter()
            .filter(|(keys, _)| !keys.is_empty())
            .map(|(keys, what)| {
                let some: Vec<String> =
                    keys.iter().take(STRAYS_SHOWN).map(|key| format!("({})", key.join(", "))).collect();
                format!("{} {what}: {}", keys.len(), some.join(" "))
            });
    Ok(Some(format!("{}: {}", table.source, told.collect::<Vec<_>>().join("; "))))
}

/// How many keys that stand on one side only are shown.
const STRAYS_SHOWN: usize = 3;

fn without(keys: Vec<Key>, others: Vec<Key>) -> Vec<Key> {
    let others: HashSet<Key> = others.into_iter().collect();
    keys.into_iter().filter(|key| !others.contains(key)).collect()
}
