//! Reading rows: chunks as streams, batches and states as blocks.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Either};
use tokio::sync::mpsc;

use super::comparison::Comparison;
use super::flush::Position;
use super::log::{self, Log, MOST_RANGES, Opened, beyond, seen, settle};
use super::pin;
use super::select::{Reading, Selection};
use super::session::{Session, bytes, number, text};
use super::source::Inner;
use super::types::{Kind, raw_key};
use super::value::{join, key_names, quote};
use crate::engine::blocks::{BLOCKS_WAITING, Blocks};
use crate::engine::{Limits, Origin, Watch};
use crate::error::{Error, Result};
use crate::model::{
    Batch, Block, Bounds, ColumnPair, Extent, Key, Layout, RowStream, Seen, States, Strategy, TablePlan,
    Value, Watermark,
};

/// How many keys one statement looks up.
const KEYS_AT_ONCE: usize = 200;

/// A table's key as its rows are told apart by it.
pub(super) struct KeyColumns {
    columns: Vec<(String, Kind)>,
}

impl KeyColumns {
    /// Of the source table.
    pub(super) fn of(table: &TablePlan) -> Self {
        let column = |pair: &ColumnPair| (pair.source.clone(), Kind::of(&pair.source_type));
        KeyColumns { columns: raw_key(table).iter().map(column).collect() }
    }

    /// Of the table's log.
    pub(super) fn in_log(table: &TablePlan) -> Self {
        let numbered = |(i, (_, kind))| (format!("k{}", i + 1), kind);
        KeyColumns { columns: Self::of(table).columns.into_iter().enumerate().map(numbered).collect() }
    }

    /// The keys that a query gives which selects them by [`Self::read`].
    pub(super) async fn fetch(&self, session: &mut Session, sql: String) -> Result<Vec<Key>> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(session.connection()?).await;
        let rows = rows.map_err(|e| session.failed(e))?;
        let key = |row: &MySqlRow| {
            let values = (0..self.columns.len()).map(|i| bytes(row, i).map(Option::unwrap_or_default));
            Ok(self.literals(&values.collect::<Result<Vec<&[u8]>, sqlx::Error>>()?))
        };
        rows.iter().map(|row| key(row).map_err(|e| session.failed(e))).collect()
    }

    /// Whether ranges of keys can be read.
    pub(super) fn has_ranges(&self) -> bool {
        self.columns.iter().all(|(_, kind)| kind.has_ranges())
    }

    /// The columns of `row`, as SQL.
    pub(super) fn list(&self, row: &str) -> String {
        join(self.columns.iter().map(|(name, _)| format!("{row}.{}", quote(name))), ", ")
    }

    /// The columns of `row` as they are read for a key, as SQL.
    pub(super) fn read(&self, row: &str) -> String {
        join(self.columns.iter().map(|(name, kind)| kind.key_column(&format!("{row}.{}", quote(name)))), ", ")
    }

    /// That the key is `key` of the row `l` of its log.
    pub(super) fn is_in_log(&self, l: &str, key: &Key) -> String {
        join(key.iter().enumerate().map(|(i, value)| format!("{l}.k{} = {value}", i + 1)), " AND ")
    }

    /// A key's values as the server sent them, as literals.
    pub(super) fn literals(&self, values: &[&[u8]]) -> Key {
        self.columns.iter().zip(values).map(|((_, kind), value)| kind.to_literal(value)).collect()
    }

    /// That the key of `row` is `key` or comes after it. The servers use an index for the first column
    /// only when it stands alone.
    pub(super) fn from(&self, row: &str, key: &Key) -> String {
        self.compare(row, key, ">", ">=")
    }

    /// That the key of `row` comes before `key`.
    fn before(&self, row: &str, key: &Key) -> String {
        self.compare(row, key, "<", "<")
    }

    fn compare(&self, row: &str, key: &Key, strict: &str, last: &str) -> String {
        let parts: Vec<(String, &String)> = self
            .columns
            .iter()
            .zip(key)
            .map(|((name, _), value)| (format!("{row}.{}", quote(name)), value))
            .collect();
        let nested = parts.iter().rev().fold(String::new(), |rest, (column, value)| match rest.as_str() {
            "" => format!("{column} {last} {value}"),
            _ => format!("({column} {strict} {value} OR ({column} = {value} AND {rest}))"),
        });
        match parts.as_slice() {
            [(column, value), _, ..] => format!("{column} {strict}= {value} AND {nested}"),
            _ => nested,
        }
    }

    /// That the key of `row` is `key`.
    pub(super) fn is(&self, row: &str, key: &Key) -> String {
        let same =
            |((name, _), value): (&(String, Kind), &String)| format!("{row}.{} = {value}", quote(name));
        join(self.columns.iter().zip(key).map(same), " AND ")
    }

    /// That the key of `t` is `k1, k2, ..` of `log`.
    fn is_logged(&self, t: &str, log: &str) -> String {
        let same = |(i, (name, kind)): (usize, &(String, Kind))| {
            Comparison::of_kind(kind).same(&format!("{t}.{}", quote(name)), &format!("{log}.k{}", i + 1))
        };
        join(self.columns.iter().enumerate().map(same), " AND ")
    }

    /// The values on their way of a key.
    fn values(&self, key: &Key) -> Result<Vec<Value>> {
        self.columns.iter().zip(key).map(|((_, kind), text)| kind.key_value(text)).collect()
    }
}

