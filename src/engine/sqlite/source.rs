//! [`Source`] on SQLite.

use std::sync::Arc;
use std::time::Instant;

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
pub struct SqliteSource {
    /// The file as it is now.
    live: Arc<Inner>,
    /// What rows and logs are read from: the same, or a snapshot that is held.
    reads: Arc<Inner>,
}

/// What the parts of the source share.
pub(super) struct Inner {
    /// The file.
    pub(super) db: Db,
    /// The names of capture's objects.
    pub(super) names: Names,
    /// Limits rows per second.
    pub(super) throttle: Arc<Throttle>,
    /// Sees that somebody wrote.
    pub(super) watcher: Arc<Mutex<Watcher>>,
    /// The last full look at capture.
    pub(super) look: Arc<Mutex<Option<Look>>>,
}

impl Inner {
    /// The same, of which every read sees the snapshot that is taken now.
    async fn pinned(&self) -> Result<Self> {
        Ok(Inner {
            db: self.db.pinned().await?,
            names: self.names.clone(),
            throttle: self.throttle.clone(),
            watcher: self.watcher.clone(),
            look: self.look.clone(),
        })
    }
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
        let live = Arc::new(Inner {
            names: Names { prefix: options.object_name("highwater_capture") },
            throttle: options.throttle.clone(),
            watcher: Arc::new(Mutex::new(watcher)),
            look: Arc::default(),
            db,
        });
        Ok(SqliteSource { reads: live.clone(), live })
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
        identity(&self.live.db, &self.live.names, false).await
    }

    async fn schema(&self) -> Result<Schema> {
        schema::schema(&self.live.db).await
    }

    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>> {
        schema::check_constraints(&self.live.db).await
    }

    async fn survey(&self, _schema: &Schema, plan: &Plan) -> Result<Survey> {
        survey::source(&self.live.db, &self.live.names, plan).await
    }

    async fn capture_ddl(&self, plan: &Plan) -> Result<String> {
        install::ddl(&self.live.names, self.live.db.catalog_now().await?.as_ref(), plan)
    }

    async fn install(
        &self,
        plan: &Plan,
        report: &(dyn for<'a> Fn(&'a str) + Send + Sync),
    ) -> Result<Vec<(String, Result<String>)>> {
        install::install(&self.live, plan, report).await
    }

    async fn inspect(&self, plan: &Plan) -> Result<Vec<Verdict>> {
        inspect::inspect(&self.live, plan).await
    }

    async fn remove(&self) -> Result<()> {
        install::remove(&self.live.db, &self.live.names).await
    }

    async fn extent(&self, table: &TablePlan) -> Result<Extent> {
        let what = "reading the change log";
        let mut session = self.reads.db.reading(what).await?;
        let mark = log::end(&mut session, &quote(&self.reads.names.log(&table.source.name))).await?;
        session.end().await.doing(&self.reads.db.place, what)?;
        Ok(Extent::Sqlite(mark))
    }

    async fn poll(&self, watch: &[Watch<'_>]) -> Result<Vec<bool>> {
        let Inner { db, names, watcher, .. } = self.reads.as_ref();
        db.check_file()?;
        if !db.is_pinned() {
            return watcher.lock().await.poll(names, watch, &db.place).await;
        }
        let what = "looking for changes";
        let mut session = db.reading(what).await?;
        let dirty = log::poll(&mut session, names, watch).await?;
        session.end().await.doing(&db.place, what)?;
        Ok(dirty)
    }

    async fn measure(&self, watch: &[Watch<'_>]) -> Result<Measures> {
        log::measure(&self.live.db, &self.live.names, watch).await
    }

    async fn chunks(&self, table: &TablePlan, rows: u64) -> Result<Vec<Bounds>> {
        chunks::chunks(&self.live, table, rows).await
    }

    async fn stream(&self, watch: Watch<'_>, bounds: &Bounds, layout: Layout) -> Result<RowStream> {
        read::stream(&self.reads, watch.table, watch.origin, bounds, layout).await
    }

    async fn batch(&self, watch: Watch<'_>, limits: Limits) -> Result<Batch> {
        let batch = read::batch(&self.reads, watch, limits).await;
        if batch.as_ref().is_err_and(|e| e.kind() == Kind::Doubtful) {
            // What is wrong may be in rows that no change of the schema tells of.
            *self.reads.look.lock().await = None;
        }
        batch
    }

    async fn states(&self, watch: Watch<'_>, keys: &[Key]) -> Result<States> {
        read::states(&self.reads, watch.table, watch.origin, keys).await
    }

    async fn purge(&self, table: &TablePlan, watermark: &Watermark) -> Result<u64> {
        log::purge(&self.live.db, &self.live.names, table, watermark).await
    }

    async fn count(&self, table: &TablePlan) -> Result<u64> {
        self.reads.db.count(&table.source.name).await
    }

    async fn sequences(&self) -> Result<Vec<Sequence>> {
        schema::sequences(&self.live.db).await
    }

    async fn definitions(&self, plan: &Plan, whole: bool) -> Result<Vec<Definition>> {
        Ok(schema::definitions(self.live.db.catalog_now().await?.as_ref(), plan, whole))
    }

    async fn sample(&self, table: &TablePlan, rows: u64) -> Result<Vec<Block>> {
        ask::sample(&self.live, table, rows).await
    }

    async fn keys_with(&self, table: &TablePlan, column: &str, values: &[String]) -> Result<Vec<Key>> {
        ask::keys_with(&self.reads, table, column, values).await
    }

    async fn renewed(&self, watch: Watch<'_>, keys: &[Key]) -> Result<Vec<Key>> {
        ask::renewed(&self.reads, watch, keys).await
    }

    async fn arrived(&self, watch: Watch<'_>, extent: &Extent) -> Result<Vec<Key>> {
        ask::arrived(&self.reads, watch, extent).await
    }

    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>> {
        ask::ask(&self.live.db, sql, most).await
    }

    async fn writers(&self, _plan: &Plan) -> Result<Vec<Writer>> {
        fence::writers(&self.live).await
    }

    async fn fence(&self) -> Result<Fence> {
        fence::read(&self.live.db, &self.live.names).await
    }

    async fn pinned(&self) -> Result<Arc<dyn Source>> {
        let reads = Arc::new(self.live.pinned().await?);
        Ok(Arc::new(SqliteSource { live: self.live.clone(), reads }))
    }

    async fn try_fence(&self) -> Result<()> {
        fence::try_out(&self.live.db, &self.live.names).await
    }

    async fn raise_fence(&self, plan: &Plan, stamp: Stamp, until: Instant) -> Result<()> {
        fence::raise(&self.live, plan, stamp, until).await
    }

    async fn prove_fence(&self, plan: &Plan, stamp: Stamp) -> Result<()> {
        fence::prove(&self.live, plan, stamp).await
    }

    async fn prepared(&self) -> Result<Vec<Writer>> {
        // SQLite has no prepared transactions.
        Ok(Vec::new())
    }

    async fn lower_fence(&self, stamp: Stamp) -> Result<Lowered> {
        fence::lower(&self.live.db, &self.live.names, stamp).await
    }

    async fn drop_lowered(&self) -> Result<bool> {
        fence::drop_lowered(&self.live.db, &self.live.names).await
    }
}
