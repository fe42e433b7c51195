//! PostgreSQL as a source, by itself: what each write logs, what a batch gives, what is noticed.

mod capture;
mod definitions;
mod fence;
mod fence_load;
mod fence_paths;
mod guards;
mod hostile;
mod pinned;
mod read;
mod rules;
mod settings;
mod subscriber;
mod survey;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use highwater::engine::{self, Fault, Limits, Options, Origin, Source, Verdict, Watch};
use highwater::model::{
    Batch, Block, ColumnPair, Form, Generation, Plan, States, Strategy, TableKind, TablePlan, Watermark,
};
use highwater::settings::Endpoint;
use highwater::throttle::Throttle;

use super::support::{Database, Server};

/// A source with capture on all its tables.
pub struct Case {
    pub database: Database,
    pub source: Arc<dyn Source>,
    pub plan: Plan,
    role: String,
}

/// Plenty.
pub const LIMITS: Limits = Limits { rows: 10_000, bytes: 64 << 20 };

impl Case {
    /// A database made by `sql`, seen by its superuser, without capture.
    pub async fn bare(sql: &str) -> Case {
        let database = Server::shared().database().await;
        database.execute(sql).await;
        Case::on(database, "postgres").await
    }

    /// The same with capture installed.
    pub async fn new(sql: &str) -> Case {
        let case = Case::bare(sql).await;
        case.install().await;
        case
    }

    /// A database that stands, seen by `role`.
    pub async fn on(database: Database, role: &str) -> Case {
        let source = connect(&database.url_as(role)).await;
        let plan = plan(source.as_ref()).await;
        Case { database, source, plan, role: role.to_owned() }
    }

    /// The same database with its tables read anew.
    pub async fn again(&self) -> Case {
        Case::on(self.database.clone(), &self.role).await
    }