/// Starts reading the rows inside `bounds`.
pub(super) async fn stream(
    source: &Arc<Inner>,
    watch: Watch<'_>,
    bounds: &Bounds,
    layout: Layout,
) -> Result<RowStream> {
    let table = watch.table;
    let Opened { session, position, .. } = log::open(source, watch).await?;
    let covered = seen(watch.watermark)?;
    let key = KeyColumns::of(table);
    let lower = bounds.from.as_ref().map(|from| key.from("t", from));
    let upper = bounds.to.as_ref().map(|to| key.before("t", to));
    let conditions: Vec<String> = lower.into_iter().chain(upper).collect();
    let (sender, blocks) = mpsc::channel(BLOCKS_WAITING);
    let reading = Reading::of(table);
    let selection = reading.layout(layout);
    let sql = reading.rows(&selection, &source.names.table(&table.source.name), &conditions);
    let reader = Reader {
        source: source.clone(),
        label: table.label(),
        origin: watch.origin.clone(),
        selection,
        staged: layout == Layout::Staged,
        sender,
        position,
    };
    tokio::spawn(async move {
        let sender = reader.sender.clone();
        if let Err(error) = reader.read(session, sql).await {
            // Nobody listens any more: the reader was dropped.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(RowStream { extent: Extent::Mysql(covered.clone()), blocks })
}

struct Reader {
    source: Arc<Inner>,
    label: String,
    origin: Origin,
    selection: Selection,
    staged: bool,
    sender: mpsc::Sender<Result<Block>>,
    position: Option<Position>,
}

impl Reader {
    async fn read(&self, mut session: pin::Reader, sql: String) -> Result<()> {
        let place = session.place.clone();
        let failed = |e| super::fault::classify(e, &place);
        let mut blocks = Blocks::default();
        {
            let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(session.connection()?);
            while let Some(row) = rows.try_next().await.map_err(failed)? {
                let mut values = Vec::with_capacity(self.selection.columns.len() + 2);
                if self.staged {
                    values.extend([Value::Integer(count(blocks.rows + 1)), Value::Integer(1)]);
                }
                self.selection.values(&row, 1, &mut values)?;
                if let Some(block) = blocks.push(values)
                    && !self.send(block).await
                {
                    return Ok(());
                }
            }
        }
        if let Some(rest) = blocks.rest()
            && !self.send(rest).await
        {
            return Ok(());
        }
        settle(&self.source, session, self.position, &self.origin, &self.label).await?;
        self.send(blocks.end()).await;
        Ok(())
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
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// The next dirty keys with their states, read in one snapshot: first the log, then the rows, so that no
/// state is older than its key.
pub(super) async fn batch(source: &Inner, watch: Watch<'_>, limits: Limits) -> Result<Batch> {
    let table = watch.table;
    let from = seen(watch.watermark)?;
    // Asked before the snapshot is taken: what it does not see in these will never be there. A snapshot that is
    // held was taken before, and a gap that has filled since would be retired unseen.
    let retired = match &source.pin {
        Some(_) => Vec::new(),
        None => look_for_owners(source, table, from).await?,
    };
    let Opened { mut session, log, position } = log::open(source, watch).await?;
    let mut delta = match table.strategy {
        Strategy::Keyed => Delta::next(&mut session, &log, from, limits.rows).await?,
        // A keyless table is read whole, and with it everything that is waiting is done.
        Strategy::Whole => Delta::all(&mut session, &log, from).await?,
    };
    let mut states =
        ReadStates { blocks: vec![Block::End { rows: 0, bytes: 0 }], keys: 0, stopped_before: None };
    if delta.entries > 0 && table.strategy == Strategy::Keyed {
        states = delta_states(&mut session, source, table, &log, &delta, limits.bytes).await?;
        if let Some(beyond) = states.stopped_before {
            delta = delta.before(from, beyond);
            // The rest of the rows is still on its way: another connection is quicker.
            session = session.cut_off(source).await?;
        }
    }
    settle(source, session, position, watch.origin, &table.label()).await?;
    source.throttle.pass(states.keys).await;
    let to = Extent::Mysql(delta.retire(&retired));
    Ok(Batch {
        from: watch.watermark.clone(),
        to: Watermark::at(to.clone()),
        states: States { read_at: to, blocks: states.blocks },
        keys: states.keys,
        entries: delta.entries,
        prune: false,
        more: delta.more,
    })
}

/// The gaps of a log that no transaction can fill any more.
async fn look_for_owners(source: &Inner, table: &TablePlan, from: &Seen) -> Result<Vec<(u64, u64)>> {
    let log_name = source.names.log_name(&table.source.name);
    match source.retirement.try_lock() {
        Ok(mut retirement) => retirement.look(source, &log_name, &from.gaps).await,
        // Another log's gaps are being looked at, which may take a while. Gaps can wait, rows can't.
        Err(_) => Ok(Vec::new()),
    }
}

/// Some rows of a log: what is seen once they are, and how many they are.
struct Delta {
    to: Seen,
    entries: u64,
    /// The numbers with their tags, where rows were read one by one.
    rows: Vec<(u64, String)>,
    /// Whether more rows were waiting.
    more: bool,
}

impl Delta {
    /// The first `most` rows beyond `from`.
    async fn next(session: &mut Session, log: &Log, from: &Seen, most: u64) -> Result<Self> {
        let most = usize::try_from(most.max(1)).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        for part in beyond(from) {
            let left = most.saturating_add(1) - rows.len();
            let sql =
                format!("SELECT seq, captured_at FROM {} WHERE {part} ORDER BY seq LIMIT {left}", log.name);
            for row in session.query(sql).await? {
                rows.push((number(&row, 0)?, text(&row, 1)?.to_string()));
            }
            if rows.len() > most {
                break;
            }
        }
        let fitting = within_ranges(&rows, MOST_RANGES).min(most);
        let more = rows.len() > fitting;
        rows.truncate(fitting);
        Ok(Delta::of(from, rows, more))
    }

    /// Everything that the session sees.
    async fn all(session: &mut Session, log: &Log, from: &Seen) -> Result<Self> {
        let (mut rows, mut entries) = (0, 0);
        for part in beyond(from) {
            let sql =
                format!("SELECT COUNT(*), COUNT(IF(kind = 'N', NULL, 1)) FROM {} WHERE {part}", log.name);
            let waiting = session.row(sql).await?;
            rows += number::<u64>(&waiting, 0)?;
            // Notes alone are no reason to read the table.
            entries += number::<u64>(&waiting, 1)?;
        }
        let to = if rows == 0 { from.clone() } else { from.union(&log.extent(session).await?) };
        Ok(Delta { to, entries, rows: Vec::new(), more: false })
    }

    fn of(from: &Seen, rows: Vec<(u64, String)>, more: bool) -> Self {
        let numbers: Vec<u64> = rows.iter().map(|(number, _)| *number).collect();
        let tag = rows.last().map_or("", |(_, tag)| tag.as_str());
        Delta { to: from.with(&numbers, tag), entries: numbers.len() as u64, rows, more }
    }

    /// The condition for exactly its rows: others, those that were applied before among them, would take the
    /// batch's room, and the table would never move on.
    fn condition(&self) -> String {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (number, _) in &self.rows {
            match ranges.last_mut() {
                Some(last) if last.1 + 1 == *number => last.1 = *number,
                _ => ranges.push((*number, *number)),
            }
        }
        join(ranges.iter().map(|(first, last)| format!("seq BETWEEN {first} AND {last}")), " OR ")
    }

    /// Its rows with numbers below `beyond`.
    fn before(mut self, from: &Seen, beyond: u64) -> Self {
        self.rows.retain(|(number, _)| *number < beyond);
        Delta::of(from, self.rows, true)
    }

    /// What is seen, without the gaps that nobody will fill any more. Where more rows are waiting, those
    /// may be in gaps beyond the last one read.
    fn retire(&self, retired: &[(u64, u64)]) -> Seen {
        let read_to = match (self.more, self.rows.last()) {
            (true, Some((last, _))) => *last,
            (true, None) => 0,
            (false, _) => u64::MAX,
        };
        let is_final = |gap: &(u64, u64)| retired.iter().any(|r| r.0 <= gap.0 && gap.1 <= r.1);
        self.to.retire(|gap| gap.1 <= read_to && is_final(gap))
    }
}

/// How many of the rows lie in at most `most` ranges of numbers that follow each other.
fn within_ranges(rows: &[(u64, String)], most: usize) -> usize {
    let mut ranges = usize::from(!rows.is_empty());
    for (at, pair) in rows.windows(2).enumerate() {
        let [(before, _), (number, _)] = pair else { continue };
        ranges += usize::from(before + 1 != *number);
        if ranges > most {
            return at + 1;
        }
    }
    rows.len()
}

struct ReadStates {
    blocks: Vec<Block>,
    keys: u64,
    /// Where the first key stands that did not fit any more.
    stopped_before: Option<u64>,
}

/// The states of a delta's keys. Keys that the table holds for the same are one; notes have none.
async fn delta_states(
    session: &mut Session,
    source: &Inner,
    table: &TablePlan,
    log: &Log,
    delta: &Delta,
    most_bytes: u64,
) -> Result<ReadStates> {
    let place = session.place.clone();
    let failed = |e| super::fault::classify(e, &place);
    let key = KeyColumns::of(table);
    let reading = Reading::of(table);
    let selection = reading.logged();
    let names = key_names("", table.key.len());
    let logged: Vec<String> = (1..=table.key.len()).map(|n| format!("f.k{n}")).collect();
    let from = format!(
        "(SELECT MIN(seq) AS n, {names} FROM {} WHERE kind <> 'N' AND ({}) GROUP BY {names}) AS f \
         LEFT JOIN {} AS t ON {}",
        log.name,
        delta.condition(),
        source.names.table(&table.source.name),
        key.is_logged("t", "f")
    );
    let sql = reading.states(&selection, "f.n", &present(&key, "t"), &logged, &from);
    let sql = format!("{sql} ORDER BY 1");
    let mut all = Vec::new();
    let mut blocks = Blocks::default();
    let mut stopped_before = None;
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(session.connection()?);
    while let Some(row) = stream.try_next().await.map_err(failed)? {
        if blocks.rows > 0 && blocks.bytes >= most_bytes {
            stopped_before = Some(parsed(&row, 0).map_err(failed)?);
            break;
        }
        let is_present: i64 = parsed(&row, 1).map_err(failed)?;
        let mut values = Vec::with_capacity(2 + selection.columns.len());
        values.extend([Value::Integer(count(blocks.rows + 1)), Value::Integer(is_present)]);
        selection.values(&row, 2, &mut values)?;
        all.extend(blocks.push(values));
    }
    drop(stream);
    all.extend(blocks.rest());
    all.push(blocks.end());
    Ok(ReadStates { blocks: all, keys: blocks.rows, stopped_before })
}

/// Whether a row was found. (IS NULL would be true for a date of zeros, too.)
fn present(key: &KeyColumns, row: &str) -> String {
    key.columns.first().map_or("0".to_string(), |(name, _)| format!("NOT ({row}.{} <=> NULL)", quote(name)))
}

fn parsed<T: std::str::FromStr>(row: &MySqlRow, column: usize) -> Result<T, sqlx::Error> {
    let sent = bytes(row, column)?.and_then(|bytes| std::str::from_utf8(bytes).ok());
    sent.and_then(|text| text.parse().ok()).ok_or(sqlx::Error::RowNotFound)
}

/// The present states of `keys`, in one snapshot.
pub(super) async fn states(source: &Inner, watch: Watch<'_>, keys: &[Key]) -> Result<States> {
    let table = watch.table;
    let Opened { mut session, position, .. } = log::open(source, watch).await?;
    let place = session.place.clone();
    let failed = |e| super::fault::classify(e, &place);
    let covered = seen(watch.watermark)?;
    let key = KeyColumns::of(table);
    let reading = Reading::of(table);
    let selection = reading.state();
    let mut all = Vec::new();
    let mut blocks = Blocks::default();
    for some in keys.chunks(KEYS_AT_ONCE) {
        // One statement for each key: the parts of a UNION would bend each other's types.
        let one = |(n, wanted): (usize, &Key)| {
            let from = format!(
                "(SELECT 1 AS one) AS one LEFT JOIN {} AS t ON {}",
                source.names.table(&table.source.name),
                key.is("t", wanted)
            );
            reading.states(&selection, &n.to_string(), &present(&key, "t"), wanted, &from)
        };
        let sql = join(some.iter().enumerate().map(one), "; ");
        let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(session.connection()?);
        while let Some(part) = stream.try_next().await.map_err(failed)? {
            let Either::Right(row) = part else { continue };
            let wanted = some.get(parsed::<usize>(&row, 0).map_err(failed)?);
            let wanted = wanted.ok_or_else(|| Error::failed("a row that nobody asked for"))?;
            let is_present: i64 = parsed(&row, 1).map_err(failed)?;
            let mut values = vec![Value::Integer(count(blocks.rows + 1)), Value::Integer(is_present)];
            values.extend(key.values(wanted)?);
            selection.values(&row, 2, &mut values)?;
            all.extend(blocks.push(values));
        }
    }
    settle(source, session, position, watch.origin, &table.label()).await?;
    all.extend(blocks.rest());
    all.push(blocks.end());
    source.throttle.pass(blocks.rows).await;
    Ok(States { read_at: Extent::Mysql(covered.clone()), blocks: all })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(columns: &[&str]) -> KeyColumns {
        KeyColumns { columns: columns.iter().map(|c| ((*c).to_string(), Kind::Integer)).collect() }
    }

    #[test]
    fn ranges_of_composite_keys_begin_with_their_first_column() {
        let values = |some: &[&str]| some.iter().map(ToString::to_string).collect::<Key>();
        assert_eq!(key(&["a"]).from("t", &values(&["1"])), "t.`a` >= 1");
        assert_eq!(key(&["a"]).before("t", &values(&["1"])), "t.`a` < 1");
        assert_eq!(
            key(&["a", "b"]).from("t", &values(&["1", "2"])),
            "t.`a` >= 1 AND (t.`a` > 1 OR (t.`a` = 1 AND t.`b` >= 2))"
        );
        assert_eq!(
            key(&["a", "b"]).before("t", &values(&["1", "2"])),
            "t.`a` <= 1 AND (t.`a` < 1 OR (t.`a` = 1 AND t.`b` < 2))"
        );
    }

    #[test]
    fn a_gap_is_retired_only_where_everything_was_read() {
        let from = Seen::default().with(&[10], "t");
        let tagged = |number| (number, "t".to_string());
        let cut = Delta::of(&from, vec![tagged(3)], true);
        assert_eq!(cut.retire(&[(1, 9)]).gaps, [(4, 9)], "5 may be waiting");
        let whole = Delta::of(&from, vec![tagged(3)], false);
        assert_eq!(whole.retire(&[(1, 9)]).gaps, []);
        assert_eq!(whole.retire(&[]).gaps, [(1, 2), (4, 9)]);
    }
}
