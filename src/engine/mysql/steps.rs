//! The steps of a transaction in which several tables take part.

use super::changed::Changed;
use super::further::Further;
use super::replace::Keys;
use super::session::{maybe, number};
use super::stage::{Pick, Staging};
use super::tx::{MysqlTx, writing};
use super::types::Kind as Values;
use crate::error::{At, Error, Kind, Result};
use crate::model::{Applied, Key, OnDelete, TablePlan};

/// How many rows one statement puts on the list of those that stay.
const KEPT_AT_ONCE: usize = 500;

impl MysqlTx {
    /// The further targets of a table.
    pub(super) async fn further(&mut self, table: &TablePlan) -> Result<Vec<Further>> {
        let mut all = Vec::with_capacity(table.rule.into.len());
        for into in &table.rule.into {
            let shape = self.shape(&into.target).await?;
            all.push(Further::new(table, into, &shape, self.shared.server.flavour)?);
        }
        Ok(all)
    }

    /// Makes the temporary tables of a table's further targets.
    pub(super) async fn make_further(&mut self, table: &TablePlan, changed: &Changed) -> Result<()> {
        let mut mentions = 0;
        for further in self.further(table).await? {
            self.used.push(further.forget());
            self.run("making the stage", further.make()).await?;
            mentions = mentions.max(further.mentions());
        }
        if mentions > 1 {
            let forget = changed.forget_copies(mentions);
            self.run("making the stage", format!("{forget}; {}", changed.make_copies(mentions))).await?;
            self.used.push(forget);
        }
        Ok(())
    }

    /// Makes the rows of the picked keys equal.
    pub(super) async fn equalise_all(
        &mut self,
        table: &TablePlan,
        staging: &Staging,
        pick: Pick<'_>,
    ) -> Result<Applied> {
        let what = writing(table);
        let further = self.further(table).await?;
        let mut applied =
            Applied { deleted: self.delete_absent(table, staging, pick).await?, ..Applied::default() };
        if staging.has_lookups() {
            self.run_rule(table, staging.resolve(pick)).await?;
        }
        applied.updated += self.run(&what, staging.update_present(pick)).await?;
        applied.inserted += self.run(&what, staging.insert_present(pick)).await?;
        self.check_values(staging, pick).await?;
        for further in &further {
            applied.add(&self.equalise_further(table, further, staging.changed(), pick).await?);
        }
        Ok(applied)
    }

    /// Fails if the table made another value of one of the picked rows'.
    pub(super) async fn check_values(&mut self, staging: &Staging, pick: Pick<'_>) -> Result<()> {
        let queries = [staging.changed_value(pick), staging.changed_lookup(pick)];
        for sql in queries.into_iter().flatten() {
            let found = self.fetch("comparing values", sql).await?;
            if let Some(reason) = found.first().and_then(|row| maybe(row, 0)) {
                return Err(Error::new(Kind::Data, reason));
            }
        }
        Ok(())
    }

    /// Deletes the rows of the picked keys that are absent: those of further targets first, as they are
    /// found by the key's own row.
    pub(super) async fn delete_absent(
        &mut self,
        table: &TablePlan,
        staging: &Staging,
        pick: Pick<'_>,
    ) -> Result<u64> {
        if table.rule.on_delete == OnDelete::Keep {
            return Ok(0);
        }
        let what = writing(table);
        let further = self.further(table).await?;
        for further in &further {
            self.run(&what, further.clear()).await?;
            self.run_rule(table, further.find(staging.changed(), pick, false)).await?;
        }
        let mut deleted = 0;
        for further in further.iter().rev() {
            deleted += self.run(&what, further.delete_found()).await?;
        }
        Ok(deleted + self.run(&what, staging.delete_absent(pick)).await?)
    }

    /// Makes the rows of a further target equal to what the select yields for the picked keys.
    async fn equalise_further(
        &mut self,
        table: &TablePlan,
        further: &Further,
        changed: &Changed,
        pick: Pick<'_>,
    ) -> Result<Applied> {
        let what = writing(table);
        self.run(&what, further.clear()).await?;
        self.run_rule(table, further.find(changed, pick, true)).await?;
        if further.mentions() > 1 {
            self.run(&what, changed.fill_copies(pick, further.mentions())).await?;
        }
        self.run_rule(table, further.want(changed, pick)).await?;
        let strays = self.fetch(&what, further.count_strays()).await?;
        if strays.first().map(|row| number::<u64>(row, 0)).transpose()?.unwrap_or_default() > 0 {
            let what = "the rule's select yields a row that `match` would not find";
            return Err(Error::new(Kind::Data, format!("{what} ({})", self.session.place)));
        }
        if !further.is_keyed() {
            let applied = further.rows().replace(&mut self.session).await.at(&what);
            return self.noted(applied);
        }
        Ok(Applied {
            deleted: self.run(&what, further.delete_unwanted()).await?,
            updated: self.run(&what, further.update_wanted()).await?,
            inserted: self.run(&what, further.insert_wanted()).await?,
            parked: 0,
        })
    }

    /// Runs an operator's SQL: what the server has against it concerns the table only.
    pub(super) async fn run_rule(&mut self, table: &TablePlan, sql: String) -> Result<u64> {
        let done = self.run(&format!("computing what the rule of {} says", table.source), sql).await;
        done.map_err(|error| match error.kind() {
            Kind::Failed => Error::table(error.summary()),
            _ => error,
        })
    }

    /// Puts rows on the list of those that stay.
    pub(super) async fn keep(&mut self, what: &str, list: &Keys, rows: &[Key]) -> Result<()> {
        for some in rows.chunks(KEPT_AT_ONCE) {
            self.run(what, list.keep(some)).await?;
        }
        Ok(())
    }

    /// Deletes the rows that are not on the list, with what belongs to them.
    pub(super) async fn prune_all(&mut self, what: &str, table: &TablePlan, list: &Keys) -> Result<u64> {
        if table.rule.into.is_empty() {
            return self.run(what, list.prune()).await;
        }
        let shape = self.shape(&table.target).await?;
        let shared = self.shared.clone();
        let staging = shared.staging(&mut self.session, "doomed", table, &shape).await;
        let staging = self.noted(staging)?;
        self.used.push(staging.forget_all());
        self.run(what, staging.make()).await?;
        self.make_further(table, staging.changed()).await?;
        self.run(what, staging.stage_absent(table, &list.doomed())).await?;
        self.delete_absent(table, &staging, Pick(None)).await
    }

    /// Keys that a query gives.
    pub(super) async fn listed(&mut self, (sql, kinds): (String, Vec<Values>)) -> Result<Vec<Key>> {
        let rows = self.literals(sql, &kinds, 0).await?;
        let key = |(_, row): (i64, Vec<Option<String>>)| {
            row.into_iter().map(|value| value.unwrap_or_else(|| "NULL".to_string())).collect()
        };
        Ok(rows.into_iter().map(key).collect())
    }
}
