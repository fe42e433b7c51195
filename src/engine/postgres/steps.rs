//! The steps of making keys equal that take more than one statement.

use sqlx::Row;

use super::shape::Shape;
use super::statements::{Pick, Script};
use super::tx::{Outcome, PgTx};
use crate::engine::{Feed, KeyDifferences, Record};
use crate::error::{Error, Kind, Result};
use crate::model::{Applied, Key, OnDelete, TablePlan, quote};

impl PgTx {
    /// Runs a script. Returns the counts that it marks.
    pub(super) async fn run_script(&mut self, script: &Script, table: &TablePlan) -> Result<Vec<u64>> {
        let outcomes = self.run(script.sql(), Some(table)).await?;
        Ok(script.marks.iter().map(|place| outcomes.get(*place).map_or(0, |o| o.touched)).collect())
    }

    /// As [`Tx::equalise`](crate::engine::Tx::equalise).
    pub(super) async fn equalise_picked(
        &mut self,
        table: &TablePlan,
        shape: &Shape,
        pick: Pick<'_>,
    ) -> Result<Applied> {
        if !self.is_silenced() {
            // Rows of one batch may refer to each other: what can wait for its check waits to the end.
            self.run("SET CONSTRAINTS ALL DEFERRED".to_string(), Some(table)).await?;
        }
        self.fills_all(shape);
        if !shape.further.is_empty() && !shape.keeps_deleted {
            self.run_script(&shape.take_away(pick), table).await?;
        }
        let counts = self.run_script(&shape.equalise(pick), table).await?;
        if !shape.further.is_empty() {
            self.bring(table, shape, pick).await?;
        }
        if !self.is_silenced() {
            self.run("SET CONSTRAINTS ALL IMMEDIATE".to_string(), Some(table)).await?;
        }
        self.check_values(table, &shape.changed_values(pick)).await?;
        self.check(table, shape, pick).await?;
        Ok(applied(&counts, [1, 2, 0]))
    }

    /// Notes which temporary tables hold rows once the pick is made equal.
    fn fills_all(&mut self, shape: &Shape) {
        if !shape.looked_up.is_empty() {
            self.fills(shape.resolved());
        }
        for name in shape.further_tables() {
            self.fills(name);
        }
    }

    /// Makes the further targets hold what belongs to the present keys.
    async fn bring(&mut self, table: &TablePlan, shape: &Shape, pick: Pick<'_>) -> Result<()> {
        self.run_script(&shape.want(pick), table).await?;
        for (place, into) in table.rule.into.iter().enumerate() {
            let [stray, twice] = shape.strays(place);
            let what = "yields a row that `match` would not find";
            for (sql, what) in [(stray, what), (twice, "yields two rows of the same key")] {
                if let Some(sql) = sql
                    && self.finds(sql, table).await?
                {
                    let place = self.place(Some(table));
                    return Err(Error::new(
                        Kind::Data,
                        format!("{place}: `select` into {} {what}", into.target),
                    ));
                }
            }
        }
        self.run_script(&shape.bring(), table).await?;
        Ok(())
    }

    /// As [`Tx::put`](crate::engine::Tx::put).
    pub(super) async fn put_picked(
        &mut self,
        table: &TablePlan,
        shape: &Shape,
        pick: Pick<'_>,
    ) -> Result<Applied> {
        self.fills_all(shape);
        let counts = self.run_script(&shape.put(pick), table).await?;
        self.check_values(table, &shape.changed_values(pick)).await?;
        self.check_deferrable(table, shape, pick).await?;
        Ok(applied(&counts, [0, 1, 2]))
    }

    /// Fills the table of the source's keys.
    async fn source_keys(&mut self, table: &TablePlan, shape: &Shape, keys: Feed<'_>) -> Result<u64> {
        self.run(format!("{}; DELETE FROM {}", shape.make_keys(), shape.keys()), Some(table)).await?;
        self.fills(shape.keys());
        Ok(self.copy(&shape.copy_into(&shape.keys()), table, keys).await?.0)
    }

