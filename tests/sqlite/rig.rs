//! Two files with highwater's two sides on them, driven step by step.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::engine::{self, Feed, Limits, Options, Origin, Source, Target, Tx, Watch};
use highwater::error::Kind;
use highwater::model::{Applied, Batch, Block, Key, Layout, Plan, Strategy, TablePlan, Watermark};
use highwater::plan;
use highwater::settings::{DatabaseSettings, Endpoint, Glob, SchemaMode};
use highwater::throttle::Throttle;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::support::{Pair, SqliteFile, watch};

/// Plenty of both.
pub const LIMITS: Limits = Limits { rows: 10_000, bytes: 8 << 20 };

/// Whole numbers as a table with a column `value`.
pub fn series(from: i64, to: i64) -> String {
    format!(
        "(WITH RECURSIVE s(value) AS (VALUES ({from}) UNION ALL SELECT value + 1 FROM s WHERE value < \
            {to}) SELECT value FROM s)"
    )
}

/// What both engines need of the settings.
pub fn options() -> Options {
    Options {
        migration: "main".into(),
        lock_timeout: Duration::from_millis(200),
        connections: 8,
        throttle: Arc::new(Throttle::new(0)),
    }
}

/// The file's URL as an endpoint.
pub fn endpoint(file: &SqliteFile) -> Endpoint {
    Endpoint::from_url(&file.url()).unwrap()
}

/// A connection that leaves the journal as it is.
pub async fn plain(file: &SqliteFile) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file.path())
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(10));
    sqlx::ConnectOptions::connect(&options).await.unwrap()
}

async fn write(files: &Pair, sql: &str) {
    execute(&mut plain(files.source.sqlite()).await, sql).await;
}

/// Runs statements on a connection.
pub async fn execute(connection: &mut SqliteConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{sql}\n{error}"));
}

/// The rows of a query that gives texts and numbers.
async fn rows_as_text(connection: &mut SqliteConnection, sql: &str) -> Vec<Vec<Option<String>>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
    let value = |row: &SqliteRow, i| {
        let bytes = row.get_unchecked::<Option<Vec<u8>>, _>(i);
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    rows.iter().map(|row| (0..row.len()).map(|i| value(row, i)).collect()).collect()
}

/// A source and a target with their plan, and where each table stands.
pub struct Rig {
    pub files: Pair,
    pub source: Arc<dyn Source>,
    pub target: Arc<dyn Target>,
    pub plan: Plan,
    pub at: BTreeMap<String, (Origin, Watermark)>,
    parked: Mutex<Vec<Key>>,
}

/// Stages and equalises; gives the keys that were refused.
async fn apply(tx: &mut dyn Tx, table: &TablePlan, blocks: &[Block]) -> (Applied, Vec<Key>) {
    tx.stage(table, Feed::Read(blocks)).await.unwrap();
    for lift in [false, true] {
        if lift && !tx.can_lift(table) {
            continue;
        }
        tx.savepoint().await.unwrap();
        let done = if lift {
            tx.lift(table, None).await.unwrap();
            tx.put(table, None).await
        } else {
            tx.equalise(table, None).await
        };
        match done {
            Err(error) if error.kind() == Kind::Data => tx.rollback_to_savepoint().await.unwrap(),
            done => {
                tx.release().await.unwrap();
                return (done.unwrap(), Vec::new());
            }
        }
    }
    let refused = one_by_one(tx, table).await;
    (Applied::default(), tx.staged_keys(table, &refused).await.unwrap())
}

/// Equalises the staged keys one by one; gives the numbers that were refused.
async fn one_by_one(tx: &mut dyn Tx, table: &TablePlan) -> Vec<i64> {
    let mut refused = Vec::new();
    for number in tx.staged(table).await.unwrap() {
        tx.savepoint().await.unwrap();
        match tx.equalise(table, Some(&[number])).await {
            Err(error) if error.kind() == Kind::Data => {
                tx.rollback_to_savepoint().await.unwrap();
                refused.push(number);
            }
            done => {
                done.unwrap();
                tx.release().await.unwrap();
            }
        }
    }
    refused
}

