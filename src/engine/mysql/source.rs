//! [`Source`] on MySQL and MariaDB.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::connect::{Server, Side};
use super::facts::Shape;
use super::names::Names;
use super::pin::Pin;
use super::retire::Retirement;
use super::{
    catalog, checks, chunks, definitions, fence, inspect, install, log, look, pin, prove, raise, read,
    remove, schema, sequences, survey, writers,
};
use crate::engine::{
    Definition, Fence, Identity, Limits, Lowered, Measures, Options, Record, Source, Stamp, Survey, Verdict,
    Watch, Writer,
};
use crate::error::Result;
use crate::model::{
    Batch, Block, Bounds, CheckConstraint, Extent, Key, Layout, Plan, RowStream, Schema, Sequence, States,
    Table, TablePlan, Watermark,
};
use crate::settings::Endpoint;
use crate::throttle::Throttle;

/// A database of MySQL or MariaDB as source.
pub struct MysqlSource(Arc<Inner>);

/// What the parts of the source share.
pub(super) struct Inner {
    /// The database.
    pub(super) server: Arc<Server>,
    /// The names of capture's objects.
    pub(super) names: Names,
    /// Limits rows per second.
    pub(super) throttle: Arc<Throttle>,
    /// How long one attempt to lock a table of production's may keep its writers waiting.
    pub(super) lock_timeout: std::time::Duration,
    /// Who may still fill the gaps of the logs.
    pub(super) retirement: Arc<Mutex<Retirement>>,
    /// The snapshot that all reads share, where one is held.
    pub(super) pin: Option<Pin>,
    /// The tables as they were when they were last asked for, which the plan is made of: what it does not
    /// carry was left behind knowingly.
    planned: Arc<std::sync::Mutex<BTreeMap<String, Shape>>>,
}

impl Inner {
    /// The tables as they were when the plan was made.
    pub(super) fn planned(&self) -> BTreeMap<String, Shape> {
        self.planned.lock().map(|planned| planned.clone()).unwrap_or_default()
    }

    fn note(&self, schema: &Schema) {
        let shape = |table: &Table| Shape {
            columns: table.columns.clone(),
            primary_key: table.primary_key.clone(),
            unique: table.unique.clone(),
        };
        if let Ok(mut planned) = self.planned.lock() {
            *planned = schema.tables.iter().map(|table| (table.name.name.clone(), shape(table))).collect();
        }
    }
}

impl MysqlSource {
    /// Connects to the database of `endpoint`.
    ///
    /// # Errors
    /// When it can't be reached or refuses us.
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self> {
        let server = Server::open(endpoint, options, Side::Source).await?;
        let names = Names {
            capture: options.object_name("highwater_capture"),
            database: server.database.clone(),
            flavour: server.flavour,
        };
        Ok(MysqlSource(Arc::new(Inner {
            names,
            throttle: options.throttle.clone(),
            lock_timeout: options.lock_timeout,
            retirement: Arc::default(),
            planned: Arc::default(),
            pin: None,
            server: Arc::new(server),
        })))
    }
}

#[async_trait]
impl Source for MysqlSource {
    fn granted(&self) -> Option<u32> {
        self.0.server.granted
    }

    async fn identity(&self) -> Result<Identity> {
        catalog::identity(&self.0.server, &self.0.names).await
    }

    async fn schema(&self) -> Result<Schema> {
        let schema = schema::schema(&self.0.server).await?;
        self.0.note(&schema);
        Ok(schema)
    }

    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>> {
        checks::check_constraints(&self.0.server).await
    }

    async fn survey(&self, schema: &Schema, plan: &Plan) -> Result<Survey> {
        survey::source(&self.0, schema, plan).await
    }

    async fn capture_ddl(&self, plan: &Plan) -> Result<String> {
        install::ddl(&self.0, plan).await
    }

