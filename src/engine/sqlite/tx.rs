//! [`Tx`] on SQLite: the steps of making keys equal to the source.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row};

use super::ask::record;
use super::catalog::{Catalog, Shape};
use super::connect::{Db, Session};
use super::fault::Doing;
use super::into::Further;
use super::replace::{Keys, Rows};
use super::silence::Silence;
use super::stage::{Filler, Pick, Staging, list};
use super::value::{self, integer, texts};
use crate::engine::template::fill;
use crate::engine::{Arg, Feed, KeyDifferences, Record, Tx};
use crate::error::{Error, Kind, Result};
use crate::model::{Applied, Block, Into, Key, OnDelete, Sequence, TableName, TablePlan, Value};

/// A transaction that writes. It holds the file's one write lock.
pub(super) struct SqliteTx {
    db: Arc<Db>,
    session: Session,
    prefix: String,
    catalog: Option<Arc<Catalog>>,
    silence: Silence,
    /// Temporary tables to be emptied in the end.
    used: Vec<String>,
    /// An error after which SQLite may have rolled back by itself: what came later would be committed
    /// without what came before.
    broken: bool,
}

impl SqliteTx {
    /// Goes on with a session that has begun to write.
    pub(super) fn new(db: Arc<Db>, session: Session, prefix: String) -> Self {
        SqliteTx {
            db,
            session,
            prefix,
            catalog: None,
            silence: Silence::default(),
            used: Vec::new(),
            broken: false,
        }
    }

    /// A ledger statement in SQLite's words.
    fn ledger_sql(&self, sql: &str) -> String {
        ledger_sql(sql, &self.prefix)
    }

    /// Notes an error that ends the transaction.
    fn noted<T>(&mut self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done
            && error.kind() != Kind::Data
        {
            self.broken = true;
        }
        done
    }

    fn check(&self) -> Result<()> {
        if self.broken {
            let what = format!("{}: the transaction failed before", self.db.place);
            return Err(Error::new(Kind::Unavailable, what));
        }
        Ok(())
    }

    async fn run(&mut self, what: &str, sql: String, args: SqliteArguments) -> Result<u64> {
        self.check()?;
        let done = self.session.run_with(sql, args).await.doing(&self.db.place, what);
        self.noted(done)
    }

    async fn fetch(
        &mut self,
        what: &str,
        sql: String,
        args: SqliteArguments,
    ) -> Result<Vec<sqlx::sqlite::SqliteRow>> {
        self.check()?;
        let done = self.session.all(sql, args).await.doing(&self.db.place, what);
        self.noted(done)
    }

    /// Runs a statement over picked rows of the stage.
    async fn step(&mut self, what: &str, sql: String, pick: Pick<'_>) -> Result<u64> {
        let args = pick.args().doing(&self.db.place, what)?;
        self.run(what, sql, args).await
    }

    async fn catalog(&mut self) -> Result<Arc<Catalog>> {
        if let Some(catalog) = &self.catalog {
            return Ok(catalog.clone());
        }
        self.check()?;
        let read = self.db.catalog(&mut self.session).await;
        let catalog = self.noted(read)?;
        self.catalog = Some(catalog.clone());
        Ok(catalog)
    }

    async fn staging(&mut self, table: &TablePlan) -> Result<Staging> {
        Ok(Staging::new(table, shape(self.catalog().await?.as_ref(), table)?))
    }

    /// Before the first write to a table, outside any savepoint.
    async fn silence(&mut self, table: &TablePlan) -> Result<()> {
        let catalog = self.catalog().await?;
        let mut shapes = vec![shape(&catalog, table)?];
        for into in &table.rule.into {
            shapes.push(named(&catalog, &into.target)?);
        }
        for shape in shapes {
            let done = self.silence.over(&mut self.session, &catalog, &shape.name).await;
            let done = done.doing(&self.db.place, "taking the triggers off");
            self.noted(done)?;
        }
        Ok(())
    }

    /// Makes the empty stage, and what waits beside it.
    async fn make_stage(&mut self, table: &TablePlan) -> Result<Staging> {
        let staging = self.staging(table).await?;
        let done = staging.make(&mut self.session).await.doing(&self.db.place, "making the stage");
        self.noted(done)?;
        self.used.extend(staging.tables().map(ToString::to_string));
        for further in self.further(table).await? {
            let done = further.make(&mut self.session).await.doing(&self.db.place, "making the stage");
            self.noted(done)?;
            self.used.extend(further.tables().map(ToString::to_string));
        }
        Ok(staging)
    }

