//! Cutting a table into ranges of keys.

use sqlx::sqlite::SqliteArguments;

use super::fault::Doing;
use super::read::reads;
use super::select::{Reads, key_compare, key_list, key_order};
use super::source::Inner;
use super::value;
use crate::error::Result;
use crate::model::{Bounds, Strategy, TablePlan, Value};

/// Hops over the key's index, a chunk at a time. Each hop is a read of its own, so that without WAL
/// writers can commit between; the cuts need not be of one moment.
pub(super) async fn chunks(source: &Inner, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>> {
    if table.strategy == Strategy::Whole {
        return Ok(vec![Bounds::all()]);
    }
    if let Some(cuts) = unindexed(source, table, rows.max(1)).await? {
        return Ok(Bounds::between(cuts));
    }
    let mut cuts = Vec::new();
    let mut last: Option<Vec<Value>> = None;
    while let Some(cut) = next(source, table, rows.max(1), last.as_deref()).await? {
        cuts.push(value::to_key(&cut));
        last = Some(cut);
    }
    Ok(Bounds::between(cuts))
}

/// The key that is `rows` keys further than `last`.
async fn next(
    source: &Inner,
    table: &TablePlan,
    rows: u64,
    last: Option<&[Value]>,
) -> Result<Option<Vec<Value>>> {
    let what = format!("cutting {} into chunks", table.source);
    let place = &source.db.place;
    let mut session = source.db.reading(&what).await?;
    let Reads { key, table: row, .. } = reads(&source.db, &mut session, table).await?;
    let mut args = SqliteArguments::default();
    let mut from = String::new();
    if let Some(last) = last {
        from = format!("WHERE {}", key_compare(&key, &row, ">=", last));
        for part in last {
            value::bind(&mut args, part.clone()).doing(place, &what)?;
        }
    }
    let sql = format!(
        "SELECT {} FROM {row} {from} ORDER BY {} LIMIT 1 OFFSET {rows}",
        key_list(&key, &row),
        key_order(&key, &row)
    );
    let found = session.all(sql, args).await.doing(place, &what)?;
    session.end().await.doing(place, &what)?;
    let cut = found.first().map(|row| value::decode_all(row, 0..key.len()));
    cut.transpose().doing(place, &what)
}

/// All cuts at once where no index has the key's order: each hop would sort the whole table. `None` where
/// one has.
async fn unindexed(source: &Inner, table: &TablePlan, rows: u64) -> Result<Option<Vec<crate::model::Key>>> {
    let what = format!("cutting {} into chunks", table.source);
    let place = &source.db.place;
    let mut session = source.db.reading(&what).await?;
    let catalog = source.db.catalog(&mut session).await?;
    let names: Vec<&str> = table.key.iter().map(String::as_str).collect();
    let found = catalog.table(&table.source.name).and_then(|shape| shape.key_columns(&names));
    if found.is_some() {
        session.end().await.doing(place, &what)?;
        return Ok(None);
    }
    let Reads { key, table: row, .. } = reads(&source.db, &mut session, table).await?;
    let list = key_list(&key, &row);
    let sql = format!(
        "SELECT * FROM (SELECT {list}, row_number() OVER (ORDER BY {}) AS hw_n FROM {row}) \
         WHERE hw_n > 1 AND hw_n % {rows} = 1 % {rows} ORDER BY hw_n",
        key_order(&key, &row)
    );
    let cuts = session.all(sql, SqliteArguments::default()).await.doing(place, &what)?;
    session.end().await.doing(place, &what)?;
    let cut = |row| Ok::<_, sqlx::Error>(value::to_key(&value::decode_all(row, 0..key.len())?));
    let mut cuts = cuts.iter().map(cut).collect::<Result<Vec<_>, _>>().doing(place, &what)?;
    // A key of several rows begins one chunk only.
    cuts.dedup();
    Ok(Some(cuts))
}
