//! Cutting a table into ranges of keys.

use super::read::KeyColumns;
use super::session::bytes;
use super::source::Inner;
use crate::error::Result;
use crate::model::{Bounds, Key, Strategy, TablePlan};

/// Hops over the key's index, a chunk at a time. Each hop is a read of its own; the cuts need not be of
/// one moment. A key that has no ranges is read in one go.
pub(super) async fn chunks(source: &Inner, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>> {
    let key = KeyColumns::of(table);
    if table.strategy == Strategy::Whole || !key.has_ranges() {
        return Ok(vec![Bounds::all()]);
    }
    let mut session = source.server.session().await?;
    let mut cuts: Vec<Key> = Vec::new();
    loop {
        let from = cuts.last().map_or_else(String::new, |last| format!("WHERE {}", key.from("t", last)));
        let sql = format!(
            "SELECT {} FROM {} AS t {from} ORDER BY {} LIMIT 1 OFFSET {}",
            key.list("t"),
            source.names.table(&table.source.name),
            key.list("t"),
            rows.max(1)
        );
        let Some(cut) = session.first(sql).await? else { break };
        let values = (0..table.key.len()).map(|i| bytes(&cut, i).map(Option::unwrap_or_default));
        let values: Vec<&[u8]> = values.collect::<Result<_, _>>().map_err(|e| session.failed(e))?;
        let cut = key.literals(&values);
        // A rule's key may hold the same for more rows than a chunk takes.
        if cuts.last() == Some(&cut) {
            break;
        }
        cuts.push(cut);
    }
    session.close();
    Ok(Bounds::between(cuts))
}
