//! A source and a target with the target's steps called by hand.

use std::sync::Arc;
use std::time::Duration;

use highwater::engine::{self, Feed, Options, Target, Tx};
use highwater::error::Kind as Fault;
use highwater::model::{Applied, Block, ColumnPair, Form, Strategy, TableName, TablePlan, Value};
use highwater::settings::Endpoint;
use highwater::throttle::Throttle;
use sqlx::{AssertSqlSafe, Row};

use crate::support::{Kind as MysqlKind, MysqlServer, Pair};

pub const BOTH: [MysqlKind; 2] = [MysqlKind::Mariadb, MysqlKind::Mysql];

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

/// A column as its catalogue has it.
struct Column {
    name: String,
    kind: String,
    key: bool,
}

impl Side {
    /// Both made by the same statements.
    pub async fn both(kind: MysqlKind, ddl: &str) -> Side {
        Side::of(kind, ddl, ddl).await
    }

    /// Each made by its own statements.
    pub async fn of(kind: MysqlKind, source: &str, target: &str) -> Side {
        let server = MysqlServer::shared(kind);
        Side::across(server, source, server, target).await
    }

    /// On those servers.
    pub async fn across(from: &MysqlServer, source: &str, to: &MysqlServer, target: &str) -> Side {
        let pair = Pair::mysql_on(from, to).await;
        lax(&pair.source, source).await;
        lax(&pair.target, target).await;
        let target = connect(&pair.target.url()).await;
        Side { pair, target }
    }

    /// Runs statements on the source, in a session as lax as an old application's.
    pub async fn source(&self, sql: &str) {
        lax(&self.pair.source, sql).await;
    }

    /// The same on the target.
    pub async fn target(&self, sql: &str) {
        lax(&self.pair.target, sql).await;
    }

    /// The plan of a table of the same name on both sides.
    pub async fn plan(&self, name: &str) -> TablePlan {
        let columns = columns(&self.pair.source, name).await;
        let there = super::side::columns(&self.pair.target, name).await;
        let key: Vec<String> = columns.iter().filter(|c| c.key).map(|c| c.name.clone()).collect();
        let pair = |column: &Column| {
            let there = there.iter().find(|c| c.name == column.name)?;
            Some(ColumnPair::plain(&column.name, &column.kind, &there.name, &there.kind))
        };
        TablePlan {
            source: TableName::bare(name),
            target: TableName::bare(name),
            columns: columns.iter().filter_map(pair).collect(),
            target_id: String::new(),
            rule: highwater::model::Rule::default(),
            dependants: Vec::new(),
            looks_up: Vec::new(),
            strategy: if key.is_empty() { Strategy::Whole } else { Strategy::Keyed },
            key,
            form: Form::Values,
            partitioned: false,
            create: false,
            rows: 0,
            bytes: 0,
        }
    }

    /// The states of the keys that `keys` (a query on the source) gives, in the stage's layout.
    pub async fn states(&self, plan: &TablePlan, keys: &str) -> Vec<Block> {
        let key: Vec<&ColumnPair> = plan.key_columns().collect();
        let order: Vec<String> = key.iter().map(|c| format!("d.`{}`", c.source)).collect();
        let on: Vec<String> = key.iter().map(|c| format!("d.`{0}` = t.`{0}`", c.source)).collect();
        let mut selected = vec![
            format!("ROW_NUMBER() OVER (ORDER BY {})", order.join(", ")),
            format!("t.`{}` IS NOT NULL", key[0].source),
        ];
        selected.extend(key.iter().map(|c| travelling(c, "d").0));
        selected.extend(plan.columns.iter().map(|c| travelling(c, "t").0));
        let mut carried = vec![Travels::Number, Travels::Number];
        carried
            .extend(key.iter().chain(&plan.columns.iter().collect::<Vec<_>>()).map(|c| travelling(c, "").1));
        let query = format!(
            "SELECT {} FROM ({keys}) d LEFT JOIN `{}` t ON {}",
            selected.join(", "),
            plan.source.name,
            on.join(" AND ")
        );
        self.read(&query, &carried).await
    }

    /// All rows, in the plain layout.
    pub async fn rows(&self, plan: &TablePlan) -> Vec<Block> {
        let (selected, carried): (Vec<String>, Vec<Travels>) =
            plan.columns.iter().map(|c| travelling(c, "t")).unzip();
        self.read(&format!("SELECT {} FROM `{}` t", selected.join(", "), plan.source.name), &carried).await
    }

    /// All keys.
    pub async fn keys(&self, plan: &TablePlan) -> Vec<Block> {
        let (selected, carried): (Vec<String>, Vec<Travels>) =
            plan.key_columns().map(|c| travelling(c, "t")).unzip();
        self.read(&format!("SELECT {} FROM `{}` t", selected.join(", "), plan.source.name), &carried).await
    }

