//! Replays one table: reads its dirty keys with their states, and makes the target agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply;
use crate::copy::no_rows;
use crate::engine::{Feed, Limits, Origin, Watch};
use crate::error::{Error, Result};
use crate::fault;
use crate::ledger::{Act, Step};
use crate::metrics;
use crate::model::{Applied, Batch, Bounds, Key, Layout, States, Strategy, TablePlan, Watermark};
use crate::pair::Pair;
use crate::transform;

/// How many parked keys are tried again together.
const MOST_RETRIED: i64 = 10_000;

/// How many entries about stale lookups are taken together.
const MOST_REQUEUED: i64 = 10_000;

/// A table being replayed.
#[derive(Clone)]
pub struct Replay {
    /// The database it belongs to.
    pub pair: Arc<Pair>,
    /// What is done with it.
    pub table: TablePlan,
    /// The log that the watermark refers to.
    pub origin: Origin,
}

/// What a drain did.
#[derive(Debug, Clone)]
pub struct Drained {
    /// How far the table is applied now.
    pub watermark: Watermark,
    /// What was done to the target.
    pub applied: Applied,
}

impl Replay {
    /// Applies batches until nothing is dirty or `stop` asks for an end; the next batch is read while
    /// one is applied. A batch that was read ahead is newer than everything applied before it, as it
    /// was read later; the guard checks that anyway.
    ///
    /// # Errors
    /// What reading or writing says. Batches that committed stay committed, and the ledger says so.
    pub async fn drain(self, from: Watermark, stop: CancellationToken) -> Result<Drained> {
        let mut drained = Drained { watermark: from.clone(), applied: Applied::default() };
        let mut reading = Some(self.read(from));
        while let Some(batch) = reading.take() {
            let batch = batch.join().await?;
            // A read that says "more" and does not move would be repeated for ever.
            if batch.more && batch.to == batch.from {
                return Err(Error::table(format!(
                    "{}: a read of its change log promised more entries and did not move on",
                    self.table.source
                )));
            }
            if batch.more && !stop.is_cancelled() {
                reading = Some(self.read(batch.to.clone()));
            }
            drained.applied.add(&self.apply(&batch).await?);
            drained.watermark = batch.to;
        }
        Ok(drained)
    }

    /// Tries the parked keys of the table again, together: cycles of unique values over several
    /// batches resolve in no other way. The states are read anew; a stored row would resurrect.
    ///
    /// # Errors
    /// What reading or writing says.
    pub async fn retry(self, watermark: Watermark) -> Result<Applied> {
        let keys = self.pair.ledger.parked_to_try(&self.table.label(), MOST_RETRIED).await?;
        if keys.is_empty() {
            return Ok(Applied::default());
        }
        let states = self.states(&watermark, &keys).await?;
        fault::point("after_retry_read").await?;
        let act = self.act(&states.read_at, Step::Again);
        apply::states(self.pair.sides.target.as_ref(), &act, Feed::Read(&states.blocks), None).await
    }

    /// Makes rows equal again whose lookups may have gone stale. Their states are read anew, as any.
    ///
    /// # Errors
    /// What reading or writing says. The entries stay until all of their rows are equal.
    pub async fn look_up_again(self, watermark: Watermark) -> Result<Applied> {
        let requeued = self.pair.ledger.requeued(&self.table.label(), MOST_REQUEUED).await?;
        let entries: Vec<String> = requeued.iter().map(|r| r.entry.clone()).collect();
        let mut applied = Applied::default();
        if entries.is_empty() {
            return Ok(applied);
        }
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut all_rows = false;
        for row in requeued {
            match row.rows {
                Some((column, value)) => values.entry(column).or_default().push(value),
                None => all_rows = true,
            }
        }
        let source = &self.pair.sides.source;
        if all_rows {
            for bounds in source.chunks(&self.table, self.pair.settings.copy.chunk_rows).await? {
                let rows = source.stream(self.watch(&watermark), &bounds, Layout::Staged).await?;
                let mut rows = transform::stream(&self.table, rows);
                let extent = rows.extent.clone();
                let act = self.act(&extent, Step::Requeued(&[]));
                let target = self.pair.sides.target.as_ref();
                applied.add(&apply::states(target, &act, Feed::Stream(&mut rows), None).await?);
            }
        } else {
            let mut keys = Vec::new();
            for (column, values) in &values {
                keys.extend(source.keys_with(&self.table, column, values).await?);
            }
            let most = usize::try_from(self.pair.settings.replay.batch_rows).unwrap_or(usize::MAX);
            for some in keys.chunks(most.max(1)) {
                let states = self.states(&watermark, some).await?;
                let act = self.act(&states.read_at, Step::Requeued(&[]));
                let target = self.pair.sides.target.as_ref();
                applied.add(&apply::states(target, &act, Feed::Read(&states.blocks), None).await?);
            }
        }
        // Only now are they done: dying before repeats them. An extent of the log alone need not cover the
        // watermark: that also covers numbers which nobody will fill any more.
        let read_at = source.states(self.watch(&watermark), &[]).await?.read_at;
        apply::pass(self.pair.sides.target.as_ref(), &self.act(&read_at, Step::Requeued(&entries))).await?;
        Ok(applied)
    }