    async fn install(
        &self,
        plan: &Plan,
        report: &(dyn for<'a> Fn(&'a str) + Send + Sync),
    ) -> Result<Vec<(String, Result<String>)>> {
        install::install(&self.0, plan, report).await
    }

    async fn inspect(&self, plan: &Plan) -> Result<Vec<Verdict>> {
        inspect::inspect(&self.0, plan).await
    }

    async fn remove(&self) -> Result<()> {
        remove::remove(&self.0.server, &self.0.names, self.0.lock_timeout).await
    }

    async fn extent(&self, table: &TablePlan) -> Result<Extent> {
        log::extent(&self.0, table).await
    }

    async fn poll(&self, watch: &[Watch<'_>]) -> Result<Vec<bool>> {
        log::poll(&self.0, watch).await
    }

    async fn measure(&self, watch: &[Watch<'_>]) -> Result<Measures> {
        log::measure(&self.0, watch).await
    }

    async fn chunks(&self, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>> {
        chunks::chunks(&self.0, table, rows).await
    }

    async fn stream(&self, watch: Watch<'_>, bounds: &Bounds, layout: Layout) -> Result<RowStream> {
        read::stream(&self.0, watch, bounds, layout).await
    }

    async fn batch(&self, watch: Watch<'_>, limits: Limits) -> Result<Batch> {
        read::batch(&self.0, watch, limits).await
    }

    async fn states(&self, watch: Watch<'_>, keys: &[Key]) -> Result<States> {
        read::states(&self.0, watch, keys).await
    }

    async fn purge(&self, table: &TablePlan, watermark: &Watermark) -> Result<u64> {
        log::purge(&self.0, table, watermark).await
    }

    async fn count(&self, table: &TablePlan) -> Result<u64> {
        catalog::count(&self.0, &table.source.name).await
    }

    async fn sequences(&self) -> Result<Vec<Sequence>> {
        sequences::sequences(&self.0.server).await
    }

    async fn definitions(&self, plan: &Plan, whole: bool) -> Result<Vec<Definition>> {
        definitions::definitions(&self.0.server, plan, whole).await
    }

    async fn sample(&self, table: &TablePlan, rows: u64) -> Result<Vec<Block>> {
        look::sample(&self.0, table, rows).await
    }

    async fn keys_with(&self, table: &TablePlan, column: &str, values: &[String]) -> Result<Vec<Key>> {
        look::keys_with(&self.0, table, column, values).await
    }

    async fn renewed(&self, watch: Watch<'_>, keys: &[Key]) -> Result<Vec<Key>> {
        look::renewed(&self.0, watch, keys).await
    }

    async fn arrived(&self, watch: Watch<'_>, extent: &Extent) -> Result<Vec<Key>> {
        look::arrived(&self.0, watch, extent).await
    }

    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>> {
        look::ask(&self.0.server, sql, most).await
    }

    async fn writers(&self, plan: &Plan) -> Result<Vec<Writer>> {
        writers::writers(&self.0, plan).await
    }

    async fn fence(&self) -> Result<Fence> {
        fence::read(&self.0).await
    }

    async fn pinned(&self) -> Result<Arc<dyn Source>> {
        let inner = &self.0;
        Ok(Arc::new(MysqlSource(Arc::new(Inner {
            server: inner.server.clone(),
            names: inner.names.clone(),
            throttle: inner.throttle.clone(),
            lock_timeout: inner.lock_timeout,
            retirement: inner.retirement.clone(),
            planned: inner.planned.clone(),
            pin: Some(pin::pin(inner).await?),
        }))))
    }

    async fn try_fence(&self) -> Result<()> {
        raise::attempt_ddl(&self.0).await
    }

    async fn raise_fence(&self, plan: &Plan, stamp: Stamp, until: std::time::Instant) -> Result<()> {
        raise::raise(&self.0, plan, stamp, until.into()).await
    }

    async fn prove_fence(&self, plan: &Plan, stamp: Stamp) -> Result<()> {
        prove::prove(&self.0, plan, stamp).await
    }

    async fn prepared(&self) -> Result<Vec<Writer>> {
        writers::all_prepared(&self.0).await
    }

    async fn lower_fence(&self, stamp: Stamp) -> Result<Lowered> {
        fence::lower(&self.0, stamp).await
    }

    async fn drop_lowered(&self) -> Result<bool> {
        raise::drop_lowered(&self.0).await
    }
}
