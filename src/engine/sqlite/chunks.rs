//! Cutting a table into ranges of keys.

use sqlx::sqlite::SqliteArguments;

use super::fault::Doing;
use super::read::{key_compare, key_of, key_order};
use super::source::Inner;
use super::value;
use crate::error::Result;
use crate::model::{Bounds, Strategy, TablePlan, Value, quote};

/// Hops over the key's index, a chunk at a time. Each hop is a read of its own, so that without WAL
/// writers can commit between; the cuts need not be of one moment.
pub(super) async fn chunks(source: &Inner, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>> {
    if table.strategy == Strategy::Whole {
        return Ok(vec![Bounds::all()]);
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
    let key = key_of(&source.db, &mut session, table).await?;
    let names = value::join(key.iter().map(|k| format!("t.{}", quote(&k.name))), ", ");
    let mut args = SqliteArguments::default();
    let mut from = String::new();
    if let Some(last) = last {
        from = format!("WHERE {}", key_compare(&key, "t", ">=", last));
        for part in last {
            value::bind(&mut args, part.clone()).doing(place, &what)?;
        }
    }
    let sql = format!(
        "SELECT {names} FROM {} AS t {from} ORDER BY {} LIMIT 1 OFFSET {rows}",
        quote(&table.source.name),
        key_order(&key, "t")
    );
    let found = session.all(sql, args).await.doing(place, &what)?;
    session.end().await.doing(place, &what)?;
    let cut = found.first().map(|row| value::decode_all(row, 0..key.len()));
    cut.transpose().doing(place, &what)
}