    pub async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    /// Installs; answers the generation of each table.
    /// The number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.database.rows_as_text(sql).await;
        rows[0][0].as_ref().unwrap().parse().unwrap()
    }

    pub async fn install(&self) -> BTreeMap<String, String> {
        let done = self.source.install(&self.plan, &|_| {}).await.unwrap();
        done.into_iter().map(|(label, done)| (label, done.unwrap())).collect()
    }

    pub fn table(&self, label: &str) -> &TablePlan {
        self.plan.table(label).unwrap()
    }

    /// What is wrong with a table.
    pub async fn verdict(&self, label: &str) -> Verdict {
        let verdicts = self.source.inspect(&self.plan).await.unwrap();
        verdicts.into_iter().find(|v| v.label == label).unwrap()
    }

    pub async fn sound(&self, label: &str) {
        assert_eq!(self.verdict(label).await.fault, None);
    }

    /// That the fault can be mended, and its text.
    pub async fn mendable(&self, label: &str) -> String {
        match self.verdict(label).await.fault {
            Some(Fault::Mend(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    /// That the table has to stop, and why.
    pub async fn stopped(&self, label: &str) -> String {
        match self.verdict(label).await.fault {
            Some(Fault::Stop { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    pub async fn origin(&self, label: &str) -> Origin {
        let generation = self.verdict(label).await.generation.unwrap();
        Origin { identity: self.source.identity().await.unwrap(), generation, shape: String::new() }
    }

    /// A reader of a table's log that begins now.
    pub async fn reader(&self, label: &str) -> Reader<'_> {
        let origin = self.origin(label).await;
        let extent = self.source.extent(self.table(label)).await.unwrap();
        Reader { case: self, label: label.to_owned(), origin, watermark: Watermark::at(extent) }
    }

    /// The kinds and keys of a table's log in order.
    pub async fn log(&self, label: &str) -> Vec<String> {
        let table = self.table(label);
        let keys: Vec<String> = (1..=table.key.len()).map(|n| format!(", k{n}::text")).collect();
        let name = format!("{}.{}", table.source.schema.as_deref().unwrap(), table.source.name);
        let sql = format!(
            "SELECT concat_ws(' ', kind{}) FROM highwater_capture.\"{name}\" ORDER BY id",
            keys.concat()
        );
        self.database.rows_as_text(&sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
    }

    pub async fn clear(&self, label: &str) {
        let table = self.table(label);
        let name = format!("{}.{}", table.source.schema.as_deref().unwrap(), table.source.name);
        self.execute(&format!("DELETE FROM highwater_capture.\"{name}\"")).await;
    }
}

/// Reads a table's log as replay does, moving its watermark along.
pub struct Reader<'a> {
    pub case: &'a Case,
    pub label: String,
    pub origin: Origin,
    pub watermark: Watermark,
}

impl Reader<'_> {
    pub fn watch(&self) -> Watch<'_> {
        Watch { table: self.case.table(&self.label), watermark: &self.watermark, origin: &self.origin }
    }

    pub async fn batch(&mut self, limits: Limits) -> Batch {
        let batch = self.case.source.batch(self.watch(), limits).await.unwrap();
        assert_eq!(batch.from, self.watermark);
        assert!(batch.states.read_at.covers(&batch.to), "states older than the watermark");
        self.watermark = batch.to.clone();
        batch
    }

    /// The rows of the next batch: what stands behind position and number.
    pub async fn next(&mut self) -> Vec<String> {
        rows(&self.batch(LIMITS).await.states)
    }

    pub async fn dirty(&self) -> bool {
        self.case.source.poll(&[self.watch()]).await.unwrap()[0]
    }
}

/// The rows of text states without their position: presence, key, columns.
pub fn rows(states: &States) -> Vec<String> {
    let text: Vec<u8> = states.blocks.iter().flat_map(copied).collect();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(|line| line.splitn(3, '\t').nth(2).unwrap().replace('\t', " ")).collect()
}

pub fn copied(block: &Block) -> Vec<u8> {
    match block {
        Block::Copy(bytes) => bytes.to_vec(),
        Block::End { .. } => Vec::new(),
        Block::Values(_) => panic!("decoded rows"),
    }
}

pub fn options() -> Options {
    Options {
        migration: "main".to_owned(),
        lock_timeout: Duration::from_millis(200),
        connections: 6,
        throttle: Arc::new(Throttle::new(0)),
    }
}

pub async fn connect(url: &str) -> Arc<dyn Source> {
    engine::source(&Endpoint::from_url(url).unwrap(), &options()).await.unwrap()
}

/// A plan that carries every ordinary and partitioned table as it is, in text.
pub async fn plan(source: &dyn Source) -> Plan {
    let schema = source.schema().await.unwrap();
    let carried = |kind| matches!(kind, TableKind::Ordinary | TableKind::Partitioned);
    let (tables, others): (Vec<_>, Vec<_>) = schema.tables.iter().partition(|t| carried(t.kind));
    let tables = tables
        .into_iter()
        .map(|t| TablePlan {
            source: t.name.clone(),
            target: t.name.clone(),
            target_id: t.id.clone(),
            key: t.key().to_vec(),
            columns: t
                .columns
                .iter()
                .filter(|c| c.generation != Generation::Computed)
                .map(|c| ColumnPair::plain(&c.name, &c.type_name, &c.name, &c.type_name))
                .collect(),
            rule: highwater::model::Rule::default(),
            dependants: Vec::new(),
            looks_up: Vec::new(),
            strategy: if t.key().is_empty() { Strategy::Whole } else { Strategy::Keyed },
            form: Form::CopyText,
            partitioned: t.kind == TableKind::Partitioned,
            create: false,
            rows: t.rows,
            bytes: t.bytes,
        })
        .collect();
    Plan {
        database: "test".to_owned(),
        tables,
        excluded: others.into_iter().map(|t| t.name.clone()).collect(),
        blockers: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        hash: "0".repeat(16),
    }
}