    /// What a query on the source gives, as blocks; and in which form each column travels.
    pub async fn read(&self, query: &str, forms: &[Travels]) -> Vec<Block> {
        let mut connection = self.pair.source.mysql().connect().await;
        let session = concat!(
            include_str!("../../sql/mysql/session.sql"),
            include_str!("../../sql/mysql/session_source.sql")
        );
        sqlx::raw_sql(session).execute(&mut connection).await.unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(query)).fetch_all(&mut connection).await;
        let rows = rows.unwrap_or_else(|e| panic!("{query}\n{e}"));
        let value = |row: &sqlx::mysql::MySqlRow, i: usize| {
            let bytes: Option<Vec<u8>> = row.try_get_unchecked(i).unwrap();
            let Some(bytes) = bytes else { return Value::Null };
            match forms[i] {
                Travels::Text => Value::Text(bytes),
                Travels::Bytes => Value::Blob(bytes),
                Travels::Number => Value::Integer(String::from_utf8(bytes).unwrap().parse().unwrap()),
            }
        };
        let rows: Vec<Vec<Value>> =
            rows.iter().map(|row| (0..row.len()).map(|i| value(row, i)).collect()).collect();
        let end = Block::End { rows: rows.len() as u64, bytes: rows.len() as u64 };
        let mut blocks: Vec<Block> = rows.chunks(100).map(|some| Block::Values(some.to_vec())).collect();
        blocks.push(end);
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

    /// Makes a keyless table hold the source's rows.
    pub async fn replace(&self, plan: &TablePlan) -> Applied {
        let blocks = self.rows(plan).await;
        let mut tx = self.target.begin().await.unwrap();
        let applied = tx.replace(plan, Feed::Read(&blocks)).await.unwrap();
        tx.commit().await.unwrap();
        applied
    }

    /// A value on the target.
    pub async fn value(&self, sql: &str) -> String {
        self.pair.target.value(sql).await
    }
}

/// A connection of its own: those of the pool keep what is set.
async fn lax(db: &crate::support::Db, sql: &str) {
    let mut connection = db.connect().await;
    connection.execute("SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'").await;
    connection.execute(sql).await;
}

/// In which form a value travels.
#[derive(Clone, Copy)]
pub enum Travels {
    Text,
    Bytes,
    Number,
}

/// How a column is read so that its value travels exactly, and in which form.
fn travelling(pair: &ColumnPair, row: &str) -> (String, Travels) {
    let (column, from, to) = (format!("{row}.`{}`", pair.source), &pair.source_type, &pair.target_type);
    let set =
        |kind: &str| kind.split(" CHARACTER SET ").nth(1).and_then(|s| s.split(' ').next()).map(String::from);
    let is = |words: &[&str]| words.iter().any(|w| from.starts_with(w));
    match set(from) {
        Some(_) if from == to && from.starts_with("enum") => (format!("{column}+0"), Travels::Number),
        // Keys go by label.
        Some(_) if from == to && from.starts_with("set") && row == "t" => {
            (format!("CAST({column} AS UNSIGNED)"), Travels::Bytes)
        }
        Some(one) if set(to).is_none_or(|other| other == one) && !to.starts_with("json") => {
            (column, Travels::Bytes)
        }
        Some(_) => (format!("CONVERT({column} USING utf8mb4)"), Travels::Text),
        None if is(&["vector"]) => (format!("CAST({column} AS BINARY)"), Travels::Bytes),
        None if is(&["float"]) => (format!("CAST({column} AS DOUBLE)"), Travels::Text),
        None => {
            let bytes = [
                "bit",
                "binary",
                "varbinary",
                "blob",
                "tinyblob",
                "mediumblob",
                "longblob",
                "geometry",
                "point",
                "vector",
            ];
            (column, if is(&bytes) { Travels::Bytes } else { Travels::Text })
        }
    }
}

async fn columns(db: &crate::support::Db, table: &str) -> Vec<Column> {
    let rows = db
        .rows_as_text(&format!(
            "SELECT column_name, concat(column_type,
                 coalesce(concat(' CHARACTER SET ', character_set_name, ' COLLATE ', collation_name), '')),
                 column_key = 'PRI'
             FROM information_schema.columns WHERE table_schema = database() AND table_name = '{table}'
                 AND extra NOT LIKE '% GENERATED%' AND extra NOT LIKE '%INVISIBLE%' ORDER BY ordinal_position"
        ))
        .await;
    let text = |row: &Vec<Option<String>>, i: usize| row[i].clone().unwrap();
    let column = |row: &Vec<Option<String>>| Column {
        name: text(row, 0),
        kind: text(row, 1),
        key: text(row, 2) == "1",
    };
    rows.iter().map(column).collect()
}

/// What a step did.
pub fn did(inserted: u64, updated: u64, deleted: u64) -> Applied {
    Applied { inserted, updated, deleted, parked: 0 }
}

/// Tries to make the numbers equal; why they are refused.
pub async fn refused(tx: &mut dyn Tx, plan: &TablePlan, numbers: Option<&[i64]>) -> Option<String> {
    tx.savepoint().await.unwrap();
    match tx.equalise(plan, numbers).await {
        Ok(_) => {
            tx.release().await.unwrap();
            None
        }
        Err(error) => {
            assert_eq!(error.kind(), Fault::Data, "{error}");
            tx.rollback_to_savepoint().await.unwrap();
            Some(error.summary())
        }
    }
}
