//! A transaction on the target.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{AssertSqlSafe, Either, PgConnection, Row, TypeInfo, ValueRef};

use super::changed::OWN_PATH;
use super::connect::classify;
use super::selection::user_path;
use super::sequences;
use super::shape::{Shape, plan_tag};
use super::statements::{Pick, lock_and_fingerprint};
use super::target::Shared;
use crate::engine::{Arg, Feed, KeyDifferences, Record, Tx};
use crate::error::{Error, Kind, Result};
use crate::model::{Applied, Block, Key, Sequence, TableName, TablePlan};

/// What one statement of several gave.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) touched: u64,
    pub(super) rows: Vec<PgRow>,
}

/// A transaction on the target. Its connection goes back to the pool only when the server has answered
/// everything; one in doubt is closed, and the server rolls back.
pub(super) struct PgTx {
    connection: Option<PoolConnection<Postgres>>,
    shared: Arc<Shared>,
    /// Shapes whose table this transaction has locked against alteration.
    shapes: HashMap<u64, Arc<Shape>>,
    /// Temporary tables that hold rows now.
    filled: Vec<String>,
    /// How many tables were filled and shapes known at each savepoint.
    savepoints: Vec<(usize, usize)>,
    /// Whether everything that was asked of the server was answered.
    answered: bool,
    committed: bool,
}

impl PgTx {
    /// Begins a transaction.
    pub(super) async fn begin(shared: Arc<Shared>) -> Result<Self> {
        let connection = shared.acquire().await?;
        let mut tx = PgTx {
            connection: Some(connection),
            shapes: HashMap::new(),
            filled: Vec::new(),
            savepoints: Vec::new(),
            answered: true,
            committed: false,
            shared,
        };
        let begin = tx.shared.begin.clone();
        tx.run(begin, None).await?;
        Ok(tx)
    }

    fn connection(&mut self) -> Result<&mut PgConnection> {
        self.connection.as_deref_mut().ok_or_else(|| Error::failed("the transaction has ended"))
    }

    pub(super) fn place(&self, table: Option<&TablePlan>) -> String {
        match table {
            Some(table) => format!("{}, table {}", self.shared.place, table.target),
            None => self.shared.place.clone(),
        }
    }

    /// Whether triggers and foreign keys are silenced.
    pub(super) fn is_silenced(&self) -> bool {
        self.shared.silenced
    }

    /// What an error means that concerns no table.
    pub(super) fn failed(&self, error: sqlx::Error) -> Error {
        classify(error, &self.shared.place)
    }

    /// Notes how the server answered, and gives the error its meaning.
    fn settle<T>(&mut self, outcome: Result<T, sqlx::Error>, table: Option<&TablePlan>) -> Result<T> {
        match outcome {
            Ok(value) => {
                self.answered = true;
                Ok(value)
            }
            Err(error) => {
                let is_answer = error.as_database_error().is_some();
                let error = classify(error, &self.place(table));
                self.answered = is_answer && error.kind() != Kind::Unavailable;
                Err(error)
            }
        }
    }

    /// Runs statements without arguments, one after the other, in one round trip.
    pub(super) async fn run(&mut self, sql: String, table: Option<&TablePlan>) -> Result<Vec<Outcome>> {
        self.answered = false;
        let connection = self.connection()?;
        let outcome = run(connection, sql).await;
        self.settle(outcome, table)
    }

    /// The shape of the table as it is now. The table is locked against alteration from here to the
    /// end of the transaction.
    pub(super) async fn shape(&mut self, table: &TablePlan) -> Result<Arc<Shape>> {
        let tag = plan_tag(table);
        if let Some(shape) = self.shapes.get(&tag) {
            return Ok(shape.clone());
        }
        let known = self.shared.shape(tag);
        let stage = known.as_ref().map_or("pg_temp.none".to_string(), |shape| shape.stage());
        let further: Vec<String> = table.rule.into.iter().map(|into| into.target.sql()).collect();
        let sql = lock_and_fingerprint(&table.target.sql(), &stage, &further);
        let outcomes = self.run(sql, Some(table)).await?;
        let text = |place: usize| {
            let row = outcomes.get(place).and_then(|o| o.rows.first());
            row.and_then(|row| row.try_get_unchecked::<Option<String>, _>(0).ok().flatten())
        };
        let further = (3..3 + further.len()).map(|place| format!("|{}", text(place).unwrap_or_default()));
        let fingerprint = text(1).unwrap_or_default() + &further.collect::<String>();
        let staged = text(2).is_some();
        self.is_planned(table, &fingerprint)?;
        let (shape, staged) = match known {
            Some(shape) if shape.fingerprint == fingerprint => (shape, staged),
            _ => (self.read_shape(table, fingerprint).await?, false),
        };
        if !staged && !shape.key.is_empty() {
            self.run(shape.make_stage(), Some(table)).await?;
        }
        self.shapes.insert(tag, shape.clone());
        Ok(shape)
    }

