//! PostgreSQL as a source: the state that its parts share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::PgPool;

use super::capture::Capture;
use super::connect::{Side, acquire, classify, connect, literal, place};
use super::pin::Pin;
use super::session::{Place, Session, flag, maybe, number, text};
use super::{
    catalog, definitions, fence, inspect, install, lag, probe, prove, purge, raise, read, remove, stream,
    survey,
};
use crate::engine::template::fill;
use crate::engine::{
    Definition, Fence, Identity, Limits, Lowered, Measures, Options, Record, Source, Stamp, Survey, Verdict,
    Watch, Writer,
};
use crate::error::{Error, Result};
use crate::model::{
    Batch, Block, Bounds, CheckConstraint, Extent, Key, Layout, Plan, RowStream, Schema, Sequence, States,
    TablePlan, Watermark, quote,
};
use crate::settings::Endpoint;
use crate::throttle::Throttle;

/// A PostgreSQL database that rows come from.
#[derive(Debug, Clone)]
pub struct PostgresSource {
    pub(super) pool: PgPool,
    /// How many connections the server grants, where that is fewer than were asked for.
    granted: Option<u32>,
    pub(super) place: Place,
    pub(super) endpoint: Endpoint,
    /// The schema of the capture objects.
    pub(super) schema: String,
    /// The schema of the ledger, which a target of the same migration has.
    pub(super) ledger: String,
    pub(super) migration: String,
    pub(super) lock_timeout: Duration,
    pub(super) throttle: Arc<Throttle>,
    /// The snapshot that reads see, where one is held.
    pub(super) pin: Option<Arc<Pin>>,
    notes: Arc<Mutex<Notes>>,
}

/// What is remembered between calls; all of it can be found out again.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Bytes that a row of a table takes, by label.
    pub(super) widths: HashMap<String, f64>,
    /// How far the log of a table is empty, by label.
    pub(super) purged: HashMap<String, purge::Purged>,
    /// What the tables looked like when they were planned, by label.
    pub(super) planned: HashMap<String, inspect::Planned>,
    /// What the plan wants of each table, and what it was found out from.
    pub(super) wanted: Option<inspect::Wanted>,
}

/// What a source looks like as a whole.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// How capture is to look here.
    pub(super) capture: Capture,
    /// Whether the capture schema is there with all that belongs to no single table.
    pub(super) installed: bool,
    /// Whether anything is in the capture schema.
    pub(super) occupied: bool,
    /// Whether we may do with it what its owner may.
    pub(super) owned: bool,
    /// Its owner; empty when there is no such schema.
    pub(super) owner: String,
    /// The cluster's system identifier.
    pub(super) cluster: String,
    /// The database's oid.
    pub(super) database: String,
    /// The statements that give capture's tables back to the role that the triggers run as, where another has them.
    give_back: Option<String>,
    /// Changes when tables begin or cease to inherit.
    pub(super) inheritance: String,
}

impl Standing {
    /// That capture's tables belong to the role that its triggers run as.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::error::Kind) with the statements that give them back.
    pub(super) fn check_owners(&self, place: &str) -> Result<()> {
        let Some(give_back) = &self.give_back else { return Ok(()) };
        Err(Error::refused(format!(
            "{place}: another role owns tables in the schema {}: writes of production are noted as missed there, \
             and their tables will be copied anew",
            quote(&self.capture.schema)
        ))
        .remedy(give_back.clone()))
    }
}

impl PostgresSource {
    /// Connects.
    ///
    /// # Errors
    /// When the server can't be reached or refuses us, or is not reached directly but through a pooler
    /// in transaction mode.
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self> {
        let (pool, granted) = connect(endpoint, options, Side::Source).await?;
        let source = PostgresSource {
            pool,
            granted,
            place: Arc::from(place(endpoint, Side::Source)),
            endpoint: endpoint.clone(),
            schema: options.object_name("highwater_capture"),
            ledger: options.object_name("highwater_ledger"),
            migration: options.migration.clone(),
            lock_timeout: options.lock_timeout,
            throttle: Arc::clone(&options.throttle),
            pin: None,
            notes: Arc::default(),
        };
        if options.connections > 1 {
            source.no_pooler().await?;
        }
        Ok(source)
    }

