//! Copies one table: its chunks, in parallel, while production writes on.
//!
//! No snapshot is held over the whole copy. Replay of the table begins at the extent that was seen
//! before the first chunk was read, so whatever production changed meanwhile is made equal then.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apply;
use crate::engine::{Definition, Feed, Origin, Stage, Watch};
use crate::error::{At, Error, Kind, Result};
use crate::fault;
use crate::ledger::{Act, Chunk, Step, TableEntry};
use crate::metrics;
use crate::model::{Bounds, Form, Layout, Strategy, TablePlan, Watermark};
use crate::pair::{self, Pair};
use crate::state::TableState;
use crate::transform;

/// A table on its way through the copy.
struct Copying {
    table: TablePlan,
    origin: Origin,
    /// Where its replay will begin; it stands still until the last chunk is done.
    start: Watermark,
    state: TableState,
}

impl Copying {
    fn watch(&self) -> Watch<'_> {
        Watch { table: &self.table, watermark: &self.start, origin: &self.origin }
    }
}

/// Begins the copy of a table: the first one, or for a `reason` a full resync.
///
/// The watermark is taken here, with capture in force and before any chunk is read; dying between
/// leaves the table as it was.
///
/// # Errors
/// [`Kind::Table`] when a first copy finds rows in the target table.
pub async fn begin(pair: &Pair, table: &TablePlan, generation: &str, reason: Option<&str>) -> Result<()> {
    if reason.is_none() && !pair::holds_nothing(&pair.sides, Some(&pair.ledger), table).await? {
        return Err(
            Error::table(format!("{} on the target is not empty", table.target)).remedy(pair::NOT_EMPTY)
        );
    }
    let start = Watermark::at(pair.sides.source.extent(table).await?);
    let chunks = match table.strategy {
        Strategy::Keyed => pair.sides.source.chunks(table, pair.settings.copy.chunk_rows).await?,
        Strategy::Whole => vec![Bounds::all()],
    };
    fault::point("before_copy_begins").await?;
    let origin = pair.origin(table, generation);
    pair.ledger.begin_copy(&table.label(), reason, &start, &origin, &chunks).await?;
    fault::point("after_copy_begins").await
}

/// Copies the chunks of a table that are not done, then hands it to replay. Returns false when it was
/// told to stop before the end; what is done stays done.
///
/// # Errors
/// What reading or writing says; a chunk is done or not, never half.
pub async fn table(
    pair: Arc<Pair>,
    table: TablePlan,
    entry: TableEntry,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
) -> Result<bool> {
    let (origin, start) = entry.origin.zip(entry.watermark).ok_or_else(|| {
        Error::failed(format!("{}: its copy has no origin or no watermark in the ledger", entry.label))
    })?;
    let copying = Arc::new(Copying { table, origin, start, state: entry.state });
    let label = copying.table.label();
    let mut chunks = pair.ledger.waiting_chunks(&label).await?.into_iter();
    let mut running: JoinSet<Result<()>> = JoinSet::new();
    loop {
        tokio::select! {
            Some(done) = running.join_next() => done.map_err(|e| Error::failed("a chunk's task died").because(e))??,
            permit = permits.clone().acquire_owned(), if chunks.len() > 0 && !stop.is_cancelled() => {
                let permit = permit.map_err(|e| Error::failed("the copy was closed").because(e))?;
                let Some(next) = chunks.next() else { continue };
                let (pair, copying) = (pair.clone(), copying.clone());
                running.spawn(async move {
                    let _permit = permit;
                    chunk(&pair, &copying, &next).await.at(format!("{}, chunk {}", copying.table.source, next.number))
                });
            }
            else => break,
        }
    }
    if stop.is_cancelled() && chunks.len() > 0 {
        return Ok(false);
    }
    if copying.state == TableState::Resyncing && copying.table.strategy == Strategy::Keyed {
        remove_strangers(&pair, &copying).await.at(&copying.table.source)?;
    }
    define(&pair, Stage::Key, Some(&label)).await?;
    fault::point("before_copy_ends").await?;
    pair.ledger.end_copy(&copying.table).await?;
    fault::point("after_copy_ends").await?;
    Ok(true)
}

/// Copies one chunk: right into the table where it was empty, else by making its keys equal.
async fn chunk(pair: &Pair, copying: &Copying, chunk: &Chunk) -> Result<()> {
    let (rows, bytes) = match (copying.table.strategy, copying.state) {
        (Strategy::Whole, _) => whole(pair, copying, chunk).await?,
        (Strategy::Keyed, TableState::Copying) if copying.table.rule.loads_directly() => {
            match load(pair, copying, chunk).await {
                Err(error) if error.kind() == Kind::Data => {
                    tracing::warn!(table = %copying.table.source, chunk = chunk.number, error = %error.summary(),
                    "a row of the chunk was refused; its rows are applied one part at a time");
                    equalise(pair, copying, chunk).await?
                }
                done => done?,
            }
        }
        (Strategy::Keyed, _) => equalise(pair, copying, chunk).await?,
    };
    let label = copying.table.label();
    pair.board.copied(&label, rows, bytes);
    metrics::rows_copied(&pair.database.name, &label, rows);
    Ok(())
}