    /// Refuses a table that was dropped and made anew: what is applied was applied to the old one.
    fn is_planned(&self, table: &TablePlan, fingerprint: &str) -> Result<()> {
        let id = fingerprint.split(';').next().unwrap_or_default();
        if table.target_id.is_empty() || table.target_id == id {
            return Ok(());
        }
        Err(Error::table(format!(
            "{}: it is not the table that was planned for any more",
            self.place(Some(table))
        ))
        .remedy("it was dropped and made anew, or another renamed to its name; let it be copied anew"))
    }

    async fn read_shape(&mut self, table: &TablePlan, fingerprint: String) -> Result<Arc<Shape>> {
        let place = self.place(Some(table));
        self.run(OWN_PATH.to_string(), None).await?;
        self.answered = false;
        let shape = Shape::read(self.connection()?, table, fingerprint, |e| classify(e, &place)).await?;
        self.answered = true;
        self.run(user_path("pg_catalog"), None).await?;
        let shape = Arc::new(shape);
        self.shared.remember(plan_tag(table), shape.clone());
        Ok(shape)
    }

    /// Streams rows into a COPY. After any failure the connection is out of step: it stays unanswered.
    pub(super) async fn copy(
        &mut self,
        sql: &str,
        table: &TablePlan,
        mut feed: Feed<'_>,
    ) -> Result<(u64, u64)> {
        let place = self.place(Some(table));
        self.answered = false;
        let mut copy = self.connection()?.copy_in_raw(sql).await.map_err(|e| classify(e, &place))?;
        let (rows, bytes) = loop {
            match feed.next().await? {
                Block::Copy(piece) => {
                    copy.send(piece).await.map_err(|e| classify(e, &place))?;
                }
                Block::Values(_) => return Err(Error::failed(format!("{place}: rows in a foreign form"))),
                Block::End { rows, bytes } => break (rows, bytes),
            }
        };
        let written = copy.finish().await.map_err(|e| classify(e, &place))?;
        if written != rows {
            return Err(Error::table(format!("{place}: {rows} rows were sent and {written} arrived"))
                .remedy("see whether a trigger on the target table drops rows"));
        }
        self.answered = true;
        Ok((rows, bytes))
    }

    /// Checks what the server can't (an identity that no UPDATE may change), or does not where
    /// triggers are silenced (deferrable constraints).
    pub(super) async fn check(&mut self, table: &TablePlan, shape: &Shape, pick: Pick<'_>) -> Result<()> {
        if let Some(sql) = shape.fixed_differs(pick)
            && self.finds(sql, table).await?
        {
            return Err(Error::new(
                Kind::Data,
                format!(
                    "{}: a row differs in a column that is GENERATED ALWAYS AS IDENTITY, which no UPDATE may change",
                    self.place(Some(table))
                ),
            )
            .remedy("ALTER TABLE .. ALTER COLUMN .. SET GENERATED BY DEFAULT on the target"));
        }
        self.check_deferrable(table, shape, pick).await
    }

    /// Fails if a value of the staged rows is another one in its column.
    pub(super) async fn check_values(&mut self, table: &TablePlan, queries: &[String]) -> Result<()> {
        for sql in queries {
            let outcomes = self.run(sql.clone(), Some(table)).await?;
            if let Some(row) = outcomes.iter().find_map(|outcome| outcome.rows.first()) {
                let reason: String = row.try_get_unchecked(0).map_err(|e| self.failed(e))?;
                return Err(Error::new(Kind::Data, reason));
            }
        }
        Ok(())
    }

    pub(super) async fn check_deferrable(
        &mut self,
        table: &TablePlan,
        shape: &Shape,
        pick: Pick<'_>,
    ) -> Result<()> {
        if !self.shared.silenced {
            return Ok(());
        }
        for constraint in &shape.deferrable {
            if self.finds(shape.collides(constraint, pick), table).await? {
                return Err(Error::new(
                    Kind::Data,
                    format!(
                        "{}: a row collides with another under the deferrable constraint \"{}\"",
                        self.place(Some(table)),
                        constraint.name
                    ),
                ));
            }
        }
        Ok(())
    }

    pub(super) async fn finds(&mut self, sql: String, table: &TablePlan) -> Result<bool> {
        let outcomes = self.run(sql, Some(table)).await?;
        Ok(outcomes.iter().any(|outcome| !outcome.rows.is_empty()))
    }

    /// Notes that a temporary table holds rows.
    pub(super) fn fills(&mut self, table: String) {
        if !self.filled.contains(&table) {
            self.filled.push(table);
        }
    }
}