    /// Behind a pooler that hands out a server connection for each transaction, a session's settings,
    /// statements and snapshots belong to somebody else at times. Two connections that take turns show it.
    async fn no_pooler(&self) -> Result<()> {
        let pid = "BEGIN; SELECT pg_backend_pid()";
        let (mut one, mut other) = (self.session().await?, self.session().await?);
        let first = one.row(pid).await?;
        one.execute("COMMIT").await?;
        let second = other.row(pid).await?;
        let again = one.row(pid).await?;
        one.commit().await?;
        other.commit().await?;
        if first == again && first != second {
            return Ok(());
        }
        Err(Error::refused(format!("{}: a pooler in transaction mode stands before the server", self.place))
            .remedy("let the URL lead to the server itself, or to a pool in session mode"))
    }

    /// A connection of its own for several statements.
    pub(super) async fn session(&self) -> Result<Session> {
        let connection = acquire(&self.pool, &self.endpoint, &self.place).await?;
        Ok(Session::on(connection, &self.place))
    }

    /// What is remembered. Held for a moment only.
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the source looks like as a whole.
    pub(super) async fn standing(&self, session: &mut Session) -> Result<Standing> {
        let sql = include_str!("../../../sql/postgres/standing.sql");
        let row = session.row(fill(sql, &[("schema_name", &literal(&self.schema))])).await?;
        let capture = Capture {
            schema: self.schema.clone(),
            migration: self.migration.clone(),
            by_row: flag(&row, 1),
            server: number(&row, 0)?,
        };
        Ok(Standing {
            capture,
            installed: flag(&row, 2),
            occupied: flag(&row, 3),
            owned: flag(&row, 4),
            owner: maybe(&row, 5).unwrap_or_default().to_string(),
            cluster: text(&row, 6)?.to_string(),
            database: text(&row, 7)?.to_string(),
            give_back: maybe(&row, 8).map(str::to_string),
            inheritance: maybe(&row, 9).unwrap_or_default().to_string(),
        })
    }
}

#[async_trait]
impl Source for PostgresSource {
    async fn identity(&self) -> Result<Identity> {
        read::identity(self).await
    }

    fn granted(&self) -> Option<u32> {
        self.granted
    }

    async fn schema(&self) -> Result<Schema> {
        let mut session = self.session().await?;
        let own = [self.schema.clone(), self.ledger.clone()];
        let schema = catalog::read_schema(session.connection()?, &own).await;
        let schema = schema.map_err(|e| classify(e, &self.place))?;
        session.close();
        Ok(schema)
    }

    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>> {
        let mut session = self.session().await?;
        let own = [self.schema.clone(), self.ledger.clone()];
        let found = catalog::read_check_constraints(session.connection()?, &own).await;
        let found = found.map_err(|e| classify(e, &self.place))?;
        session.close();
        Ok(found)
    }

    async fn survey(&self, schema: &Schema, plan: &Plan) -> Result<Survey> {
        self.notes().planned =
            schema.tables.iter().map(|t| (t.name.to_string(), inspect::Planned::of(t))).collect();
        survey::survey(self, schema, plan).await
    }

    async fn capture_ddl(&self, plan: &Plan) -> Result<String> {
        install::ddl(self, plan).await
    }