    /// As [`Tx::prune`](crate::engine::Tx::prune).
    pub(super) async fn prune_unknown(
        &mut self,
        table: &TablePlan,
        keys: Feed<'_>,
        keep: &[Key],
    ) -> Result<u64> {
        if table.rule.on_delete == OnDelete::Keep {
            return Ok(0);
        }
        let shape = self.shape(table).await?;
        self.source_keys(table, &shape, keys).await?;
        if shape.further.is_empty() {
            return Ok(first(&self.run_script(&shape.prune(keep), table).await?));
        }
        self.fills(shape.stage());
        let doomed = first(&self.run_script(&shape.doom(keep), table).await?);
        if doomed == 0 {
            return Ok(0);
        }
        if shape.computed_matches().next().is_some() {
            // What belongs to a row is asked by its source key, which an expression does not give back.
            return Err(Error::table(format!(
                "{}: {doomed} rows have no source row any more, and what belongs to them in further targets can't be told",
                self.place(Some(table))
            ))
            .remedy("let the table's `key` be columns that are carried without an expression; or delete those rows with what belongs to them by hand"));
        }
        let applied = self.equalise_picked(table, &shape, Pick::Doomed).await?;
        self.run(shape.unstage(Pick::Doomed), Some(table)).await?;
        Ok(applied.deleted)
    }

    /// As [`Tx::compare_keys`](crate::engine::Tx::compare_keys).
    pub(super) async fn compare_source_keys(
        &mut self,
        table: &TablePlan,
        keys: Feed<'_>,
    ) -> Result<KeyDifferences> {
        let shape = self.shape(table).await?;
        let source_keys = self.source_keys(table, &shape, keys).await?;
        self.run(format!("ANALYZE {}", shape.keys()), Some(table)).await?;
        let [source_only, target_only] = shape.compare_keys();
        let source_only = self.run(source_only, Some(table)).await?;
        let target_only = self.run(target_only, Some(table)).await?;
        Ok(KeyDifferences {
            source_keys,
            source_only: self.keys_of(&source_only)?,
            target_only: self.keys_of(&target_only)?,
        })
    }

    fn keys_of(&self, outcomes: &[Outcome]) -> Result<Vec<Key>> {
        let whole = |row: Record| row.into_iter().map(Option::unwrap_or_default).collect();
        Ok(self.records(outcomes)?.into_iter().map(whole).collect())
    }

    /// The rows that statements gave, as texts.
    fn records(&self, outcomes: &[Outcome]) -> Result<Vec<Record>> {
        let rows = outcomes.iter().flat_map(|o| &o.rows);
        rows.map(|row| {
            let value = |n| row.try_get_unchecked::<Option<String>, _>(n).map_err(|e| self.failed(e));
            (0..row.len()).map(value).collect()
        })
        .collect()
    }

    /// As [`Tx::standing`](crate::engine::Tx::standing).
    pub(super) async fn standing_in(
        &mut self,
        table: &TablePlan,
        columns: &[String],
    ) -> Result<Vec<(i64, Vec<Option<String>>)>> {
        let shape = self.shape(table).await?;
        let quoted: Vec<String> = columns.iter().map(|c| quote(c)).collect();
        let outcomes = self.run(shape.standing(&quoted), Some(table)).await?;
        let number = |text: Option<String>| {
            text.and_then(|t| t.parse().ok()).ok_or_else(|| Error::failed("a row of the stage has no number"))
        };
        let split = |mut row: Record| {
            let values = row.split_off(1);
            Ok((number(row.pop().flatten())?, values))
        };
        self.records(&outcomes)?.into_iter().map(split).collect()
    }
}

fn first(counts: &[u64]) -> u64 {
    counts.first().copied().unwrap_or(0)
}

/// What was done: which of the counts are the rows updated, inserted and deleted.
fn applied(counts: &[u64], [updated, inserted, deleted]: [usize; 3]) -> Applied {
    let count = |place: usize| counts.get(place).copied().unwrap_or(0);
    Applied { inserted: count(inserted), updated: count(updated), deleted: count(deleted), parked: 0 }
}