/// Runs statements without arguments, one after the other, in one round trip.
async fn run(connection: &mut PgConnection, sql: String) -> Result<Vec<Outcome>, sqlx::Error> {
    let mut answers = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
    let mut outcomes = Vec::new();
    let mut rows = Vec::new();
    while let Some(answer) = answers.try_next().await? {
        match answer {
            Either::Left(done) => {
                outcomes.push(Outcome { touched: done.rows_affected(), rows: std::mem::take(&mut rows) });
            }
            Either::Right(row) => rows.push(row),
        }
    }
    Ok(outcomes)
}

/// The first column of every row, as whole numbers in text.
fn numbers(outcomes: &[Outcome], column: usize) -> Result<Vec<i64>> {
    let rows = outcomes.iter().flat_map(|outcome| &outcome.rows);
    rows.map(|row| {
        let text: String = row.try_get_unchecked(column).map_err(|e| Error::failed(e.to_string()))?;
        text.parse().map_err(|_| Error::failed(format!("`{text}` is not a number of the stage")))
    })
    .collect()
}

#[async_trait]
impl Tx for PgTx {
    async fn execute(&mut self, sql: &str, args: &[Arg]) -> Result<u64> {
        let sql = self.shared.ledger_sql(sql);
        self.answered = false;
        let outcome = bind(sql, args).execute(self.connection()?).await;
        Ok(self.settle(outcome, None)?.rows_affected())
    }

    async fn rows(&mut self, sql: &str, args: &[Arg]) -> Result<Vec<Record>> {
        let sql = self.shared.ledger_sql(sql);
        self.answered = false;
        let outcome = bind(sql, args).fetch_all(self.connection()?).await;
        let rows = self.settle(outcome, None)?;
        rows.iter().map(record).collect::<Result<_, _>>().map_err(|e| classify(e, &self.shared.place))
    }

    async fn savepoint(&mut self) -> Result<()> {
        self.run("SAVEPOINT hw".to_string(), None).await?;
        self.savepoints.push((self.filled.len(), self.shapes.len()));
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.run("RELEASE SAVEPOINT hw".to_string(), None).await?;
        self.savepoints.pop();
        Ok(())
    }

    async fn rollback_to_savepoint(&mut self) -> Result<()> {
        self.run("ROLLBACK TO SAVEPOINT hw; RELEASE SAVEPOINT hw".to_string(), None).await?;
        let (filled, shapes) = self.savepoints.pop().unwrap_or_default();
        self.filled.truncate(filled);
        if self.shapes.len() > shapes {
            // Locks taken since are gone, and so may be tables made since.
            self.shapes.clear();
        }
        Ok(())
    }

    async fn load(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)> {
        let shape = self.shape(table).await?;
        if self.shared.silenced && !shape.deferrable.is_empty() {
            return Err(Error::new(
                Kind::Data,
                format!(
                    "{}: rows must be checked against a deferrable constraint as they come",
                    self.place(Some(table))
                ),
            ));
        }
        if !shape.loads_plainly() {
            let place = self.place(Some(table));
            return Err(Error::new(Kind::Data, format!("{place}: values must be compared as they come")));
        }
        self.copy(&shape.copy_into(&shape.table_columns()), table, rows).await
    }

