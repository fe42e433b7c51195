//! [`Tx`] on MySQL and MariaDB: the steps of making keys equal to the source.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Row};

use super::fault::classify;
use super::fill::{Filled, Filler, Pending};
use super::replace::{Keys, Rows};
use super::session::{Session, bytes, maybe, number};
use super::shape::Shape;
use super::stage::{Pick, Staging};
use super::statement::ledger_sql;
use super::target::Shared;
use super::types::Kind as Values;
use crate::engine::{Arg, Feed, KeyDifferences, Record, Tx};
use crate::error::{At, Error, Kind, Result};
use crate::model::{Applied, Block, Key, OnDelete, Sequence, TableName, TablePlan, Value};

/// A transaction that writes. Dropped without commit its connection is closed, and the server rolls back.
pub(super) struct MysqlTx {
    pub(super) shared: Arc<Shared>,
    pub(super) session: Session,
    shapes: HashMap<String, Arc<Shape>>,
    /// Temporary tables to be dropped in the end.
    pub(super) used: Vec<String>,
    /// Tables of which a staged row waits as a key with a reason.
    refused: Vec<String>,
    /// How many savepoints are set: the server forgets one when another of its name is set.
    depth: usize,
    /// How many bytes the server takes at a time.
    packet: u64,
    /// An error after which the server may have rolled back by itself: what came later would be
    /// committed without what came before.
    broken: bool,
}

impl MysqlTx {
    /// Begins a transaction.
    ///
    /// # Errors
    /// When no connection can be had.
    pub(super) async fn begin(shared: Arc<Shared>) -> Result<Self> {
        let mut session = shared.server.session().await?;
        let packet = session.row("START TRANSACTION; SELECT @@max_allowed_packet").await?;
        let packet = number(&packet, 0)?;
        Ok(MysqlTx {
            shared,
            session,
            shapes: HashMap::new(),
            used: Vec::new(),
            refused: Vec::new(),
            depth: 0,
            packet,
            broken: false,
        })
    }

    /// Notes an error that ends the transaction.
    pub(super) fn noted<T>(&mut self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done
            && error.kind() != Kind::Data
        {
            self.broken = true;
        }
        done
    }

    fn check(&self) -> Result<()> {
        if self.broken {
            let what = format!("{}: the transaction failed before", self.session.place);
            return Err(Error::new(Kind::Unavailable, what));
        }
        Ok(())
    }

    pub(super) async fn run(&mut self, what: &str, sql: String) -> Result<u64> {
        self.check()?;
        let done = self.session.write(sql).await.at(what);
        self.noted(done)
    }

    pub(super) async fn fetch(&mut self, what: &str, sql: String) -> Result<Vec<Record>> {
        self.check()?;
        let done = self.session.query(sql).await.at(what);
        self.noted(done)
    }

    /// A target table as it is now; it can't be altered from here on.
    pub(super) async fn shape(&mut self, table: &TableName) -> Result<Arc<Shape>> {
        if let Some(shape) = self.shapes.get(&table.name) {
            return Ok(shape.clone());
        }
        self.check()?;
        let read = Shape::read(&mut self.session, table).await;
        let shape = Arc::new(self.noted(read)?);
        self.shapes.insert(table.name.clone(), shape.clone());
        Ok(shape)
    }

    async fn staging(&mut self, table: &TablePlan) -> Result<Staging> {
        let shape = self.shape(&table.target).await?;
        self.check()?;
        let shared = self.shared.clone();
        let staging = shared.staging(&mut self.session, "stage", table, &shape).await;
        self.noted(staging)
    }

    /// Fails if the stage could not take one of the rows.
    async fn check_refused(&mut self, table: &TablePlan, staging: &Staging, pick: Pick<'_>) -> Result<()> {
        if !self.refused.contains(&table.target.name) {
            return Ok(());
        }
        let found = self.fetch("reading the stage", staging.first_refused(pick)).await?;
        match found.first().and_then(|row| maybe(row, 0)) {
            Some(reason) => Err(Error::new(Kind::Data, reason)),
            None => Ok(()),
        }
    }

    /// Reads rows into a table. `numbered`: each gets its number in front.
    async fn feed(
        &mut self,
        what: &str,
        filler: &Filler,
        mut rows: Feed<'_>,
        numbered: bool,
    ) -> Result<(u64, u64, Filled)> {
        self.check()?;
        let (mut pending, mut count) = (Pending::default(), 0);
        loop {
            match rows.next().await? {
                Block::Values(mut rows) => {
                    if numbered {
                        for row in &mut rows {
                            count += 1;
                            row.insert(0, Value::Integer(count));
                        }
                    }
                    let done = filler.take(&mut self.session, &mut pending, rows, self.packet).await.at(what);
                    self.noted(done)?;
                }
                Block::End { rows, bytes } => {
                    let done = filler.end(&mut self.session, pending, self.packet).await.at(what);
                    return Ok((rows, bytes, self.noted(done)?));
                }
                Block::Copy(_) => return Err(Error::failed("rows of PostgreSQL can't go into MySQL")),
            }
        }
    }

