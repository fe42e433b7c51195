//! What an act changes of rows that others look up makes those others' rows stale: they are noted, in the
//! same transaction, to be made equal again (docs/how-it-works.md, "lookups go stale").

use std::collections::{BTreeSet, HashMap};

use crate::engine::Tx;
use crate::error::Result;
use crate::ledger::{Act, Guarded, owned};
use crate::model::Dependant;
use crate::state::TableState;

/// The looked-up columns of the rows that an act is about to change, as they were.
pub(super) struct LookedUp {
    columns: Vec<String>,
    before: HashMap<i64, Vec<Option<String>>>,
}

impl LookedUp {
    /// Reads them; `None` where nobody depends on them yet: tables that look a table up are copied after it.
    pub(super) async fn read(tx: &mut dyn Tx, act: &Act<'_>, guarded: Guarded) -> Result<Option<Self>> {
        if act.table.dependants.is_empty() || guarded.state == TableState::Copying {
            return Ok(None);
        }
        let mut columns: BTreeSet<String> =
            act.table.dependants.iter().flat_map(|d| d.columns.iter().cloned()).collect();
        if columns.is_empty() {
            // That a row is there is all that is asked then.
            columns.extend(act.table.matched().next().map(|(pair, _)| pair.target.clone()));
        }
        let columns: Vec<String> = columns.into_iter().collect();
        let before = tx.standing(act.table, &columns).await?.into_iter().collect();
        Ok(Some(LookedUp { columns, before }))
    }

    /// Compares them with what stands there now, and notes the rows of others that depend on what changed.
    pub(super) async fn note(self, tx: &mut dyn Tx, act: &Act<'_>) -> Result<()> {
        let after: HashMap<i64, Vec<Option<String>>> =
            tx.standing(act.table, &self.columns).await?.into_iter().collect();
        for dependant in &act.table.dependants {
            let rows = self.stale(dependant, &after);
            owned::requeue(tx, act.database, &dependant.label, &rows).await?;
        }
        Ok(())
    }

    fn stale(
        &self,
        dependant: &Dependant,
        after: &HashMap<i64, Vec<Option<String>>>,
    ) -> Vec<Option<(String, String)>> {
        let place = |column: &String| self.columns.iter().position(|c| c == column);
        let read: Vec<usize> = dependant.columns.iter().filter_map(place).collect();
        let of = |row: Option<&Vec<Option<String>>>, i: usize| row.and_then(|r| r.get(i).cloned().flatten());
        let numbers: BTreeSet<i64> = self.before.keys().chain(after.keys()).copied().collect();
        let mut changed =
            numbers.into_iter().map(|n| (self.before.get(&n), after.get(&n))).filter(|(was, is)| {
                dependant.further
                    || was.is_some() != is.is_some()
                    || read.iter().any(|i| of(*was, *i) != of(*is, *i))
            });
        let link = dependant.link.as_ref().and_then(|link| Some((link, place(&link.looked_up)?)));
        let Some((link, looked_up)) = link else {
            return changed.next().map(|_| vec![None]).unwrap_or_default();
        };
        let values: BTreeSet<String> =
            changed.flat_map(|(was, is)| [of(was, looked_up), of(is, looked_up)]).flatten().collect();
        values.into_iter().map(|value| Some((link.column.clone(), value))).collect()
    }
}

/// Notes all rows of those that depend on the table.
pub(super) async fn all(tx: &mut dyn Tx, act: &Act<'_>) -> Result<()> {
    for dependant in &act.table.dependants {
        owned::requeue(tx, act.database, &dependant.label, &[None]).await?;
    }
    Ok(())
}