impl Rig {
    /// The same tables on both sides, with capture on the source's.
    pub async fn new(tables: &str) -> Rig {
        Rig::with(tables, tables).await
    }

    /// Tables on either side, with capture on the source's.
    pub async fn with(source: &str, target: &str) -> Rig {
        let mut rig = Rig::bare(source, target, &[]).await;
        rig.install().await;
        rig
    }

    /// Tables on either side, and nothing of highwater.
    pub async fn bare(source: &str, target: &str, exclude: &[&str]) -> Rig {
        let files = Pair::sqlite().await;
        files.source.execute(source).await;
        files.target.execute(target).await;
        Rig::over(files, exclude).await
    }

    /// As [`Rig::new`], the source with a rollback journal.
    pub async fn without_wal(tables: &str) -> Rig {
        let files = Pair::sqlite().await;
        files.execute_on_both(tables).await;
        // The pool would turn WAL on again.
        files.source.sqlite().pool().close().await;
        write(&files, "PRAGMA journal_mode = DELETE").await;
        let mut rig = Rig::over(files, &[]).await;
        rig.install().await;
        rig
    }

    /// As [`Rig::new`] or [`Rig::without_wal`].
    pub async fn by_journal(wal: bool, tables: &str) -> Rig {
        if wal { Rig::new(tables).await } else { Rig::without_wal(tables).await }
    }

    /// Runs statements on the source, whatever its journal.
    pub async fn write(&self, sql: &str) {
        write(&self.files, sql).await;
    }

    /// The rows of a query on the source, whatever its journal.
    pub async fn read(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        rows_as_text(&mut plain(self.files.source.sqlite()).await, sql).await
    }

    /// Over files that have their tables.
    pub async fn over(files: Pair, exclude: &[&str]) -> Rig {
        let (from, to) = (endpoint(files.source.sqlite()), endpoint(files.target.sqlite()));
        let source = engine::source(&from, &options()).await.unwrap();
        let target = engine::target(&to, &options()).await.unwrap();
        let glob = |text: &&str| Glob::parse(text).unwrap();
        let database = DatabaseSettings {
            name: "main".into(),
            source: from,
            target: to,
            include: vec![Glob::any()],
            exclude: exclude.iter().map(glob).collect(),
            tables: Vec::new(),
            checkpoints: Vec::new(),
            upgrade: highwater::settings::UpgradeSettings::default(),
        };
        let (of_source, of_target) = (source.schema().await.unwrap(), target.schema().await.unwrap());
        let plan = plan::make(
            &database,
            &plan::Circumstances {
                mode: SchemaMode::Expect,
                unfinished: HashSet::new(),
                begun: HashSet::new(),
                upgraded: false,
                as_of: String::new(),
            },
            &of_source,
            &of_target,
        );
        assert_eq!(plan.blockers, vec![]);
        Rig { files, source, target, plan, at: BTreeMap::new(), parked: Mutex::default() }
    }

    /// Tables on either side with plans made by hand, with capture on the source's.
    pub async fn ruled(source: &str, target: &str, tables: Vec<TablePlan>) -> Rig {
        let mut rig = Rig::unruled(true, source, target, tables).await;
        rig.install().await;
        rig
    }

    /// As [`Rig::ruled`], without capture.
    pub async fn unruled(wal: bool, source: &str, target: &str, tables: Vec<TablePlan>) -> Rig {
        let files = Pair::sqlite().await;
        files.source.execute(source).await;
        files.target.execute(target).await;
        if !wal {
            files.source.sqlite().pool().close().await;
            write(&files, "PRAGMA journal_mode = DELETE").await;
        }
        let source = engine::source(&endpoint(files.source.sqlite()), &options()).await.unwrap();
        let target = engine::target(&endpoint(files.target.sqlite()), &options()).await.unwrap();
        let plan = Plan {
            database: "main".into(),
            tables,
            excluded: Vec::new(),
            blockers: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            hash: String::new(),
        };
        Rig { files, source, target, plan, at: BTreeMap::new(), parked: Mutex::default() }
    }

