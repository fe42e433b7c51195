//! Reading rows: chunks as streams, batches and states as blocks.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use tokio::sync::mpsc;

use super::catalog::{KeyColumn, Shape};
use super::connect::{Db, Session};
use super::fault::Doing;
use super::log::{self, Log};
use super::replaced::MET;
use super::select::{Reads, key_compare, key_list};
use super::source::Inner;
use super::value::{self, decode_all, integer, integers};
use crate::engine::blocks::{BLOCKS_WAITING, Blocks};
use crate::engine::{Limits, Origin, Watch};
use crate::error::{Error, Result};
use crate::model::{
    Batch, Block, Bounds, Extent, Key, Layout, Mark, RowStream, States, Strategy, TablePlan, Value,
    Watermark, quote,
};

/// Without WAL a read keeps writers from committing: so many rows are read at once, then they may.
const PIECE_ROWS: u64 = 2_000;

/// How many variables one statement may have.
pub(super) const MOST_VARIABLES: usize = 32_766;

/// What is read of the table as the session sees it.
pub(super) async fn reads(db: &Db, session: &mut Session, table: &TablePlan) -> Result<Reads> {
    let catalog = db.catalog(session).await?;
    let label = table.label();
    let gone = |what: &str| {
        Error::table(format!("{label}: {what}"))
            .remedy("put it back as it was, or plan anew with `highwater plan`")
    };
    let shape = catalog.table(&table.source.name).ok_or_else(|| gone("the table is gone from the source"))?;
    let key: Vec<&str> = table.key.iter().map(String::as_str).collect();
    let key = shape.told_apart(&key).ok_or_else(|| gone("a column of its key is gone"))?;
    Ok(Reads::new(table, shape, key))
}