    /// The further targets of a table.
    async fn further(&mut self, table: &TablePlan) -> Result<Vec<Further>> {
        if table.rule.into.is_empty() {
            return Ok(Vec::new());
        }
        let catalog = self.catalog().await?;
        let further = |(number, into): (usize, &Into)| {
            Further::new(table, number, into, named(&catalog, &into.target)?)
        };
        table.rule.into.iter().enumerate().map(further).collect()
    }

    /// Runs an operator's SQL over picked rows of the stage: what it stumbles over is in a row.
    async fn rule_step(&mut self, what: &str, sql: String, pick: Pick<'_>) -> Result<u64> {
        let args = pick.args().doing(&self.db.place, what)?;
        self.check()?;
        let done = self.session.run_with(sql, args).await.doing(&self.db.place, what);
        self.noted(done.map_err(|error| match error.kind() {
            Kind::Failed => Error::new(Kind::Data, error.summary()),
            _ => error,
        }))
    }

    /// Computes what is looked up for picked rows.
    async fn resolve(&mut self, staging: &Staging, pick: Pick<'_>) -> Result<()> {
        if let Some(resolve) = staging.resolve(pick) {
            self.rule_step("looking values up", resolve, pick).await?;
        }
        Ok(())
    }

    /// Fails if the table made another value of one of the picked rows'.
    async fn check_values(&mut self, staging: &Staging, pick: Pick<'_>) -> Result<()> {
        if staging.compared.is_empty() {
            return Ok(());
        }
        let what = "comparing values";
        let args = pick.args().doing(&self.db.place, what)?;
        let rows = self.fetch(what, staging.changed_value(pick), args).await?;
        match rows.first() {
            Some(row) => Err(Error::new(Kind::Data, value::text(row, 0).doing(&self.db.place, what)?)),
            None => Ok(()),
        }
    }

    /// Deletes the rows in further targets that belong to picked keys which are absent.
    async fn clear_further(&mut self, staging: &Staging, further: &[Further], pick: Pick<'_>) -> Result<()> {
        // All first: what is matched may be found by rows that are about to go.
        for one in further {
            let what = format!("finding rows of {}", one.name);
            self.clear(&what, one).await?;
            self.rule_step(&what, one.note_matched(staging, pick, false), pick).await?;
        }
        for one in further.iter().rev() {
            let what = format!("removing rows from {}", one.name);
            self.run(&what, one.delete_matched(), SqliteArguments::default()).await?;
        }
        Ok(())
    }

    async fn clear(&mut self, what: &str, further: &Further) -> Result<()> {
        for sql in further.clear() {
            self.run(what, sql, SqliteArguments::default()).await?;
        }
        Ok(())
    }

    /// Makes the rows in a further target equal that belong to picked keys which are present.
    async fn settle_further(&mut self, staging: &Staging, further: &Further, pick: Pick<'_>) -> Result<()> {
        let what = format!("writing {}", further.name);
        self.clear(&what, further).await?;
        self.rule_step(&what, further.note_matched(staging, pick, true), pick).await?;
        self.rule_step(&what, further.note_wanted(staging, pick), pick).await?;
        let data = |what: String| Err(Error::new(Kind::Data, what));
        if self.count(&what, further.count_strange(), Pick(None)).await? > 0 {
            return data(format!("{}: the select yields a row that `match` would not find", further.name));
        }
        if let Some(doubled) = further.count_doubled()
            && self.count(&what, doubled, Pick(None)).await? > 0
        {
            return data(format!("{}: the select yields two rows of one key", further.name));
        }
        for sql in further.settle() {
            self.run(&what, sql, SqliteArguments::default()).await?;
        }
        Ok(())
    }

    /// The first value that a query over picked rows gives, as a count.
    async fn count(&mut self, what: &str, sql: String, pick: Pick<'_>) -> Result<u64> {
        let args = pick.args().doing(&self.db.place, what)?;
        let rows = self.fetch(what, sql, args).await?;
        let count = rows.first().map(|row| integer(row, 0)).transpose().doing(&self.db.place, what)?;
        Ok(count.unwrap_or_default().unsigned_abs())
    }

    /// The keys that a query gives.
    async fn keys(&mut self, what: &str, sql: String) -> Result<Vec<Key>> {
        let rows = self.fetch(what, sql, SqliteArguments::default()).await?;
        let key = |row| Ok::<_, sqlx::Error>(value::to_key(&value::decode_all(row, 0..row.len())?));
        rows.iter().map(key).collect::<Result<_, _>>().doing(&self.db.place, what)
    }

