//! Whole ranges of a table: chunks and how a table is cut into them.

use tokio::sync::mpsc;

use super::capture::each;
use super::copy_out::{Blocks, Rows};
use super::facts::{self, KeyColumn};
use super::read::{Reading, typed};
use super::selection::{Selection, from, user_path};
use super::session::number;
use super::source::PostgresSource;
use crate::engine::Origin;
use crate::error::{Error, Result};
use crate::model::{Block, Bounds, Extent, Key, Layout, RowStream, Strategy, TablePlan, quote};

/// How many blocks may wait for the writer.
const BLOCKS: usize = 4;

/// As [`Source::chunks`](crate::engine::Source::chunks): one ordered scan of the key's index.
pub(super) async fn chunks(source: &PostgresSource, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>> {
    if table.strategy == Strategy::Whole {
        return Ok(vec![Bounds::all()]);
    }
    let mut session = source.session().await?;
    let key = facts::key_of(&mut session, table).await?;
    let names = each(&key, |_, name| format!("t.{name}"));
    let bare = each(&key, |_, name| format!("c.{name}"));
    let (rows, table) = (rows.max(1), from(table));
    let mut cuts: Vec<Key> = Vec::new();
    session
        .execute(format!(
            "BEGIN READ ONLY; SET LOCAL lock_timeout = '30s'; SET LOCAL enable_seqscan = off; \
             SET LOCAL enable_bitmapscan = off; {}",
            user_path(&operator_path(&key))
        ))
        .await?;
    let answer = session
        .query(format!(
            "SELECT {bare} FROM (SELECT {names}, row_number() OVER (ORDER BY {names}) AS hw_place FROM {table} AS t) AS c \
             WHERE c.hw_place % {rows} = 1 % {rows} AND c.hw_place > 1 ORDER BY {bare}; COMMIT"
        ))
        .await?;
    session.close();
    for row in answer {
        let cut: Option<Key> = row.into_iter().collect();
        cuts.push(cut.ok_or_else(|| Error::table("a key of the source holds NULL"))?);
    }
    Ok(Bounds::between(cuts))
}

/// As [`Source::count`](crate::engine::Source::count).
pub(super) async fn count(source: &PostgresSource, table: &TablePlan) -> Result<u64> {
    let mut session = source.session().await?;
    let begin = source.begin_read(&mut session).await?;
    let path = user_path("pg_catalog");
    let row = session.row(format!("{begin} {path}; SELECT count(*) FROM {}; COMMIT", from(table))).await?;
    session.close();
    number(&row, 0)
}

/// As [`Source::stream`](crate::engine::Source::stream). A task of its own reads, as far ahead as the
/// channel lets it.
pub(super) async fn stream(
    source: &PostgresSource,
    table: &TablePlan,
    origin: &Origin,
    bounds: &Bounds,
    layout: Layout,
) -> Result<RowStream> {
    let mut reading = Reading::begin(source, table, Some(origin)).await?;
    let key = match table.strategy {
        Strategy::Keyed => facts::key_of(&mut reading.session, table).await?,
        Strategy::Whole => Vec::new(),
    };
    reading.session.execute(Selection::of(table, &key).path()).await?;
    let select = select(table, &key, bounds, layout);
    let extent = Extent::Postgres(reading.snapshot.clone());
    let (sender, blocks) = mpsc::channel(BLOCKS);
    let (source, form) = (source.clone(), table.form);
    tokio::spawn(async move {
        if let Err(error) = send(&source, reading, &select, form, &sender).await {
            // When nobody receives any more, nobody wants to know.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(RowStream { extent, blocks })
}

async fn send(
    source: &PostgresSource,
    mut reading: Reading,
    select: &str,
    form: crate::model::Form,
    sender: &mpsc::Sender<Result<Block>>,
) -> Result<()> {
    let mut rows = Rows::start(&mut reading.session, select, form).await?;
    let mut blocks = Blocks::new(form);
    let mut paid = 0;
    loop {
        let row = tokio::select! {
            row = rows.next() => row?,
            () = sender.closed() => return Ok(()),
        };
        let Some(row) = row else { break };
        if let Some(block) = blocks.add(&row) {
            source.throttle.pass(blocks.rows - paid).await;
            paid = blocks.rows;
            if sender.send(Ok(block)).await.is_err() {
                return Ok(());
            }
        }
    }
    drop(rows);
    source.throttle.pass(blocks.rows - paid).await;
    reading.end(source).await?;
    for block in blocks.finish() {
        if sender.send(Ok(block)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The schemas of a key's comparison operators, as a search path: they are not named one by one in
/// comparisons of whole keys.
pub(super) fn operator_path(key: &[KeyColumn]) -> String {
    let mut path = vec!["pg_catalog".to_string()];
    for column in key.iter().filter(|c| c.operators != "pg_catalog") {
        path.push(quote(&column.operators));
    }
    path.join(", ")
}

fn select(table: &TablePlan, key: &[KeyColumn], bounds: &Bounds, layout: Layout) -> String {
    let keys = each(key, |_, name| format!("t.{name}"));
    let side = |operator: &str, values: &Option<Key>| {
        let values = values.as_ref()?;
        Some(format!("ROW({keys}) {operator} ROW({})", typed(key, values)))
    };
    let sides: Vec<String> =
        [side(">=", &bounds.from), side("<", &bounds.to)].into_iter().flatten().collect();
    let condition = if sides.is_empty() { String::new() } else { format!(" WHERE {}", sides.join(" AND ")) };
    Selection::of(table, key).rows(&condition, layout)
}
