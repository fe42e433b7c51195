//! [`Source`] on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::capture::Names;
use super::connect::{Db, Side};
use super::fault::Doing;
use super::inspect::Look;
use super::install::Meta;
use super::log::Watcher;
use super::{ask, chunks, fence, inspect, install, log, read, schema, survey};
use crate::engine::{
    Definition, Fence, Identity, Limits, Lowered, Measures, Options, Record, Source, Stamp, Survey, Verdict,
    Watch, Writer,
};
use crate::error::{Kind, Result};
use crate::model::{
    Batch, Block, Bounds, CheckConstraint, Extent, Key, Layout, Plan, RowStream, Schema, Sequence, States,
    TablePlan, Watermark, quote,
};
use crate::settings::Endpoint;
use crate::throttle::Throttle;

/// A SQLite file as source.
pub struct SqliteSource(Arc<Inner>);

/// What the parts of the source share.
pub(super) struct Inner {
    /// The file.
    pub(super) db: Db,
    /// The names of capture's objects.
    pub(super) names: Names,
    /// Limits rows per second.
    pub(super) throttle: Arc<Throttle>,
    /// Sees that somebody wrote.
    pub(super) watcher: Mutex<Watcher>,
    /// The last full look at capture.
    pub(super) look: Mutex<Option<Look>>,
}

impl SqliteSource {
    /// Opens the file of `endpoint`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Refused`] when there is no such file, it is no database, or it keeps its
    /// text in UTF-16.
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self> {
        let db = Db::open(endpoint, options, Side::Source, options.lock_timeout).await?;
        let watcher = Watcher::new(db.watcher().await?);
        Ok(SqliteSource(Arc::new(Inner {
            names: Names { prefix: options.object_name("highwater_capture") },
            throttle: options.throttle.clone(),
            watcher: Mutex::new(watcher),
            look: Mutex::default(),
            db,
        })))
    }
}

/// Which database a file is: what capture left in it, else the file itself.
pub(super) async fn identity(db: &Db, names: &Names, only_here: bool) -> Result<Identity> {
    let what = "looking which database it is";
    let mut session = db.reading(what).await?;
    let version = session.text("SELECT sqlite_version()").await.doing(&db.place, what)?;
    let meta = Meta::read(&mut session, names).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    let meta = meta.filter(|m| !only_here || m.is_here(&db.path, db.file));
    Ok(Identity {
        database: meta.map_or_else(|| format!("file {}", db.file), |m| m.database),
        // A restored file is told by the tags in its logs.
        life: String::new(),
        version: format!("SQLite {version}"),
    })
}

#[async_trait]
impl Source for SqliteSource {
    async fn identity(&self) -> Result<Identity> {
        identity(&self.0.db, &self.0.names, false).await
    }

    async fn schema(&self) -> Result<Schema> {
        schema::schema(&self.0.db).await
    }

    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>> {
        schema::check_constraints(&self.0.db).await
    }

    async fn survey(&self, _schema: &Schema, plan: &Plan) -> Result<Survey> {
        survey::source(&self.0.db, &self.0.names, plan).await
    }

    async fn capture_ddl(&self, plan: &Plan) -> Result<String> {
        install::ddl(&self.0.names, self.0.db.catalog_now().await?.as_ref(), plan)
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
        install::remove(&self.0.db, &self.0.names).await
    }

    async fn extent(&self, table: &TablePlan) -> Result<Extent> {
        let what = "reading the change log";
        let mut session = self.0.db.reading(what).await?;
        let mark = log::end(&mut session, &quote(&self.0.names.log(&table.source.name))).await?;
        session.end().await.doing(&self.0.db.place, what)?;
        Ok(Extent::Sqlite(mark))
    }

    async fn poll(&self, watch: &[Watch<'_>]) -> Result<Vec<bool>> {
        self.0.db.check_file()?;
        self.0.watcher.lock().await.poll(&self.0.names, watch, &self.0.db.place).await
    }

    async fn measure(&self, watch: &[Watch<'_>]) -> Result<Measures> {
        log::measure(&self.0.db, &self.0.names, watch).await
    }

    async fn chunks(&self, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>> {
        chunks::chunks(&self.0, table, rows).await
    }

    async fn stream(&self, watch: Watch<'_>, bounds: &Bounds, layout: Layout) -> Result<RowStream> {
        read::stream(&self.0, watch.table, watch.origin, bounds, layout).await
    }

    async fn batch(&self, watch: Watch<'_>, limits: Limits) -> Result<Batch> {
        let batch = read::batch(&self.0, watch, limits).await;
        if batch.as_ref().is_err_and(|e| e.kind() == Kind::Doubtful) {
            // What is wrong may be in rows that no change of the schema tells of.
            *self.0.look.lock().await = None;
        }
        batch
    }

    async fn states(&self, watch: Watch<'_>, keys: &[Key]) -> Result<States> {
        read::states(&self.0, watch.table, watch.origin, keys).await
    }

    async fn purge(&self, table: &TablePlan, watermark: &Watermark) -> Result<u64> {
        log::purge(&self.0.db, &self.0.names, table, watermark).await
    }

    async fn count(&self, table: &TablePlan) -> Result<u64> {
        self.0.db.count(&table.source.name).await
    }

    async fn sequences(&self) -> Result<Vec<Sequence>> {
        schema::sequences(&self.0.db).await
    }

    async fn definitions(&self, plan: &Plan, whole: bool) -> Result<Vec<Definition>> {
        Ok(schema::definitions(self.0.db.catalog_now().await?.as_ref(), plan, whole))
    }

    async fn sample(&self, table: &TablePlan, rows: u64) -> Result<Vec<Block>> {
        ask::sample(&self.0, table, rows).await
    }

    async fn keys_with(&self, table: &TablePlan, column: &str, values: &[String]) -> Result<Vec<Key>> {
        ask::keys_with(&self.0, table, column, values).await
    }

    async fn renewed(&self, watch: Watch<'_>, keys: &[Key]) -> Result<Vec<Key>> {
        ask::renewed(&self.0, watch, keys).await
    }

    async fn arrived(&self, watch: Watch<'_>, extent: &Extent) -> Result<Vec<Key>> {
        ask::arrived(&self.0, watch, extent).await
    }

    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>> {
        ask::ask(&self.0.db, sql, most).await
    }

    async fn writers(&self, _plan: &Plan) -> Result<Vec<Writer>> {
        fence::writers(&self.0).await
    }

    async fn fence(&self) -> Result<Fence> {
        fence::read(&self.0.db, &self.0.names).await
    }

    async fn pinned(&self) -> Result<Arc<dyn Source>> {
        Err(crate::error::Error::failed("no snapshot can be held"))
    }

    async fn try_fence(&self) -> Result<()> {
        Ok(())
    }

    async fn raise_fence(&self, _plan: &Plan, stamp: Stamp, _until: std::time::Instant) -> Result<()> {
        fence::raise(&self.0.db, &self.0.names, stamp).await
    }

    async fn prove_fence(&self, _plan: &Plan, _stamp: Stamp) -> Result<()> {
        fence::prove(&self.0.db, &self.0.names).await
    }

    async fn prepared(&self) -> Result<Vec<Writer>> {
        Ok(Vec::new())
    }

    async fn lower_fence(&self, stamp: Stamp) -> Result<Lowered> {
        Ok(if fence::lift(&self.0.db, &self.0.names, stamp).await? {
            Lowered::Down
        } else {
            Lowered::WasDown
        })
    }

    async fn drop_lowered(&self) -> Result<bool> {
        Ok(true)
    }
}