/// Starts reading the rows inside `bounds`.
pub(super) async fn stream(
    source: &Arc<Inner>,
    table: &TablePlan,
    origin: &Origin,
    bounds: &Bounds,
    layout: Layout,
) -> Result<RowStream> {
    let what = format!("reading {}", table.source);
    let mut session = source.db.reading(&what).await?;
    let log = Log::find(&mut session, &source.names, table, origin).await?;
    let mark = log.end(&mut session).await?;
    let reads = reads(&source.db, &mut session, table).await?;
    if bounds.from.is_none() {
        check_keys(&mut session, table, &reads).await?;
    }
    // Without WAL no session can commit while we read: a keyed table is read piece by piece then, each
    // newer than the extent, which is all that the extent promises. The keys of a table are read in
    // one go even so, as one that moved between two pieces would be missing.
    // In a snapshot that is held nothing moves, and other reads get their turn between two pieces.
    let whole = reads.key.is_empty()
        || !source.db.is_pinned() && (layout == Layout::Keys || source.db.is_wal(&mut session).await?);
    let (sender, blocks) = mpsc::channel(BLOCKS_WAITING);
    let reader = Reader {
        source: source.clone(),
        reads,
        layout,
        from: bounds.from.as_ref().map(value::from_key).transpose()?,
        to: bounds.to.as_ref().map(value::from_key).transpose()?,
        sender,
        what,
    };
    tokio::spawn(async move {
        let sender = reader.sender.clone();
        let done = if whole { reader.read_whole(session).await } else { reader.read_pieces(session).await };
        if let Err(error) = done {
            // Nobody listens any more: the reader was dropped.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(RowStream { extent: Extent::Sqlite(mark), blocks })
}

struct Reader {
    source: Arc<Inner>,
    reads: Reads,
    layout: Layout,
    from: Option<Vec<Value>>,
    to: Option<Vec<Value>>,
    sender: mpsc::Sender<Result<Block>>,
    what: String,
}

impl Reader {
    /// Conditions and arguments of the range, which begins after `last` once there is one.
    fn range(&self, last: Option<&[Value]>) -> Result<(Vec<String>, SqliteArguments), sqlx::Error> {
        let mut args = SqliteArguments::default();
        let mut conditions = Vec::new();
        let begin = last.map(|key| (">", key)).or(self.from.as_deref().map(|key| (">=", key)));
        for (operator, key) in begin.into_iter().chain(self.to.as_deref().map(|key| ("<", key))) {
            conditions.push(key_compare(&self.reads.key, &self.reads.table, operator, key));
            for part in key {
                value::bind(&mut args, part.clone())?;
            }
        }
        Ok((conditions, args))
    }

    /// Reads the rows in the session's one snapshot.
    async fn read_whole(&self, mut session: Session) -> Result<()> {
        let place = session.place.clone();
        let (conditions, args) = self.range(None).doing(&place, &self.what)?;
        let (sql, width) = self.reads.rows(self.layout, &conditions);
        let mut blocks = Blocks::default();
        {
            let mut rows = sqlx::query_with(AssertSqlSafe(sql), args).fetch(session.connection());
            while let Some(row) = self.reads.checked(rows.try_next().await.doing(&place, &self.what))? {
                let values = decode_all(&row, 0..width).doing(&place, &self.what)?;
                let row = self.laid_out(values, blocks.rows);
                if let Some(block) = blocks.push(row)
                    && !self.send(block).await
                {
                    return Ok(());
                }
            }
        }
        session.end().await.doing(&place, &self.what)?;
        self.finish(blocks).await
    }

    /// Reads the rows in small pieces, and keeps none of them locked while the writer is at work.
    async fn read_pieces(&self, session: Session) -> Result<()> {
        let place = session.place.clone();
        session.end().await.doing(&place, &self.what)?;
        let mut blocks = Blocks::default();
        let mut last: Option<Vec<Value>> = None;
        loop {
            let piece = self.piece(last.as_deref()).await?;
            let full = piece.len() as u64 == PIECE_ROWS;
            last = piece.last().map(|row| row[..self.reads.key.len()].to_vec());
            for mut values in piece {
                let values = values.split_off(self.reads.key.len());
                let row = self.laid_out(values, blocks.rows);
                if let Some(block) = blocks.push(row)
                    && !self.send(block).await
                {
                    return Ok(());
                }
            }
            if !full {
                return self.finish(blocks).await;
            }
        }
    }

    /// The next rows after `last`, with their key in front.
    async fn piece(&self, last: Option<&[Value]>) -> Result<Vec<Vec<Value>>> {
        let place = self.source.db.place.clone();
        let (conditions, args) = self.range(last).doing(&place, &self.what)?;
        let (sql, width) = self.reads.rows(self.layout, &conditions);
        let sql =
            sql.replacen("SELECT ", &format!("SELECT {}, ", key_list(&self.reads.key, &self.reads.table)), 1);
        let mut session = self.source.db.reading(&self.what).await?;
        let rows = session.all(format!("{sql} LIMIT {PIECE_ROWS}"), args).await.doing(&place, &self.what);
        let rows = self.reads.checked(rows)?;
        session.end().await.doing(&place, &self.what)?;
        let decode = |row: &SqliteRow| decode_all(row, 0..self.reads.key.len() + width);
        rows.iter().map(decode).collect::<Result<_, _>>().doing(&place, &self.what)
    }

    /// The row as the stream's layout has it.
    fn laid_out(&self, values: Vec<Value>, before: u64) -> Vec<Value> {
        if self.layout != Layout::Staged {
            return values;
        }
        let number = i64::try_from(before + 1).unwrap_or(i64::MAX);
        [Value::Integer(number), Value::Integer(1)].into_iter().chain(values).collect()
    }

    /// Hands a block over; false when nobody wants it any more.
    async fn send(&self, block: Block) -> bool {
        let rows = if let Block::Values(rows) = &block { rows.len() as u64 } else { 0 };
        if self.sender.send(Ok(block)).await.is_err() {
            return false;
        }
        self.source.throttle.pass(rows).await;
        true
    }

    async fn finish(&self, mut blocks: Blocks) -> Result<()> {
        if let Some(rest) = blocks.rest()
            && !self.send(rest).await
        {
            return Ok(());
        }
        self.source.db.check_file()?;
        self.send(blocks.end()).await;
        Ok(())
    }
}

/// The next dirty keys with their states, read in one snapshot: first the log, then the rows, so that
/// no state is older than its key.
pub(super) async fn batch(source: &Inner, watch: Watch<'_>, limits: Limits) -> Result<Batch> {
    let table = watch.table;
    let what = format!("reading what changed in {}", table.source);
    source.db.check_file()?;
    let mut session = source.db.reading(&what).await?;
    let from = log::mark(watch.watermark)?;
    let log = Log::find(&mut session, &source.names, table, watch.origin).await?;
    log.check(&mut session, &table.label(), from).await?;
    let end = log.end(&mut session).await?;
    let window = match table.strategy {
        Strategy::Keyed => limits.rows.max(1),
        // A keyless table is read whole, and with it everything that is waiting is done.
        Strategy::Whole => i64::MAX.unsigned_abs(),
    };
    let mut delta = Delta::between(&mut session, &log, from, window).await.doing(&source.db.place, &what)?;
    let mut states = vec![Block::End { rows: 0, bytes: 0 }];
    let mut keys = 0;
    if delta.entries > 0 && table.strategy == Strategy::Keyed {
        let reads = reads(&source.db, &mut session, table).await?;
        let first = format!(
            "SELECT min(id) AS hw_n, {} FROM {} WHERE id > ?1 AND id <= ?2 AND kind <> '{MET}' GROUP BY {}",
            value::join((1..=reads.key.len()).map(|i| format!("k{i} AS hw_k{i}")), ", "),
            log.name,
            grouping(&reads.key)
        );
        let args = integers(&[from.id, delta.last.id]).doing(&source.db.place, &what)?;
        let read = read_states(&mut session, &reads, &first, args, Some(limits.bytes)).await;
        let read = reads.checked(read.doing(&source.db.place, &what))?;
        read.check(table)?;
        if let Some(beyond) = read.stopped_before {
            delta = Delta::before(&mut session, &log, from, beyond).await.doing(&source.db.place, &what)?;
        }
        keys = read.keys;
        states = read.blocks;
    }
    session.end().await.doing(&source.db.place, &what)?;
    source.throttle.pass(keys).await;
    Ok(Batch {
        from: watch.watermark.clone(),
        to: if delta.entries == 0 {
            watch.watermark.clone()
        } else {
            Watermark::at(Extent::Sqlite(delta.last))
        },
        states: States { read_at: Extent::Sqlite(end), blocks: states },
        keys,
        entries: delta.entries,
        prune: false,
        more: delta.entries > 0 && delta.last.id < end.id,
    })
}

/// A piece of the log: how many entries, and the last of them.
struct Delta {
    last: Mark,
    entries: u64,
}

impl Delta {
    /// The first `most` entries after `from`.
    async fn between(session: &mut Session, log: &Log, from: Mark, most: u64) -> Result<Self, sqlx::Error> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let piece = format!("SELECT id, tag FROM {} WHERE id > ?1 ORDER BY id LIMIT ?2", log.name);
        Self::read(session, &piece, from, most).await
    }

    /// The entries after `from` with an id below `beyond`.
    async fn before(session: &mut Session, log: &Log, from: Mark, beyond: i64) -> Result<Self, sqlx::Error> {
        let piece = format!("SELECT id, tag FROM {} WHERE id > ?1 AND id < ?2", log.name);
        Self::read(session, &piece, from, beyond).await
    }

    async fn read(session: &mut Session, piece: &str, from: Mark, limit: i64) -> Result<Self, sqlx::Error> {
        // A bare column beside max() is that of the row with the highest.
        let sql = format!("SELECT count(*), coalesce(max(id), 0), coalesce(tag, 0) FROM ({piece})");
        let rows = session.all(sql, integers(&[from.id, limit])?).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let entries = integer(row, 0)?.unsigned_abs();
        let last = if entries == 0 { from } else { Mark { id: integer(row, 1)?, tag: integer(row, 2)? } };
        Ok(Delta { last, entries })
    }
}

/// `k1 COLLATE .., k2`: keys that the table holds for the same are one.
fn grouping(key: &[KeyColumn]) -> String {
    value::join(key.iter().enumerate().map(|(i, k)| format!("k{}{}", i + 1, k.collate)), ", ")
}

struct ReadStates {
    blocks: Vec<Block>,
    keys: u64,
    /// Where the first key stands that did not fit any more.
    stopped_before: Option<i64>,
    /// Whether a part of some key is NULL.
    nulls: bool,
}

impl ReadStates {
    fn check(&self, table: &TablePlan) -> Result<()> {
        if self.nulls { Err(null_key(table)) } else { Ok(()) }
    }
}

/// A row that has NULL in its key would never be found again.
fn null_key(table: &TablePlan) -> Error {
    let key = table.key.join(", ");
    Error::table(format!("{}: a row has NULL in its key ({key}), by which none is found", table.label()))
        .remedy("name columns that are never NULL as `key` of the table")
}

/// Fails when a row has NULL in its key; ranges would pass over it.
async fn check_keys(session: &mut Session, table: &TablePlan, reads: &Reads) -> Result<()> {
    let null = reads.key.iter().filter(|k| !k.sure).map(|k| format!("{} IS NULL", quote(&k.name)));
    let null = value::join(null, " OR ");
    if null.is_empty() {
        return Ok(());
    }
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {null})", reads.table);
    let place = session.place.clone();
    match session.integer(sql).await.doing(&place, "looking for keys with NULL")? {
        0 => Ok(()),
        _ => Err(null_key(table)),
    }
}

async fn read_states(
    session: &mut Session,
    reads: &Reads,
    keys: &str,
    args: SqliteArguments,
    most_bytes: Option<u64>,
) -> Result<ReadStates, sqlx::Error> {
    let sql = reads.states(keys);
    let key = 2..2 + reads.key.len();
    let mut nulls = false;
    let mut all = Vec::new();
    let mut blocks = Blocks::default();
    let mut stopped_before = None;
    let mut rows = sqlx::query_with(AssertSqlSafe(sql), args).fetch(session.connection());
    while let Some(row) = rows.try_next().await? {
        if blocks.rows > 0 && most_bytes.is_some_and(|most| blocks.bytes >= most) {
            stopped_before = Some(integer(&row, 0)?);
            break;
        }
        let mut values = decode_all(&row, 0..reads.staged_width())?;
        nulls |= values[key.clone()].contains(&Value::Null);
        values[0] = Value::Integer(i64::try_from(blocks.rows + 1).unwrap_or(i64::MAX));
        all.extend(blocks.push(values));
    }
    drop(rows);
    all.extend(blocks.rest());
    all.push(blocks.end());
    Ok(ReadStates { blocks: all, keys: blocks.rows, stopped_before, nulls })
}

/// The present states of `keys`, in one snapshot.
pub(super) async fn states(
    source: &Inner,
    table: &TablePlan,
    origin: &Origin,
    keys: &[Key],
) -> Result<States> {
    let what = format!("reading {}", table.source);
    let place = &source.db.place;
    let mut session = source.db.reading(&what).await?;
    let log = Log::find(&mut session, &source.names, table, origin).await?;
    let read_at = Extent::Sqlite(log.end(&mut session).await?);
    let reads = reads(&source.db, &mut session, table).await?;
    let key = &reads.key;
    let mut blocks = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for some in keys.chunks(MOST_VARIABLES / key.len().max(1)) {
        let (list, args) = key_values(some, rows)?;
        let first = format!(
            "SELECT min(column1) AS hw_n, {} FROM ({list}) GROUP BY {}",
            value::join((1..=key.len()).map(|i| format!("column{} AS hw_k{i}", i + 1)), ", "),
            value::join(key.iter().enumerate().map(|(i, k)| format!("column{}{}", i + 2, k.collate)), ", ")
        );
        let read = read_states(&mut session, &reads, &first, args, None).await;
        for block in reads.checked(read.doing(place, &what))?.blocks {
            match block {
                Block::End { rows: r, bytes: b } => {
                    rows += r;
                    bytes += b;
                }
                other => blocks.push(other),
            }
        }
    }
    session.end().await.doing(place, &what)?;
    number(&mut blocks);
    blocks.push(Block::End { rows, bytes });
    source.throttle.pass(rows).await;
    Ok(States { read_at, blocks })
}

/// `VALUES (1, ?, ?), (2, ?, ?)`: keys with their numbers.
pub(super) fn key_values(keys: &[Key], before: u64) -> Result<(String, SqliteArguments)> {
    let mut args = SqliteArguments::default();
    let mut rows = Vec::with_capacity(keys.len());
    for (n, key) in keys.iter().enumerate() {
        let values = value::from_key(key)?;
        let places: Vec<&str> = values.iter().map(value::placeholder).collect();
        rows.push(format!("({}, {})", before + n as u64 + 1, places.join(", ")));
        for part in values {
            value::bind(&mut args, part).map_err(|e| Error::failed("a key can't be bound").because(e))?;
        }
    }
    Ok((format!("VALUES {}", rows.join(", ")), args))
}

/// Numbers staged rows from 1 on, over all blocks.
fn number(blocks: &mut [Block]) {
    let mut next = 1;
    for block in blocks {
        let Block::Values(rows) = block else { continue };
        for row in rows {
            row[0] = Value::Integer(next);
            next += 1;
        }
    }
}

/// Whether a table of that shape has the columns of the plan's key.
pub(super) fn has_key(shape: &Shape, table: &TablePlan) -> bool {
    let key: Vec<&str> = table.key.iter().map(String::as_str).collect();
    shape.told_apart(&key).is_some()
}