    /// The keys that were refused.
    pub fn refused(&self) -> Vec<Key> {
        self.parked.lock().unwrap().clone()
    }

    /// Installs capture, and takes every table's watermark.
    pub async fn install(&mut self) {
        let identity_before = self.source.identity().await.unwrap();
        let generations = self.source.install(&self.plan, &|_| {}).await.unwrap();
        let identity = self.source.identity().await.unwrap();
        assert!(identity_before == identity || identity_before.database.starts_with("file "));
        for (label, generation) in generations {
            let origin =
                Origin { identity: identity.clone(), generation: generation.unwrap(), shape: String::new() };
            let known = self.at.get(&label).is_some_and(|(known, _)| *known == origin);
            if !known {
                let extent = self.source.extent(self.plan.table(&label).unwrap()).await.unwrap();
                self.at.insert(label, (origin, Watermark::at(extent)));
            }
        }
    }

    /// The plan of a table.
    pub fn table(&self, label: &str) -> TablePlan {
        self.plan.table(label).unwrap_or_else(|| panic!("no plan of {label}")).clone()
    }

    /// Where a table stands.
    pub fn watch<'a>(&'a self, table: &'a TablePlan) -> Watch<'a> {
        let (origin, watermark) = &self.at[&table.label()];
        Watch { table, watermark, origin }
    }

    /// Copies a table into the empty target, in chunks of `rows`.
    pub async fn copy(&self, label: &str, rows: u64) -> u64 {
        let table = self.table(label);
        let origin = &self.at[label].0;
        let mut copied = 0;
        for bounds in self.source.chunks(&table, rows).await.unwrap() {
            let layout = if table.rule.loads_directly() { Layout::Plain } else { Layout::Staged };
            let mut stream = self.source.stream(watch(&table, origin), &bounds, layout).await.unwrap();
            let mut tx = self.target.begin().await.unwrap();
            if layout == Layout::Staged {
                copied += tx.stage(&table, Feed::Stream(&mut stream)).await.unwrap().0;
                tx.equalise(&table, None).await.unwrap();
                tx.commit().await.unwrap();
                continue;
            }
            match tx.load(&table, Feed::Stream(&mut stream)).await {
                // Rows in each other's way: whatever is refused is dirty and will be replayed.
                Err(error) if error.kind() == Kind::Data => {
                    drop(tx);
                    let mut stream =
                        self.source.stream(watch(&table, origin), &bounds, Layout::Staged).await.unwrap();
                    let mut tx = self.target.begin().await.unwrap();
                    tx.stage(&table, Feed::Stream(&mut stream)).await.unwrap();
                    one_by_one(tx.as_mut(), &table).await;
                    tx.commit().await.unwrap();
                }
                done => {
                    copied += done.unwrap().0;
                    tx.commit().await.unwrap();
                }
            }
        }
        copied
    }

    /// Copies every table.
    pub async fn copy_all(&self) {
        for table in &self.plan.tables {
            self.copy(&table.label(), 1_000).await;
        }
    }

    /// The next batch of a table.
    pub async fn batch(&self, label: &str, limits: Limits) -> highwater::error::Result<Batch> {
        let table = self.table(label);
        self.source.batch(self.watch(&table), limits).await
    }

    /// Applies what is dirty in a table. Returns what was done.
    pub async fn drain(&mut self, label: &str) -> Applied {
        self.drain_by(label, LIMITS).await
    }