    fn read(&self, from: Watermark) -> Reading {
        let replay = &self.pair.settings.replay;
        let limits = Limits { rows: replay.batch_rows, bytes: replay.batch_bytes };
        let this = self.clone();
        Reading(tokio::spawn(async move {
            let mut batch = this.pair.sides.source.batch(this.watch(&from), limits).await?;
            if batch.keys > 0 {
                batch.states = transform::states(&this.table, batch.states).await?;
            }
            fault::point("after_batch_read").await?;
            Ok(batch)
        }))
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied> {
        let began = Instant::now();
        let step = Step::Batch { from: &batch.from, to: &batch.to };
        let target = self.pair.sides.target.as_ref();
        let act = self.act(&batch.states.read_at, step);
        if batch.entries == 0 {
            if batch.from != batch.to {
                apply::pass(target, &act).await?;
            }
            return Ok(Applied::default());
        }
        let source = &self.pair.sides.source;
        let all = |layout| source.stream(self.watch(&batch.from), &ALL, layout);
        let applied = match self.table.strategy {
            Strategy::Whole => {
                let rows = all(Layout::Plain).await?;
                let extent = rows.extent.clone();
                apply::whole(target, &self.act(&extent, step), rows).await?
            }
            Strategy::Keyed => {
                // The keys are read after the marker of the truncation, so a key that came back since
                // is among them and its row keeps its target-only columns.
                let keys = if batch.prune { Some(all(Layout::Keys).await?) } else { None };
                let nothing = no_rows(self.table.form);
                let blocks = if batch.keys == 0 { &nothing } else { &batch.states.blocks };
                apply::states(target, &act, Feed::Read(blocks), keys).await?
            }
        };
        let label = self.table.label();
        metrics::batch_applied(&self.pair.database.name, &label, &applied, began.elapsed());
        self.pair.board.replayed(applied.inserted + applied.updated + applied.deleted);
        Ok(applied)
    }

    async fn states(&self, watermark: &Watermark, keys: &[Key]) -> Result<States> {
        let states = self.pair.sides.source.states(self.watch(watermark), keys).await?;
        transform::states(&self.table, states).await
    }

    fn watch<'a>(&'a self, watermark: &'a Watermark) -> Watch<'a> {
        Watch { table: &self.table, watermark, origin: &self.origin }
    }

    fn act<'a>(&'a self, read_at: &'a crate::model::Extent, step: Step<'a>) -> Act<'a> {
        Act {
            database: &self.pair.database.name,
            epoch: self.pair.epoch,
            table: &self.table,
            origin: &self.origin,
            read_at,
            source: self.pair.sides.source.as_ref(),
            hold: self.pair.hold.as_ref(),
            step,
        }
    }
}

const ALL: Bounds = Bounds { from: None, to: None };

/// A batch that is being read. Dropped, it is not read on.
struct Reading(JoinHandle<Result<Batch>>);

impl Reading {
    async fn join(mut self) -> Result<Batch> {
        (&mut self.0).await.map_err(|e| Error::failed("the task that reads a batch died").because(e))?
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}