async fn load(pair: &Pair, copying: &Copying, chunk: &Chunk) -> Result<(u64, u64)> {
    let source = &pair.sides.source;
    let rows = source.stream(copying.watch(), &chunk.bounds, Layout::Plain).await?;
    let extent = rows.extent.clone();
    let act = act(pair, copying, &extent, Step::Chunk(chunk.number));
    apply::load(pair.sides.target.as_ref(), &act, rows).await
}

async fn equalise(pair: &Pair, copying: &Copying, chunk: &Chunk) -> Result<(u64, u64)> {
    let source = &pair.sides.source;
    let rows = source.stream(copying.watch(), &chunk.bounds, Layout::Staged).await?;
    let mut rows = transform::stream(&copying.table, rows);
    let extent = rows.extent.clone();
    let act = act(pair, copying, &extent, Step::Chunk(chunk.number));
    let applied = apply::states(pair.sides.target.as_ref(), &act, Feed::Stream(&mut rows), None).await?;
    Ok((applied.inserted + applied.updated, 0))
}

async fn whole(pair: &Pair, copying: &Copying, chunk: &Chunk) -> Result<(u64, u64)> {
    let source = &pair.sides.source;
    let rows = source.stream(copying.watch(), &Bounds::all(), Layout::Plain).await?;
    let extent = rows.extent.clone();
    let act = act(pair, copying, &extent, Step::Chunk(chunk.number));
    let applied = apply::whole(pair.sides.target.as_ref(), &act, rows).await?;
    Ok((applied.inserted, 0))
}

/// The end of a reload: target rows whose key the source does not have go.
async fn remove_strangers(pair: &Pair, copying: &Copying) -> Result<()> {
    let source = &pair.sides.source;
    let keys = source.stream(copying.watch(), &Bounds::all(), Layout::Keys).await?;
    let extent = keys.extent.clone();
    let act = act(pair, copying, &extent, Step::Again);
    let nothing = no_rows(copying.table.form);
    apply::states(pair.sides.target.as_ref(), &act, Feed::Read(&nothing), Some(keys)).await?;
    Ok(())
}

/// A stream of no rows in that form.
pub fn no_rows(form: Form) -> Vec<crate::model::Block> {
    use crate::model::Block;
    let end = Block::End { rows: 0, bytes: 0 };
    match form {
        // Signature, flags, length of the header extension; then the trailer.
        Form::CopyBinary => {
            let header = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xff";
            vec![Block::Copy(bytes::Bytes::from_static(header)), end]
        }
        Form::CopyText | Form::Values => vec![end],
    }
}

fn act<'a>(
    pair: &'a Pair,
    copying: &'a Copying,
    read_at: &'a crate::model::Extent,
    step: Step<'a>,
) -> Act<'a> {
    Act {
        database: &pair.database.name,
        epoch: pair.epoch,
        table: &copying.table,
        origin: &copying.origin,
        read_at,
        source: pair.sides.source.as_ref(),
        hold: pair.hold.as_ref(),
        step,
    }
}

/// Makes the missing target tables and what they need, and keeps the rest of the definitions in the
/// ledger for later. Keeping comes first: dying between makes the tables again, and those that are
/// there already are found so.
///
/// # Errors
/// When the source can't be described or the target refuses a definition.
pub async fn make_tables(pair: &Pair) -> Result<()> {
    if !pair.plan.tables.iter().any(|t| t.create) {
        return Ok(());
    }
    if pair.ledger.open_definitions().await?.is_empty() {
        let whole = pair.plan.tables.iter().all(|t| t.create);
        let definitions = pair.sides.source.definitions(&pair.plan, whole).await?;
        pair.ledger.keep_definitions(&definitions).await?;
        fault::point("after_definitions_kept").await?;
    }
    define(pair, Stage::Tables, None).await
}

/// Makes the definitions of one stage, of one table or of all.
///
/// # Errors
/// When the target refuses one.
pub async fn define(pair: &Pair, stage: Stage, table: Option<&str>) -> Result<()> {
    let wanted = |d: &Definition| d.stage == stage && (table.is_none() || d.table.as_deref() == table);
    for (ordinal, definition) in pair.ledger.open_definitions().await? {
        if !wanted(&definition) {
            continue;
        }
        if let Some(note) = pair.sides.target.define(&definition).await? {
            tracing::warn!(table = definition.table.as_deref(), "{note}");
            pair.ledger.event(&note).await?;
        }
        pair.ledger.definition_made(ordinal).await?;
    }
    Ok(())
}