    /// The keys of staged rows, as they are known everywhere, by their numbers.
    async fn keys(&mut self, staging: &Staging, numbers: &[i64]) -> Result<HashMap<i64, Key>> {
        let kinds: Vec<Values> = staging.key_kinds().cloned().collect();
        let rows = self.literals(staging.keys(numbers), &kinds, 1).await?;
        let key = |(number, row): (i64, Vec<Option<String>>)| {
            (number, row.into_iter().map(|value| value.unwrap_or_else(|| "NULL".to_string())).collect())
        };
        Ok(rows.into_iter().map(key).collect())
    }

    /// What a query gives, in the notation of keys, each with the number that stands first (`first`: 1) if
    /// there is one.
    pub(super) async fn literals(
        &mut self,
        sql: String,
        kinds: &[Values],
        first: usize,
    ) -> Result<Vec<(i64, Vec<Option<String>>)>> {
        self.check()?;
        let place = self.session.place.clone();
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self.session.connection()?).await;
        let rows = self.noted(rows.map_err(|e| classify(e, &place)))?;
        rows.iter().map(|row| literals(row, kinds, first).map_err(|e| classify(e, &place))).collect()
    }

    /// Keys as a list.
    async fn key_list(&mut self, what: &str, table: &TablePlan, keys: Feed<'_>) -> Result<(Keys, u64)> {
        let shape = self.shape(&table.target).await?;
        let list = Keys::new(table, &shape, self.shared.server.flavour);
        self.used.push(list.forget());
        self.run(what, list.make()).await?;
        let (count, ..) = self.feed(what, &list.filler(), keys, true).await?;
        Ok((list, count))
    }

    async fn forget_tables(&mut self) -> Result<()> {
        for drop in std::mem::take(&mut self.used) {
            self.run("removing temporary tables", drop).await?;
        }
        Ok(())
    }
}

fn literals(
    row: &MySqlRow,
    kinds: &[Values],
    first: usize,
) -> Result<(i64, Vec<Option<String>>), sqlx::Error> {
    let number = if first == 0 { None } else { bytes(row, 0)? };
    let number = number.and_then(|n| std::str::from_utf8(n).ok()).and_then(|n| n.parse().ok());
    debug_assert_eq!(row.len(), kinds.len() + first);
    let value = |(i, kind): (usize, &Values)| Ok(bytes(row, i + first)?.map(|bytes| kind.to_literal(bytes)));
    let values = kinds.iter().enumerate().map(value).collect::<Result<_, sqlx::Error>>()?;
    Ok((number.unwrap_or_default(), values))
}

/// What is being done.
pub(super) fn writing(table: &TablePlan) -> String {
    format!("writing {}", table.target)
}

#[async_trait]
impl Tx for MysqlTx {
    async fn execute(&mut self, sql: &str, args: &[Arg]) -> Result<u64> {
        let sql = ledger_sql(sql, &self.shared.prefix, args)?;
        self.run("writing the ledger", sql).await
    }