    /// Makes the lists of keys that stand beside a target table.
    async fn listed(
        &mut self,
        what: &str,
        table: &TablePlan,
        keys: Feed<'_>,
        keep: &[Key],
    ) -> Result<(Keys, u64)> {
        let catalog = self.catalog().await?;
        let list = Keys::new(table, shape(&catalog, table)?);
        let filler = list.make(&mut self.session).await.doing(&self.db.place, what);
        let filler = self.noted(filler)?;
        let (count, _) = self.feed(what, &filler, keys).await?;
        let kept = keep.iter().map(value::from_key).collect::<Result<Vec<_>>>()?;
        let filler = list.kept();
        filler.check(&kept)?;
        let done = filler.insert(&mut self.session, kept).await.doing(&self.db.place, what);
        self.noted(done)?;
        let done = list.list(&mut self.session).await.doing(&self.db.place, what);
        self.noted(done)?;
        Ok((list, count))
    }

    /// Deletes doomed rows as if their keys were dirty, with what belongs to them in further targets.
    async fn prune_with_further(&mut self, what: &str, table: &TablePlan, list: &Keys) -> Result<u64> {
        let staging = self.staging(table).await?;
        if !self.used.iter().any(|used| staging.tables().contains(&used.as_str())) {
            self.make_stage(table).await?;
        }
        let none = SqliteArguments::default;
        self.run(what, staging.stage_doomed(&list.doomed()), none()).await?;
        let rows = self.fetch(what, staging.doomed(), none()).await?;
        let numbers = rows.iter().map(|row| integer(row, 0)).collect::<Result<Vec<_>, _>>();
        let numbers = numbers.doing(&self.db.place, what)?;
        self.equalise(table, Some(&numbers)).await?;
        self.unstage(table, &numbers).await?;
        Ok(numbers.len() as u64)
    }

    async fn feed(&mut self, what: &str, filler: &Filler, mut rows: Feed<'_>) -> Result<(u64, u64)> {
        self.check()?;
        loop {
            match rows.next().await? {
                Block::Values(rows) => {
                    filler.check(&rows)?;
                    let done = filler.insert(&mut self.session, rows).await.doing(&self.db.place, what);
                    self.noted(done)?;
                }
                Block::End { rows, bytes } => return Ok((rows, bytes)),
                Block::Copy(_) => return Err(Error::failed("rows of PostgreSQL can't go into SQLite")),
            }
        }
    }
}

fn shape<'a>(catalog: &'a Catalog, table: &TablePlan) -> Result<&'a Shape> {
    named(catalog, &table.target)
}

fn named<'a>(catalog: &'a Catalog, name: &TableName) -> Result<&'a Shape> {
    catalog.table(&name.name).ok_or_else(|| {
        Error::table(format!("{name}: the table is gone from the target"))
            .remedy("make it again, or restore the target")
    })
}

