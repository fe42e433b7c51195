//! Reading dirty keys and states: always in one snapshot, after having seen in the same snapshot that the
//! log is still the one that the watermark speaks of.

use super::capture::numbered;
use super::connect::literal;
use super::copy_out::{Blocks, Rows, position};
use super::facts::{self, KeyColumn};
use super::flush::flushed;
use super::ranges::{self, Range};
use super::selection::Selection;
use super::session::{Session, flag, maybe, number, text};
use super::source::PostgresSource;
use crate::engine::template::fill;
use crate::engine::{Identity, Limits, Origin, Watch};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Batch, Block, Extent, Form, Key, Position, Snapshot, States, Strategy, TablePlan, Watermark, quote,
};

/// About how many bytes of keys one statement may name.
const KEY_BYTES: usize = 512 * 1024;

/// A transaction that reads, at one snapshot.
pub(super) struct Reading {
    pub(super) session: Session,
    /// What it sees.
    pub(super) snapshot: Snapshot,
    /// Where the server's log stood after the snapshot was taken.
    pub(super) lsn: String,
    /// The snapshot up to which the table's log was purged, if it was.
    purged_to: Option<Snapshot>,
}

/// As [`Source::identity`](crate::engine::Source::identity).
pub(super) async fn identity(source: &PostgresSource) -> Result<Identity> {
    let mut session = source.session().await?;
    let row = session.row(include_str!("../../../sql/postgres/identity.sql")).await?;
    session.close();
    Ok(Identity {
        database: text(&row, 0)?.to_string(),
        life: text(&row, 1)?.to_string(),
        version: text(&row, 2)?.to_string(),
    })
}

impl Reading {
    /// Begins to read `table`. With an origin, checks that the log is still the same.
    pub(super) async fn begin(
        source: &PostgresSource,
        table: &TablePlan,
        origin: Option<&Origin>,
    ) -> Result<Self> {
        let mut session = source.session().await?;
        let begin = source.begin_read(&mut session).await?;
        let sql = fill(
            include_str!("../../../sql/postgres/begin_read.sql"),
            &[("begin", begin), ("s", &quote(&source.schema)), ("label", &literal(&table.label()))],
        );
        let row = session.row(sql).await?;
        if flag(&row, 5) {
            return Err(Error::new(Kind::Unavailable, format!("{}: the server is a standby", source.place))
                .remedy(
                    "let the URL lead to the primary: a standby's snapshots leave open transactions out",
                ));
        }
        let reading = Reading {
            session,
            snapshot: text(&row, 3)?.parse()?,
            lsn: text(&row, 4)?.to_string(),
            purged_to: maybe(&row, 7).map(str::parse).transpose()?,
        };
        source.sees_pin(&reading.snapshot)?;
        let Some(generation) = maybe(&row, 6) else {
            return Err(Error::table(format!(
                "{}: capture of {} is not installed",
                source.place,
                table.label()
            )));
        };
        if let Some(origin) = origin {
            same_database(source, origin, text(&row, 0)?)?;
            same_log(table, origin, text(&row, 1)?, generation)?;
        }
        Ok(reading)
    }

    /// Checks that nothing was purged that `watermark` does not cover, and that the source still knows
    /// everything that it does cover.
    pub(super) fn unpurged(&self, table: &TablePlan, watermark: &Watermark) -> Result<()> {
        let base = ranges::snapshot(watermark.base())?;
        if !Extent::Postgres(self.snapshot.clone()).covers(watermark) {
            let what = format!("the source has forgotten transactions that {} was given", table.label());
            return Err(Error::new(Kind::Doubtful, what)
                .remedy("nothing: the table is copied anew. Was the source put back to an older state?"));
        }
        match &self.purged_to {
            Some(purged) if !base.covers(purged) => Err(Error::new(
                Kind::Doubtful,
                format!("the log of {} was purged beyond what the target has", table.label()),
            )
            .remedy("nothing: the table is copied anew. Was the target restored from a backup?")),
            _ => Ok(()),
        }
    }

    /// Prefers indexes for what follows, as far as there is one for the key; sets the search path.
    pub(super) async fn by_index(&mut self, table: &TablePlan, key: &[KeyColumn]) -> Result<()> {
        let joins = if key.is_empty() || key.iter().any(|c| c.indexed) {
            "; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
        } else {
            ""
        };
        let path = Selection::of(table, key).path();
        self.session
            .execute(format!(
                "{path}; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off{joins}"
            ))
            .await?;
        Ok(())
    }

    /// Ends the transaction; returns when the source can't lose what was read any more.
    pub(super) async fn end(mut self, source: &PostgresSource) -> Result<()> {
        self.session.execute("COMMIT").await?;
        flushed(source, &mut self.session, &self.lsn).await?;
        self.session.close();
        Ok(())
    }
}

fn same_database(source: &PostgresSource, origin: &Origin, database: &str) -> Result<()> {
    if origin.identity.database == database {
        return Ok(());
    }
    Err(Error::foreign(format!(
        "{}: this is another database than the one that was copied (it is {database}, it was {})",
        source.place, origin.identity.database
    ))
    .remedy(
        "let the URL lead to the database that was copied; or `highwater clean` the target and begin again",
    ))
}