    async fn rows(&mut self, sql: &str, args: &[Arg]) -> Result<Vec<Record>> {
        let sql = ledger_sql(sql, &self.shared.prefix, args)?;
        self.fetch("reading the ledger", sql).await
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.run("setting a savepoint", format!("SAVEPOINT hw{}", self.depth + 1)).await?;
        self.depth += 1;
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.run("releasing a savepoint", format!("RELEASE SAVEPOINT hw{}", self.depth)).await?;
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    async fn rollback_to_savepoint(&mut self) -> Result<()> {
        let what = "rolling back to a savepoint";
        self.run(what, format!("ROLLBACK TO SAVEPOINT hw{}", self.depth)).await?;
        self.release().await
    }

    async fn load(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)> {
        let staging = self.staging(table).await?;
        if !staging.loads_plainly() {
            let what = format!("{}: values must be compared as they come", table.target);
            return Err(Error::new(Kind::Data, what));
        }
        let loader = staging.loader();
        let (rows, bytes, _) = self.feed(&writing(table), &loader, rows, false).await?;
        Ok((rows, bytes))
    }

    async fn stage(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)> {
        let staging = self.staging(table).await?;
        self.used.push(staging.forget_all());
        self.run("making the stage", staging.make()).await?;
        self.make_further(table, staging.changed()).await?;
        let what = format!("staging rows of {}", table.target);
        let (rows, bytes, filled) = self.feed(&what, &staging.filler(), rows, false).await?;
        self.refused.retain(|name| *name != table.target.name);
        if filled.refused > 0 {
            self.refused.push(table.target.name.clone());
        }
        Ok((rows, bytes))
    }

    async fn staged(&mut self, table: &TablePlan) -> Result<Vec<i64>> {
        let sql = self.staging(table).await?.numbers();
        let rows = self.fetch("reading the stage", sql).await?;
        rows.iter().map(|row| number(row, 0)).collect()
    }

    async fn staged_present(&mut self, table: &TablePlan) -> Result<Vec<i64>> {
        let sql = self.staging(table).await?.present();
        let rows = self.fetch("reading the stage", sql).await?;
        rows.iter().map(|row| number(row, 0)).collect()
    }

    async fn staged_keys(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<Vec<Key>> {
        let staging = self.staging(table).await?;
        let mut keys = self.keys(&staging, numbers).await.at("reading the stage")?;
        let key =
            |n: &i64| keys.remove(n).ok_or_else(|| Error::failed(format!("number {n} is not in the stage")));
        numbers.iter().map(key).collect()
    }

    async fn unstage(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<()> {
        let sql = self.staging(table).await?.unstage(Pick(Some(numbers)));
        self.run("taking rows out of the stage", sql).await?;
        Ok(())
    }

    async fn standing(
        &mut self,
        table: &TablePlan,
        columns: &[String],
    ) -> Result<Vec<(i64, Vec<Option<String>>)>> {
        let what = format!("reading {}", table.target);
        let shape = self.shape(&table.target).await?;
        let column = |name: &String| {
            let column = shape.column(name);
            column.ok_or_else(|| Error::table(format!("{}: column {name} is gone", table.target)))
        };
        let columns: Vec<_> = columns.iter().map(column).collect::<Result<_>>()?;
        let kinds: Vec<Values> = columns.iter().map(|c| Values::of(&c.type_name())).collect();
        let read = columns.iter().zip(&kinds).map(|(c, kind)| kind.key_column(&format!("t.{}", c.name)));
        let sql = self.staging(table).await?.standing(&read.collect::<Vec<_>>());
        self.literals(sql, &kinds, 1).await.at(what)
    }

    async fn equalise(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied> {
        let pick = Pick(numbers);
        let staging = self.staging(table).await?;
        self.check_refused(table, &staging, pick).await?;
        self.equalise_all(table, &staging, pick).await
    }

    fn can_lift(&self, table: &TablePlan) -> bool {
        table.rule.into.is_empty()
    }

    async fn lift(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<u64> {
        let (what, pick) = (format!("lifting rows of {}", table.target), Pick(numbers));
        let staging = self.staging(table).await?;
        let lifted = self.run(&what, staging.keep_found(pick)).await?;
        self.run(&what, staging.delete_found(pick)).await?;
        Ok(lifted)
    }

    async fn put(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied> {
        let (what, pick) = (writing(table), Pick(numbers));
        let staging = self.staging(table).await?;
        self.check_refused(table, &staging, pick).await?;
        if staging.has_lookups() {
            self.run_rule(table, staging.resolve(pick)).await?;
        }
        if table.rule.on_delete == OnDelete::Keep {
            self.run(&what, staging.put_kept(pick)).await?;
        }
        let gone = self.fetch(&what, staging.count_gone(pick)).await?;
        let deleted = gone.first().map(|row| number(row, 0)).transpose()?.unwrap_or_default();
        let updated = self.run(&what, staging.put_changed(pick)).await?;
        self.run(&what, staging.forget(pick)).await?;
        let inserted = self.run(&what, staging.insert_present(pick)).await?;
        self.check_values(&staging, pick).await?;
        Ok(Applied { updated, inserted, deleted, parked: 0 })
    }

    async fn put_back(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<u64> {
        let (what, pick) = (format!("putting rows of {} back", table.target), Pick(Some(numbers)));
        let staging = self.staging(table).await?;
        let back = self.run(&what, staging.put_unchanged(pick)).await?;
        self.run(&what, staging.forget(pick)).await?;
        Ok(back)
    }

    async fn prune(&mut self, table: &TablePlan, keys: Feed<'_>, keep: &[Key]) -> Result<u64> {
        let what = format!("pruning rows from {}", table.target);
        if table.rule.on_delete == OnDelete::Keep {
            return Ok(0);
        }
        let (list, _) = self.key_list(&what, table, keys).await?;
        self.keep(&what, &list, keep).await?;
        self.prune_all(&what, table, &list).await
    }

    async fn compare_keys(&mut self, table: &TablePlan, keys: Feed<'_>) -> Result<KeyDifferences> {
        let what = format!("comparing the keys of {}", table.target);
        let (list, source_keys) = self.key_list(&what, table, keys).await?;
        Ok(KeyDifferences {
            source_keys,
            source_only: self.listed(list.source_only()).await.at(&what)?,
            target_only: self.listed(list.target_only()).await.at(&what)?,
        })
    }

    async fn replace(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<Applied> {
        let what = writing(table);
        let shape = self.shape(&table.target).await?;
        let list = Rows::new(table, &shape)?;
        self.used.push(list.forget());
        self.run(&what, list.make()).await?;
        self.feed(&what, &list.filler(), rows, true).await?;
        self.check()?;
        let applied = list.replace(&mut self.session).await.at(&what);
        self.noted(applied)
    }

    async fn move_sequences(&mut self, sequences: &[Sequence]) -> Result<Vec<TableName>> {
        self.check()?;
        super::counters::advance(&self.shared.server, sequences).await.at("moving the counters")
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.check()?;
        self.forget_tables().await?;
        self.session.commit().await.at("committing")
    }
}