    /// Applies what is dirty in a table, in batches of that size.
    pub async fn drain_by(&mut self, label: &str, limits: Limits) -> Applied {
        let table = self.table(label);
        let mut applied = Applied::default();
        loop {
            let batch = self.batch(label, limits).await.unwrap();
            assert!(batch.states.read_at.covers(&batch.from) && batch.states.read_at.covers(&batch.to));
            if batch.entries > 0 {
                applied.add(&self.apply(&table, &batch).await);
            }
            self.at.get_mut(label).unwrap().1 = batch.to;
            if !batch.more {
                return applied;
            }
        }
    }

    /// Applies what is dirty in every table.
    pub async fn drain_all(&mut self) {
        for table in self.plan.tables.clone() {
            self.drain(&table.label()).await;
        }
    }

    async fn apply(&self, table: &TablePlan, batch: &Batch) -> Applied {
        let mut tx = self.target.begin().await.unwrap();
        let applied = if table.strategy == Strategy::Whole {
            let origin = &self.at[&table.label()].0;
            let bounds = highwater::model::Bounds::all();
            let mut rows = self.source.stream(watch(table, origin), &bounds, Layout::Plain).await.unwrap();
            tx.replace(table, Feed::Stream(&mut rows)).await.unwrap()
        } else {
            let (applied, refused) = apply(tx.as_mut(), table, &batch.states.blocks).await;
            self.parked.lock().unwrap().extend(refused);
            applied
        };
        tx.commit().await.unwrap();
        applied
    }

    /// Tries all refused keys of a table together.
    pub async fn retry(&self, label: &str) {
        let keys: Vec<Key> = std::mem::take(&mut *self.parked.lock().unwrap());
        let table = self.table(label);
        let states = self.source.states(watch(&table, &self.at[label].0), &keys).await.unwrap();
        let mut tx = self.target.begin().await.unwrap();
        let (_, refused) = apply(tx.as_mut(), &table, &states.blocks).await;
        assert_eq!(refused, Vec::<Key>::new());
        tx.commit().await.unwrap();
    }

    /// Panics unless both sides hold the same rows in that table: class and bytes of each value.
    pub async fn assert_same(&self, label: &str) {
        let table = self.table(label);
        let row = |name: &dyn Fn(&highwater::model::ColumnPair) -> String| {
            let columns = table.columns.iter().map(|c| {
                let c = format!("\"{}\"", name(c).replace('"', "\"\""));
                format!(
                    "typeof({c}) || ':' || CASE WHEN typeof({c}) IN ('text', 'blob') THEN hex({c}) \
                    ELSE quote({c}) END"
                )
            });
            columns.collect::<Vec<_>>().join(", ")
        };
        let select = |columns: String, name: String| {
            format!(
                "SELECT {columns} FROM {name} ORDER BY {}",
                (1..=table.columns.len()).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")
            )
        };
        let here = self.read(&select(row(&|c| c.source.clone()), table.source.sql())).await;
        let there =
            self.files.target.rows_as_text(&select(row(&|c| c.target.clone()), table.target.sql())).await;
        if here != there {
            let here: Vec<_> = here.iter().filter(|r| !there.contains(r)).take(5).collect();
            panic!("{label} differs; on the source only: {here:?}");
        }
    }

    /// Panics unless all tables are the same.
    pub async fn assert_all_same(&self) {
        for table in &self.plan.tables {
            self.assert_same(&table.label()).await;
        }
    }

    /// Keys in a table's change log, kind before: `I 1`, `D 2`.
    pub async fn logged(&self, label: &str) -> Vec<String> {
        let keys: String =
            (1..=self.table(label).key.len()).map(|n| format!(" || ' ' || quote(k{n})")).collect();
        let log = format!("\"highwater_capture_log_{label}\"");
        let rows = self.files.source.rows_as_text(&format!("SELECT kind{keys} FROM {log} ORDER BY id")).await;
        rows.into_iter().flatten().flatten().collect()
    }

    /// What is wrong with the capture of a table.
    pub async fn fault(&self, label: &str) -> Option<engine::Fault> {
        let verdicts = self.source.inspect(&self.plan).await.unwrap();
        verdicts.into_iter().find(|v| v.label == label).and_then(|v| v.fault)
    }
}