fn same_log(table: &TablePlan, origin: &Origin, life: &str, generation: &str) -> Result<()> {
    let doubt =
        |what: String| Err(Error::new(Kind::Doubtful, what).remedy("nothing: the table is copied anew"));
    if origin.identity.life != life {
        return doubt(format!(
            "the source went from timeline {} to {life}: commits may be lost that the target has",
            origin.identity.life
        ));
    }
    if origin.generation != generation {
        return doubt(format!("the log of {} began anew and may have missed changes", table.label()));
    }
    Ok(())
}

/// As [`Source::extent`](crate::engine::Source::extent).
pub(super) async fn extent(source: &PostgresSource, table: &TablePlan) -> Result<Extent> {
    let reading = Reading::begin(source, table, None).await?;
    let extent = Extent::Postgres(reading.snapshot.clone());
    reading.end(source).await?;
    Ok(extent)
}

/// Log entries of a delta, as many as fit.
struct Window {
    entries: u64,
    last: (u64, i64),
    truncated: Option<(u64, i64)>,
    /// The entries as a CTE `entry`.
    sql: String,
}

/// As [`Source::batch`](crate::engine::Source::batch).
pub(super) async fn batch(source: &PostgresSource, watch: Watch<'_>, limits: Limits) -> Result<Batch> {
    let Watch { table, watermark, origin } = watch;
    let mut reading = Reading::begin(source, table, Some(origin)).await?;
    reading.unpurged(table, watermark)?;
    let (extent, ranges) = ranges::delta(watermark, &reading.snapshot)?;
    let extent = Extent::Postgres(extent);
    let read_at = Extent::Postgres(reading.snapshot.clone());
    let key = match table.strategy {
        Strategy::Keyed => facts::key_of(&mut reading.session, table).await?,
        Strategy::Whole => Vec::new(),
    };
    reading.by_index(table, &key).await?;
    let limit = affordable(source, table, limits);
    let Some(window) = window(source, &mut reading, table, &key, &ranges, limit).await? else {
        reading.end(source).await?;
        return Ok(empty(watermark, Watermark::at(extent), read_at, table.form));
    };
    let taken = if key.is_empty() {
        Taken { blocks: Blocks::new(table.form).finish().into(), keys: 0, cut: None }
    } else {
        take(source, &mut reading, table, &key, &window, limits.bytes).await?
    };
    let last = taken.cut.unwrap_or(window.last);
    let more = taken.cut.is_some() || window.entries == limit;
    let entries = match taken.cut {
        None => {
            reading.end(source).await?;
            window.entries
        }
        Some(last) => end_cut(source, reading, &window, last).await?,
    };
    source.throttle.pass(taken.keys).await;
    Ok(Batch {
        from: watermark.clone(),
        to: if more {
            watermark.partly(extent, Position::Postgres(last.0, last.1))
        } else {
            Watermark::at(extent)
        },
        states: States { read_at, blocks: taken.blocks },
        keys: taken.keys,
        entries,
        prune: window.truncated.is_some_and(|at| at <= last),
        more,
    })
}

fn empty(from: &Watermark, to: Watermark, read_at: Extent, form: Form) -> Batch {
    let states = States { read_at, blocks: Blocks::new(form).finish().into() };
    Batch { from: from.clone(), to, states, keys: 0, entries: 0, prune: false, more: false }
}

/// Ends a reading that was cut off: its connection is useless. Returns how many entries it came past.
async fn end_cut(
    source: &PostgresSource,
    reading: Reading,
    window: &Window,
    last: (u64, i64),
) -> Result<u64> {
    let lsn = reading.lsn.clone();
    drop(reading);
    let mut session = source.session().await?;
    let (sql, (xid, id)) = (&window.sql, last);
    let begin = source.begin_read(&mut session).await?;
    let counted = session
        .row(format!(
            "{begin} {sql} SELECT count(*) FROM entry WHERE (xid, id) <= ('{xid}'::xid8, {id}); COMMIT"
        ))
        .await?;
    flushed(source, &mut session, &lsn).await?;
    session.close();
    number(&counted, 0)
}

/// How many entries to read, so that their states hardly ever exceed the limit.
fn affordable(source: &PostgresSource, table: &TablePlan, limits: Limits) -> u64 {
    // The size of a small table says nothing of its rows.
    let planned = (table.rows >= 1_000).then(|| table.bytes as f64 / table.rows as f64);
    let width = source.notes().widths.get(&table.label()).copied().or(planned).unwrap_or(1.0).max(1.0);
    ((limits.bytes as f64 / width) as u64).clamp(1, limits.rows.max(1))
}