pub(super) fn bind(args: &[Arg]) -> Result<SqliteArguments, sqlx::Error> {
    let mut bound = SqliteArguments::default();
    for arg in args {
        match arg {
            Arg::Text(text) => bound.add(text.as_deref()),
            Arg::Integer(number) => bound.add(*number),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(bound)
}

/// A ledger statement in SQLite's words.
pub(super) fn ledger_sql(sql: &str, prefix: &str) -> String {
    fill(sql, &[("l", prefix), ("bigint", "BIGINT"), ("for update", ""), ("for share", "")])
}

#[async_trait]
impl Tx for SqliteTx {
    async fn execute(&mut self, sql: &str, args: &[Arg]) -> Result<u64> {
        let what = "writing the ledger";
        let sql = self.ledger_sql(sql);
        let args = bind(args).doing(&self.db.place, what)?;
        self.run(what, sql, args).await
    }

    async fn rows(&mut self, sql: &str, args: &[Arg]) -> Result<Vec<Record>> {
        let what = "reading the ledger";
        let sql = self.ledger_sql(sql);
        let args = bind(args).doing(&self.db.place, what)?;
        let rows = self.fetch(what, sql, args).await?;
        rows.iter().map(record).collect::<Result<_, _>>().doing(&self.db.place, what)
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.run("setting a savepoint", "SAVEPOINT hw".to_string(), SqliteArguments::default()).await?;
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.run("releasing a savepoint", "RELEASE hw".to_string(), SqliteArguments::default()).await?;
        Ok(())
    }

    async fn rollback_to_savepoint(&mut self) -> Result<()> {
        let what = "rolling back to a savepoint";
        self.run(what, "ROLLBACK TO hw".to_string(), SqliteArguments::default()).await?;
        self.release().await
    }

    async fn load(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)> {
        self.silence(table).await?;
        let staging = self.staging(table).await?;
        if !staging.compared.is_empty() {
            let what = format!("{}: values must be compared as they come", table.target);
            return Err(Error::new(Kind::Data, what));
        }
        let loader = staging.loader();
        self.feed(&format!("writing {}", table.target), &loader, rows).await
    }

    async fn stage(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)> {
        self.silence(table).await?;
        let staging = self.make_stage(table).await?;
        self.feed(&format!("staging rows of {}", table.target), &staging.filler(), rows).await
    }

    async fn staged(&mut self, table: &TablePlan) -> Result<Vec<i64>> {
        let what = "reading the stage";
        let sql = self.staging(table).await?.numbers();
        let rows = self.fetch(what, sql, SqliteArguments::default()).await?;
        rows.iter().map(|row| integer(row, 0)).collect::<Result<_, _>>().doing(&self.db.place, what)
    }

    async fn staged_present(&mut self, table: &TablePlan) -> Result<Vec<i64>> {
        let what = "reading the stage";
        let sql = self.staging(table).await?.present();
        let rows = self.fetch(what, sql, SqliteArguments::default()).await?;
        rows.iter().map(|row| integer(row, 0)).collect::<Result<_, _>>().doing(&self.db.place, what)
    }

    async fn staged_keys(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<Vec<Key>> {
        let what = "reading the stage";
        let sql = self.staging(table).await?.keys();
        let args = texts(&[&list(numbers)]).doing(&self.db.place, what)?;
        let rows = self.fetch(what, sql, args).await?;
        let mut keys = HashMap::with_capacity(rows.len());
        for row in &rows {
            let number = integer(row, 0).doing(&self.db.place, what)?;
            let values = value::decode_all(row, 1..row.len()).doing(&self.db.place, what)?;
            keys.insert(number, value::to_key(&values));
        }
        let key =
            |n: &i64| keys.remove(n).ok_or_else(|| Error::failed(format!("number {n} is not in the stage")));
        numbers.iter().map(key).collect()
    }

    async fn unstage(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<()> {
        let staging = self.staging(table).await?;
        self.step("taking rows out of the stage", staging.unstage(), Pick(Some(numbers))).await?;
        Ok(())
    }

    async fn standing(
        &mut self,
        table: &TablePlan,
        columns: &[String],
    ) -> Result<Vec<(i64, Vec<Option<String>>)>> {
        let what = format!("reading {}", table.target);
        let sql = self.staging(table).await?.standing(columns);
        let rows = self.fetch(&what, sql, SqliteArguments::default()).await?;
        let literal = |v: &Value| (*v != Value::Null).then(|| value::to_literal(v));
        let stands = |row: &sqlx::sqlite::SqliteRow| {
            let values = value::decode_all(row, 1..row.len())?;
            Ok::<_, sqlx::Error>((integer(row, 0)?, values.iter().map(literal).collect()))
        };
        rows.iter().map(stands).collect::<Result<_, _>>().doing(&self.db.place, &what)
    }

    async fn equalise(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied> {
        let what = format!("writing {}", table.target);
        let (staging, pick) = (self.staging(table).await?, Pick(numbers));
        let further = self.further(table).await?;
        let mut applied = Applied::default();
        if !staging.keeps {
            self.clear_further(&staging, &further, pick).await?;
            applied.deleted = self.step(&what, staging.delete_absent(pick), pick).await?;
        }
        self.resolve(&staging, pick).await?;
        if let Some(update) = staging.update_present(pick) {
            applied.updated = self.step(&what, update, pick).await?;
        }
        applied.inserted = self.step(&what, staging.insert_present(pick), pick).await?;
        self.check_values(&staging, pick).await?;
        for further in &further {
            self.settle_further(&staging, further, pick).await?;
        }
        Ok(applied)
    }

    fn can_lift(&self, table: &TablePlan) -> bool {
        table.rule.into.is_empty()
    }

    async fn lift(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<u64> {
        let what = format!("lifting rows of {}", table.target);
        let (staging, pick) = (self.staging(table).await?, Pick(numbers));
        let lifted = self.step(&what, staging.keep_found(pick), pick).await?;
        self.step(&what, staging.delete_found(pick), pick).await?;
        Ok(lifted)
    }

    async fn put(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied> {
        let what = format!("writing {}", table.target);
        let (staging, pick) = (self.staging(table).await?, Pick(numbers));
        let gone = if staging.keeps {
            self.step(&what, staging.put_absent(pick), pick).await?;
            0
        } else {
            self.count(&what, staging.count_gone(pick), pick).await?
        };
        self.resolve(&staging, pick).await?;
        let updated = self.step(&what, staging.put_changed(pick), pick).await?;
        self.step(&what, staging.forget(pick), pick).await?;
        let inserted = self.step(&what, staging.insert_present(pick), pick).await?;
        self.check_values(&staging, pick).await?;
        Ok(Applied { updated, inserted, deleted: gone, parked: 0 })
    }

    async fn put_back(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<u64> {
        let what = format!("putting rows of {} back", table.target);
        let (staging, pick) = (self.staging(table).await?, Pick(Some(numbers)));
        let put = self.step(&what, staging.put_unchanged(pick), pick).await?;
        self.step(&what, staging.forget(pick), pick).await?;
        Ok(put)
    }

    async fn prune(&mut self, table: &TablePlan, keys: Feed<'_>, keep: &[Key]) -> Result<u64> {
        let what = format!("removing rows from {}", table.target);
        self.silence(table).await?;
        let (list, _) = self.listed(&what, table, keys, keep).await?;
        let pruned = if table.rule.on_delete == OnDelete::Keep {
            0
        } else if table.rule.into.is_empty() {
            self.run(&what, list.delete(), SqliteArguments::default()).await?
        } else {
            self.prune_with_further(&what, table, &list).await?
        };
        let done = list.end(&mut self.session).await.doing(&self.db.place, &what);
        self.noted(done)?;
        Ok(pruned)
    }

    async fn compare_keys(&mut self, table: &TablePlan, keys: Feed<'_>) -> Result<KeyDifferences> {
        let what = format!("comparing the keys of {}", table.target);
        let (list, source_keys) = self.listed(&what, table, keys, &[]).await?;
        let differences = KeyDifferences {
            source_keys,
            source_only: self.keys(&what, list.find_source_only()).await?,
            target_only: self.keys(&what, list.find_target_only()).await?,
        };
        let done = list.end(&mut self.session).await.doing(&self.db.place, &what);
        self.noted(done)?;
        Ok(differences)
    }

    async fn replace(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<Applied> {
        let what = format!("writing {}", table.target);
        self.silence(table).await?;
        let catalog = self.catalog().await?;
        let list = Rows::new(table, shape(&catalog, table)?);
        let filler = list.make(&mut self.session).await.doing(&self.db.place, &what);
        let filler = self.noted(filler)?;
        self.feed(&what, &filler, rows).await?;
        let applied = list.replace(&mut self.session).await.doing(&self.db.place, &what);
        self.noted(applied)
    }

    async fn move_sequences(&mut self, sequences: &[Sequence]) -> Result<Vec<TableName>> {
        let what = "moving the counters";
        let catalog = self.catalog().await?;
        let mut moved = Vec::new();
        for sequence in sequences {
            let found = |t: &&Shape| t.name.eq_ignore_ascii_case(&sequence.name.name);
            let Some(table) = catalog.user_tables().find(found).filter(|t| t.is_autoincrement()) else {
                continue;
            };
            let args = texts(&[&table.name]).doing(&self.db.place, what)?;
            let rows =
                self.fetch(what, "SELECT seq FROM sqlite_sequence WHERE name = ?1".to_string(), args).await?;
            let now = rows.first().map(|row| integer(row, 0)).transpose().doing(&self.db.place, what)?;
            // A table that never held a row has no counter yet.
            let sql = match now {
                Some(now) if now >= sequence.last => continue,
                Some(_) => "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1",
                None => "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)",
            };
            let args =
                bind(&[table.name.as_str().into(), sequence.last.into()]).doing(&self.db.place, what)?;
            self.run(what, sql.to_string(), args).await?;
            moved.push(TableName::bare(&table.name));
        }
        Ok(moved)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.check()?;
        let what = "committing";
        for table in std::mem::take(&mut self.used) {
            self.run(what, format!("DELETE FROM {table}"), SqliteArguments::default()).await?;
        }
        let SqliteTx { db, mut session, mut silence, .. } = *self;
        silence.end(&mut session).await.doing(&db.place, "putting the triggers back")?;
        session.end().await.doing(&db.place, what)
    }
}