    async fn stage(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<(u64, u64)> {
        let shape = self.shape(table).await?;
        self.fills(shape.stage());
        self.copy(&shape.copy_into(&shape.stage()), table, rows).await
    }

    async fn staged(&mut self, table: &TablePlan) -> Result<Vec<i64>> {
        let shape = self.shape(table).await?;
        let sql = format!("SELECT hw_n::text FROM {} ORDER BY hw_n", shape.stage());
        numbers(&self.run(sql, Some(table)).await?, 0)
    }

    async fn staged_present(&mut self, table: &TablePlan) -> Result<Vec<i64>> {
        let shape = self.shape(table).await?;
        let sql = format!("SELECT hw_n::text FROM {} WHERE hw_present ORDER BY hw_n", shape.stage());
        numbers(&self.run(sql, Some(table)).await?, 0)
    }

    async fn staged_keys(&mut self, table: &TablePlan, wanted: &[i64]) -> Result<Vec<Key>> {
        let shape = self.shape(table).await?;
        let outcomes = self.run(shape.staged_keys(wanted), Some(table)).await?;
        let found = numbers(&outcomes, 0)?;
        let mut keys = HashMap::with_capacity(found.len());
        for (number, row) in found.into_iter().zip(outcomes.iter().flat_map(|o| &o.rows)) {
            let key = (1..=shape.key.len()).map(|n| row.try_get_unchecked::<String, _>(n));
            let key = key.collect::<Result<Key, _>>().map_err(|e| classify(e, &self.shared.place))?;
            keys.insert(number, key);
        }
        let missing = |n: &i64| Error::failed(format!("the stage has no number {n}"));
        wanted.iter().map(|n| keys.get(n).cloned().ok_or_else(|| missing(n))).collect()
    }

    async fn unstage(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<()> {
        let shape = self.shape(table).await?;
        self.run(shape.unstage(Pick::These(numbers)), Some(table)).await.map(drop)
    }

    async fn standing(
        &mut self,
        table: &TablePlan,
        columns: &[String],
    ) -> Result<Vec<(i64, Vec<Option<String>>)>> {
        self.standing_in(table, columns).await
    }

    async fn equalise(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied> {
        let shape = self.shape(table).await?;
        self.equalise_picked(table, &shape, numbers.into()).await
    }

    fn can_lift(&self, table: &TablePlan) -> bool {
        self.shared.silenced && table.rule.into.is_empty()
    }

    async fn lift(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<u64> {
        let shape = self.shape(table).await?;
        self.run(shape.make_lifted(), Some(table)).await?;
        self.fills(shape.lifted());
        let counts = self.run_script(&shape.lift(numbers.into()), table).await?;
        Ok(counts.first().copied().unwrap_or(0))
    }

    async fn put(&mut self, table: &TablePlan, numbers: Option<&[i64]>) -> Result<Applied> {
        let shape = self.shape(table).await?;
        self.put_picked(table, &shape, numbers.into()).await
    }

    async fn put_back(&mut self, table: &TablePlan, numbers: &[i64]) -> Result<u64> {
        let shape = self.shape(table).await?;
        let outcomes = self.run(shape.put_back(numbers), Some(table)).await?;
        self.check_deferrable(table, &shape, Pick::These(numbers)).await?;
        Ok(outcomes.first().map_or(0, |outcome| outcome.touched))
    }

    async fn prune(&mut self, table: &TablePlan, keys: Feed<'_>, keep: &[Key]) -> Result<u64> {
        self.prune_unknown(table, keys, keep).await
    }

    async fn compare_keys(&mut self, table: &TablePlan, keys: Feed<'_>) -> Result<KeyDifferences> {
        self.compare_source_keys(table, keys).await
    }

    async fn replace(&mut self, table: &TablePlan, rows: Feed<'_>) -> Result<Applied> {
        let shape = self.shape(table).await?;
        self.run(shape.make_rows(), Some(table)).await?;
        self.fills(shape.rows());
        self.copy(&shape.copy_into(&shape.rows()), table, rows).await?;
        self.check_values(table, shape.changed_in_rows().as_slice()).await?;
        let counts = self.run_script(&shape.replace(), table).await?;
        let count = |place: usize| counts.get(place).copied().unwrap_or(0);
        Ok(Applied { deleted: count(0), inserted: count(1), ..Applied::default() })
    }

    async fn move_sequences(&mut self, wanted: &[Sequence]) -> Result<Vec<TableName>> {
        self.answered = false;
        let shared = self.shared.clone();
        let moved = sequences::move_all(self.connection()?, &shared, wanted).await?;
        self.answered = true;
        Ok(moved)
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        // Stages are emptied here and not by ON COMMIT DELETE ROWS, which would visit every temporary
        // table of the session at each commit (a third of a millisecond each). The first statement
        // also fails where a COMMIT would silently roll back.
        let empty = if self.filled.is_empty() {
            "SELECT".to_string()
        } else {
            format!("TRUNCATE {}", self.filled.join(", "))
        };
        self.run(format!("{empty}; COMMIT"), None).await?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for PgTx {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let Some(mut connection) = self.connection.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.answered => {
                runtime.spawn(async move {
                    if run(&mut connection, "ROLLBACK".to_string()).await.is_err() {
                        connection.close_on_drop();
                    }
                });
            }
            _ => connection.close_on_drop(),
        }
    }
}

pub(super) type Query<'q> = sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments>;

pub(super) fn bind<'q>(sql: String, args: &[Arg]) -> Query<'q> {
    args.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, arg| match arg {
        Arg::Text(text) => query.bind(text.clone()),
        Arg::Integer(number) => query.bind(*number),
    })
}

/// A row of the ledger: texts and whole numbers.
fn record(row: &PgRow) -> Result<Record, sqlx::Error> {
    (0..row.len())
        .map(|place| {
            let value = row.try_get_raw(place)?;
            if value.is_null() {
                return Ok(None);
            }
            let kind = value.type_info().name().to_string();
            Ok(Some(match kind.as_str() {
                "INT8" => row.try_get::<i64, _>(place)?.to_string(),
                "INT4" => row.try_get::<i32, _>(place)?.to_string(),
                _ => row.try_get::<String, _>(place)?,
            }))
        })
        .collect()
}
