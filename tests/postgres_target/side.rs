//! A source and a target with the target's steps called by hand.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use highwater::engine::{self, Feed, Options, Target, Tx};
use highwater::model::{
    Applied, Block, ColumnPair, Form, Generation, Strategy, TableKind, TableName, TablePlan,
};
use highwater::settings::Endpoint;
use highwater::throttle::Throttle;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::{Database, Pair};

/// What an engine needs of the settings.
pub fn options(migration: &str) -> Options {
    Options {
        migration: migration.to_owned(),
        lock_timeout: Duration::from_millis(200),
        connections: 4,
        throttle: Arc::new(Throttle::new(0)),
    }
}

/// Connects to a database as a target.
pub async fn connect(url: &str) -> Arc<dyn Target> {
    engine::target(&Endpoint::from_url(url).unwrap(), &options("main")).await.unwrap()
}

/// A source and a target.
pub struct Side {
    pub pair: Pair,
    pub target: Arc<dyn Target>,
}

impl Side {
    /// Both made by the same statements.
    pub async fn both(ddl: &str) -> Side {
        Side::of(ddl, ddl).await
    }

    /// Each made by its own statements.
    pub async fn of(source: &str, target: &str) -> Side {
        let pair = Pair::postgres().await;
        pair.source.execute(source).await;
        pair.target.execute(target).await;
        let target = connect(&pair.target.url()).await;
        Side { pair, target }
    }

    pub fn source(&self) -> &Database {
        self.pair.source.postgres()
    }

    /// The plan of a table of the same name on both sides.
    pub async fn plan(&self, name: &str, form: Form) -> TablePlan {
        let name = TableName::new("public", name);
        let source = connect(&self.pair.source.url()).await.schema().await.unwrap();
        let target = self.target.schema().await.unwrap();
        let (source, target) = (source.table(&name).unwrap(), target.table(&name).unwrap());
        let columns = source.columns.iter().filter_map(|column| {
            let there = target.column(&column.name)?;
            (column.generation != Generation::Computed && there.generation != Generation::Computed)
                .then(|| ColumnPair::plain(&column.name, &column.type_name, &there.name, &there.type_name))
        });
        TablePlan {
            source: name.clone(),
            target: name,
            key: source.key().to_vec(),
            columns: columns.collect(),
            target_id: target.id.clone(),
            rule: highwater::model::Rule::default(),
            dependants: Vec::new(),
            looks_up: Vec::new(),
            strategy: if source.key().is_empty() { Strategy::Whole } else { Strategy::Keyed },
            form,
            partitioned: source.kind == TableKind::Partitioned,
            create: false,
            rows: 0,
            bytes: 0,
        }
    }

    /// The states of the keys that `keys` (a query on the source) gives, in the stage's layout.
    pub async fn states(&self, plan: &TablePlan, keys: &str) -> Vec<Block> {
        let quoted = |name: &String| format!("\"{name}\"");
        let key: Vec<String> = plan.key.iter().map(quoted).collect();
        let same: Vec<String> = key.iter().map(|k| format!("d.{k} = t.{k}")).collect();
        let d: Vec<String> = key.iter().map(|k| format!("d.{k}")).collect();
        let t: Vec<String> = plan.columns.iter().map(|c| format!("t.{}", quoted(&c.source))).collect();
        self.copy(
            plan,
            &format!(
                "SELECT 7::bigint, row_number() OVER ()::bigint, t.tableoid IS NOT NULL, {}, {} \
                 FROM ({keys}) d LEFT JOIN {} t ON {}",
                d.join(", "),
                t.join(", "),
                own_rows(plan),
                same.join(" AND ")
            ),
        )
        .await
    }

    /// All rows, in the plain layout.
    pub async fn rows(&self, plan: &TablePlan) -> Vec<Block> {
        let columns: Vec<String> = plan.columns.iter().map(|c| format!("\"{}\"", c.source)).collect();
        self.copy(plan, &format!("SELECT {} FROM {}", columns.join(", "), own_rows(plan))).await
    }

    /// What a query on the source gives, as blocks.
    pub async fn copy(&self, plan: &TablePlan, query: &str) -> Vec<Block> {
        let mut connection: PgConnection = self.source().connect().await;
        sqlx::raw_sql(include_str!("../../sql/postgres/session.sql")).execute(&mut connection).await.unwrap();
        sqlx::raw_sql("SET search_path = public").execute(&mut connection).await.unwrap();
        let form = if plan.form == Form::CopyBinary { "binary" } else { "text" };
        let sql = format!("COPY ({query}) TO STDOUT (FORMAT {form})");
        let pieces: Vec<bytes::Bytes> =
            connection.copy_out_raw(&sql).await.unwrap().try_collect().await.unwrap();
        let bytes = pieces.iter().map(|p| p.len() as u64).sum();
        let counted = format!("SELECT count(*) FROM ({query}) q");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(counted)).fetch_one(&mut connection).await.unwrap();
        let rows = rows.unsigned_abs();
        let mut blocks: Vec<Block> = pieces.into_iter().map(Block::Copy).collect();
        blocks.push(Block::End { rows, bytes });
        blocks
    }

    /// A transaction in which the states of the keys are staged.
    pub async fn staged(&self, plan: &TablePlan, keys: &str) -> Box<dyn Tx> {
        let blocks = self.states(plan, keys).await;
        let mut tx = self.target.begin().await.unwrap();
        tx.stage(plan, Feed::Read(&blocks)).await.unwrap();
        tx
    }

    /// Makes the keys equal, in one committed transaction.
    pub async fn equalise(&self, plan: &TablePlan, keys: &str) -> Applied {
        let mut tx = self.staged(plan, keys).await;
        let applied = tx.equalise(plan, None).await.unwrap();
        tx.commit().await.unwrap();
        applied
    }

    /// Loads all rows, in one committed transaction.
    pub async fn load(&self, plan: &TablePlan) -> u64 {
        let blocks = self.rows(plan).await;
        let mut tx = self.target.begin().await.unwrap();
        let (rows, _) = tx.load(plan, Feed::Read(&blocks)).await.unwrap();
        tx.commit().await.unwrap();
        rows
    }
}

fn own_rows(plan: &TablePlan) -> String {
    let only = if plan.partitioned { "" } else { "ONLY " };
    format!("{only}{}", plan.source.sql())
}

/// What a step did.
pub fn did(inserted: u64, updated: u64, deleted: u64) -> Applied {
    Applied { inserted, updated, deleted, parked: 0 }
}
