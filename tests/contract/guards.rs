//! docs/how-it-works.md, "only newer states are applied", "a watermark moves on from where it was read",
//! "the epoch is held, not glanced at", "a chunk is done once": what comes too late is refused, whoever
//! sends it.

use std::sync::Arc;

use highwater::apply;
use highwater::engine::{Feed, Limits, Stamp, Watch};
use highwater::error::{Kind, Result};
use highwater::ledger::{Act, Actor, Step, TableEntry};
use highwater::model::{Applied, Batch, Bounds, Layout, States, TablePlan};
use highwater::pair::{self, Pair as Working};
use highwater::settings::{DatabaseSettings, Endpoint, Glob, Settings};
use highwater::status::{Board, DatabaseStatus, Role};

use super::shop;
use crate::support::{Engine, Pair};

contract!(
    a_batch_that_was_overtaken_is_refused,
    a_retry_that_was_overtaken_is_refused,
    a_batch_of_another_epoch_is_refused,
    a_chunk_that_is_done_is_refused,
    a_batch_of_another_log_is_refused,
);

const LIMITS: Limits = Limits { rows: 1_000, bytes: 1 << 20 };

/// The shop after its copy, at work in this process.
pub(super) struct Bench {
    pub(super) pair: Pair,
    pub(super) working: Working,
    pub(super) table: TablePlan,
    pub(super) entry: TableEntry,
}

/// The settings of one database, named `main`.
pub(super) fn database(pair: &Pair) -> DatabaseSettings {
    DatabaseSettings {
        name: "main".to_owned(),
        source: Endpoint::from_url(&pair.source.url()).unwrap(),
        target: Endpoint::from_url(&pair.target.url()).unwrap(),
        include: vec![Glob::any()],
        exclude: Vec::new(),
        tables: Vec::new(),
        checkpoints: Vec::new(),
        upgrade: highwater::settings::UpgradeSettings::default(),
    }
}

pub(super) async fn bench(engine: Engine) -> Bench {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let database = database(&pair);
    let settings = Arc::new(Settings::with_databases(vec![database.clone()]));
    let sides = pair::connect(&database, &settings).await.unwrap();
    let board = Board::new(DatabaseStatus::unknown("main", &"", &"", Role::Active));
    let actor = Actor::here("test", "none");
    let (working, _) = pair::prepare(&sides, &database, &settings, &actor, &board).await.unwrap();
    let table = working.plan.table("parents").unwrap().clone();
    let entry = working.ledger.table("parents").await.unwrap().unwrap();
    Bench { pair, working, table, entry }
}

impl Bench {
    /// The number of the last attempt.
    pub(super) async fn entry_stamp(&self) -> Stamp {
        self.working.ledger.read().await.unwrap().attempt.stamp
    }

    pub(super) async fn note(&self, note: &str) {
        self.pair.source.execute(&format!("UPDATE parents SET note = '{note}' WHERE id = 1")).await;
    }

    pub(super) async fn noted(&self) -> String {
        self.pair.target.value("SELECT note FROM parents WHERE id = 1").await
    }

    fn watch(&self) -> Watch<'_> {
        let watermark = self.entry.watermark.as_ref().unwrap();
        Watch { table: &self.table, watermark, origin: self.entry.origin.as_ref().unwrap() }
    }

    pub(super) async fn batch(&self) -> Batch {
        self.working.sides.source.batch(self.watch(), LIMITS).await.unwrap()
    }

    fn act<'a>(&'a self, states: &'a States, step: Step<'a>) -> Act<'a> {
        Act {
            database: "main",
            epoch: self.working.epoch,
            table: &self.table,
            origin: self.entry.origin.as_ref().unwrap(),
            read_at: &states.read_at,
            source: self.working.sides.source.as_ref(),
            hold: None,
            step,
        }
    }

    async fn apply(&self, act: &Act<'_>, states: &States) -> Result<Applied> {
        apply::states(self.working.sides.target.as_ref(), act, Feed::Read(&states.blocks), None).await
    }

    pub(super) async fn apply_batch(&self, batch: &Batch) -> Result<Applied> {
        let step = Step::Batch { from: &batch.from, to: &batch.to };
        self.apply(&self.act(&batch.states, step), &batch.states).await
    }
}

pub(super) fn assert_superseded(outcome: Result<Applied>) {
    assert_eq!(outcome.map_err(|e| e.kind()), Err(Kind::Superseded));
}

async fn a_batch_that_was_overtaken_is_refused(engine: Engine) {
    let bench = bench(engine).await;
    bench.note("old").await;
    let late = bench.batch().await;
    bench.note("new").await;
    let batch = bench.batch().await;
    bench.apply_batch(&batch).await.unwrap();
    assert_superseded(bench.apply_batch(&late).await);
    assert_superseded(bench.apply_batch(&batch).await);
    assert_eq!(bench.noted().await, "new");
}

async fn a_retry_that_was_overtaken_is_refused(engine: Engine) {
    let bench = bench(engine).await;
    bench.note("old").await;
    let source = &bench.working.sides.source;
    let late = source.states(bench.watch(), &[vec!["1".to_owned()]]).await.unwrap();
    bench.note("new").await;
    bench.apply_batch(&bench.batch().await).await.unwrap();
    assert_superseded(bench.apply(&bench.act(&late, Step::Again), &late).await);
    assert_eq!(bench.noted().await, "new");
}

async fn a_batch_of_another_epoch_is_refused(engine: Engine) {
    let bench = bench(engine).await;
    bench.note("old").await;
    let batch = bench.batch().await;
    let epochs = engine.pick("highwater_ledger.epochs", "highwater_ledger_epochs", "highwater_ledger_epochs");
    bench.pair.target.execute(&format!("UPDATE {epochs} SET epoch = epoch + 1")).await;
    assert_superseded(bench.apply_batch(&batch).await);
    assert_eq!(bench.noted().await, "NULL");
}

async fn a_chunk_that_is_done_is_refused(engine: Engine) {
    let bench = bench(engine).await;
    let source = &bench.working.sides.source;
    let rows = source.stream(bench.watch(), &Bounds::all(), Layout::Plain).await.unwrap();
    let extent = rows.extent.clone();
    let states = States { read_at: extent, blocks: Vec::new() };
    let act = bench.act(&states, Step::Chunk(0));
    let tables = engine.pick("highwater_ledger.tables", "highwater_ledger_tables", "highwater_ledger_tables");
    bench.pair.target.execute(&format!("UPDATE {tables} SET state = 'copying'; DELETE FROM parents")).await;
    let target = bench.working.sides.target.as_ref();
    let outcome = apply::load(target, &act, rows).await.map(|_| Applied::default());
    assert_superseded(outcome);
    assert_eq!(bench.pair.target.value("SELECT count(*) FROM parents").await, "0");
}

async fn a_batch_of_another_log_is_refused(engine: Engine) {
    let mut bench = bench(engine).await;
    bench.note("old").await;
    let batch = bench.batch().await;
    bench.entry.origin.as_mut().unwrap().generation = "another".to_owned();
    assert_superseded(bench.apply_batch(&batch).await);
    assert_eq!(bench.noted().await, "NULL");
}