    async fn install(
        &self,
        plan: &Plan,
        report: &(dyn for<'a> Fn(&'a str) + Send + Sync),
    ) -> Result<Vec<(String, Result<String>)>> {
        install::install(self, plan, report).await
    }

    async fn inspect(&self, plan: &Plan) -> Result<Vec<Verdict>> {
        inspect::inspect(self, plan).await
    }

    async fn remove(&self) -> Result<()> {
        remove::remove(self).await
    }

    async fn extent(&self, table: &TablePlan) -> Result<Extent> {
        read::extent(self, table).await
    }

    async fn poll(&self, watch: &[Watch<'_>]) -> Result<Vec<bool>> {
        lag::poll(self, watch).await
    }

    async fn measure(&self, watch: &[Watch<'_>]) -> Result<Measures> {
        lag::measure(self, watch).await
    }

    async fn chunks(&self, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>> {
        stream::chunks(self, table, rows).await
    }

    async fn stream(&self, watch: Watch<'_>, bounds: &Bounds, layout: Layout) -> Result<RowStream> {
        stream::stream(self, watch.table, watch.origin, bounds, layout).await
    }

    async fn batch(&self, watch: Watch<'_>, limits: Limits) -> Result<Batch> {
        read::batch(self, watch, limits).await
    }

    async fn states(&self, watch: Watch<'_>, keys: &[Key]) -> Result<States> {
        read::states(self, watch.table, watch.origin, keys).await
    }

    async fn purge(&self, table: &TablePlan, watermark: &Watermark) -> Result<u64> {
        purge::purge(self, table, watermark).await
    }

    async fn count(&self, table: &TablePlan) -> Result<u64> {
        stream::count(self, table).await
    }

    async fn sequences(&self) -> Result<Vec<Sequence>> {
        let mut session = self.session().await?;
        let own = [self.schema.clone(), self.ledger.clone()];
        let connection = session.connection()?;
        let found = catalog::list_sequences(connection, &own).await.map_err(|e| classify(e, &self.place))?;
        let readable: Vec<_> = found.into_iter().filter(|s| s.readable).collect();
        let sequences = catalog::read_sequences(connection, &readable).await;
        let sequences = sequences.map_err(|e| classify(e, &self.place))?;
        session.close();
        Ok(sequences)
    }

    async fn definitions(&self, plan: &Plan, whole: bool) -> Result<Vec<Definition>> {
        definitions::definitions(self, plan, whole).await
    }

    async fn sample(&self, table: &TablePlan, rows: u64) -> Result<Vec<Block>> {
        probe::sample(self, table, rows).await
    }

    async fn keys_with(&self, table: &TablePlan, column: &str, values: &[String]) -> Result<Vec<Key>> {
        probe::keys_with(self, table, column, values).await
    }

    async fn renewed(&self, watch: Watch<'_>, keys: &[Key]) -> Result<Vec<Key>> {
        probe::renewed(self, watch, keys).await
    }

    async fn arrived(&self, watch: Watch<'_>, extent: &Extent) -> Result<Vec<Key>> {
        probe::arrived(self, watch, extent).await
    }

    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>> {
        probe::ask(self, sql, most).await
    }

    async fn writers(&self, plan: &Plan) -> Result<Vec<Writer>> {
        fence::writers(self, plan).await
    }

    async fn storage(&self, _plan: &Plan) -> Result<String> {
        let sql = fill(include_str!("../../../sql/postgres/storage.sql"), &[("s", &quote(&self.schema))]);
        let mut session = self.session().await?;
        let row = session.row(sql).await?;
        session.close();
        Ok(maybe(&row, 0).unwrap_or_default().to_string())
    }

    async fn pinned(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.pin().await?))
    }

    async fn fence(&self) -> Result<Fence> {
        fence::fence(self).await
    }

    async fn try_fence(&self) -> Result<()> {
        prove::try_fence(self).await
    }

    async fn raise_fence(&self, plan: &Plan, stamp: Stamp, until: Instant) -> Result<()> {
        raise::raise(self, plan, stamp, until).await
    }

    async fn prove_fence(&self, plan: &Plan, stamp: Stamp) -> Result<()> {
        prove::prove(self, plan, stamp).await
    }

    async fn prepared(&self) -> Result<Vec<Writer>> {
        fence::prepared(self).await
    }

    async fn lower_fence(&self, stamp: Stamp) -> Result<Lowered> {
        fence::lower(self, stamp).await
    }

    async fn drop_lowered(&self) -> Result<bool> {
        fence::drop_lowered(self).await
    }
}