async fn window(
    source: &PostgresSource,
    reading: &mut Reading,
    table: &TablePlan,
    key: &[KeyColumn],
    ranges: &[Range],
    limit: u64,
) -> Result<Option<Window>> {
    let Some(values) = ranges::values(ranges) else { return Ok(None) };
    let log = super::capture::log_of(&source.schema, &table.source);
    let keys = if key.is_empty() { String::new() } else { format!(", {}", numbered(key)) };
    let (rows, limit_text) = (values, limit.to_string());
    let sql = fill(
        include_str!("../../../sql/postgres/window.sql").trim(),
        &[("ranges", &rows), ("log", &log), ("keys", &keys), ("limit", &limit_text)],
    );
    let row = reading
        .session
        .row(format!("{sql}{}", include_str!("../../../sql/postgres/window_bounds.sql")))
        .await?;
    let entries = number(&row, 0)?;
    if entries == 0 {
        return Ok(None);
    }
    let truncated = match (maybe(&row, 3), maybe(&row, 4)) {
        (Some(_), Some(_)) => Some((number(&row, 3)?, number(&row, 4)?)),
        _ => None,
    };
    Ok(Some(Window { entries, last: (number(&row, 1)?, number(&row, 2)?), truncated, sql }))
}

struct Taken {
    blocks: Vec<Block>,
    keys: u64,
    /// Where the limit of bytes cut it off: the position of the last row taken.
    cut: Option<(u64, i64)>,
}

/// The states of the window's keys, in the order in which each key occurs first: so a cut after any row
/// leaves out only entries behind it.
async fn take(
    source: &PostgresSource,
    reading: &mut Reading,
    table: &TablePlan,
    key: &[KeyColumn],
    window: &Window,
    bytes: u64,
) -> Result<Taken> {
    let select = fill(
        include_str!("../../../sql/postgres/dirty_states.sql").trim(),
        &[
            ("window", &window.sql),
            ("keys", &numbered(key)),
            ("states", &Selection::of(table, key).states("hw_at::text::bigint")),
        ],
    );
    let mut rows = Rows::start(&mut reading.session, &select, table.form).await?;
    let mut blocks = Vec::new();
    let mut gathered = Blocks::new(table.form);
    let (mut last, mut cut) = (None, None);
    while let Some(row) = rows.next().await? {
        if last.is_some() && gathered.bytes + row.len() as u64 > bytes {
            cut = last;
            break;
        }
        last = Some(position(&row, table.form)?);
        blocks.extend(gathered.add(&row));
    }
    drop(rows);
    let keys = gathered.rows;
    note_width(source, table, &gathered);
    blocks.extend(gathered.finish());
    Ok(Taken { blocks, keys, cut })
}

fn note_width(source: &PostgresSource, table: &TablePlan, gathered: &Blocks) {
    if gathered.rows > 0 {
        let width = gathered.bytes as f64 / gathered.rows as f64;
        let mut notes = source.notes();
        let known = notes.widths.entry(table.label()).or_insert(width);
        // Quick to believe in wide rows, slow to forget them.
        *known = if width > *known { width } else { *known * 0.9 + width * 0.1 };
    }
}

/// As [`Source::states`](crate::engine::Source::states).
pub(super) async fn states(
    source: &PostgresSource,
    table: &TablePlan,
    origin: &Origin,
    keys: &[Key],
) -> Result<States> {
    let mut reading = Reading::begin(source, table, Some(origin)).await?;
    let key = facts::key_of(&mut reading.session, table).await?;
    reading.by_index(table, &key).await?;
    let mut blocks = Vec::new();
    let mut gathered = Blocks::new(table.form);
    let mut rest = keys;
    while !rest.is_empty() {
        let (some, others) = rest.split_at(statement_size(rest));
        let first = keys.len() - rest.len() + 1;
        let select = select_states(table, &key, some, first);
        let mut rows = Rows::start(&mut reading.session, &select, table.form).await?;
        while let Some(row) = rows.next().await? {
            blocks.extend(gathered.add(&row));
        }
        rest = others;
    }
    let rows = gathered.rows;
    blocks.extend(gathered.finish());
    let read_at = Extent::Postgres(reading.snapshot.clone());
    reading.end(source).await?;
    source.throttle.pass(rows).await;
    Ok(States { read_at, blocks })
}

/// How many of the keys one statement takes: at least one.
fn statement_size(keys: &[Key]) -> usize {
    let mut bytes = 0;
    let fit = keys.iter().take_while(|key| {
        bytes += key.iter().map(|part| part.len() + 40).sum::<usize>();
        bytes <= KEY_BYTES
    });
    fit.count().max(1)
}

fn select_states(table: &TablePlan, key: &[KeyColumn], keys: &[Key], first: usize) -> String {
    let values: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(i, values)| format!("({}::bigint, {})", first + i, typed(key, values)))
        .collect();
    fill(
        include_str!("../../../sql/postgres/key_states.sql").trim(),
        &[
            ("values", &values.join(",\n")),
            ("keys", &numbered(key)),
            ("states", &Selection::of(table, key).states("0::bigint")),
        ],
    )
}

/// The values of a key as literals of their types.
pub(super) fn typed(key: &[KeyColumn], values: &[String]) -> String {
    let literals: Vec<String> =
        key.iter().zip(values).map(|(c, value)| format!("{}::{}", literal(value), c.log_type)).collect();
    literals.join(", ")
}
