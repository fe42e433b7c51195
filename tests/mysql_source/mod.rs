//! MariaDB and MySQL as a source, by themselves: what each write logs, what is noticed, how the fence holds.

mod capture;
mod cascades;
mod fence;
mod fence_load;
mod fence_writers;
mod inspect;
mod install;
mod pinned;
mod positions;
mod rules;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use highwater::engine::{self, Fault, Options, Source, Verdict};
use highwater::model::{ColumnPair, Form, Generation, Plan, Strategy, TableName, TablePlan};
use highwater::settings::Endpoint;
use highwater::throttle::Throttle;
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::support::{Kind, MysqlDatabase, MysqlServer, mysql_execute, mysql_rows_as_text};

/// A source with capture on all its tables.
pub struct Case {
    pub database: MysqlDatabase,
    pub source: Arc<dyn Source>,
    pub plan: Plan,
    user: String,
}

impl Case {
    /// A database made by `sql`, seen by root, without capture.
    pub async fn bare(kind: Kind, sql: &str) -> Case {
        let database = MysqlServer::shared(kind).database().await;
        database.execute(sql).await;
        Case::on(database, "root", &[]).await
    }

    /// The same with capture installed.
    pub async fn new(kind: Kind, sql: &str) -> Case {
        let case = Case::bare(kind, sql).await;
        case.install().await;
        case
    }

    /// A database that stands, seen by `user`; `excluded` are not carried.
    pub async fn on(database: MysqlDatabase, user: &str, excluded: &[&str]) -> Case {
        let source = connect(&database.url_as(user)).await;
        let plan = plan(source.as_ref(), excluded).await;
        Case { database, source, plan, user: user.to_owned() }
    }

    /// The same database with its tables read anew.
    pub async fn again(&self, excluded: &[&str]) -> Case {
        Case::on(self.database.clone(), &self.user, excluded).await
    }

    pub async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    /// The error number of a statement that must fail, and its text.
    pub async fn refused(&self, sql: &str) -> String {
        refused(&mut self.database.connect().await, sql).await
    }

    /// Installs; answers the generation of each table.
    pub async fn install(&self) -> BTreeMap<String, String> {
        let done = self.source.install(&self.plan, &|_| {}).await.unwrap();
        done.into_iter().map(|(label, done)| (label, done.unwrap())).collect()
    }

    /// What is wrong with a table.
    pub async fn verdict(&self, label: &str) -> Verdict {
        let verdicts = self.source.inspect(&self.plan).await.unwrap();
        verdicts.into_iter().find(|v| v.label == label).unwrap()
    }

    pub async fn sound(&self, label: &str) {
        assert_eq!(self.verdict(label).await.fault, None);
    }

    /// That nothing is wrong with anything.
    pub async fn all_sound(&self) {
        for verdict in self.source.inspect(&self.plan).await.unwrap() {
            assert_eq!(verdict.fault, None, "{}", verdict.label);
        }
    }

    /// Executes while a trigger is dropped, which is made again as it was.
    pub async fn without_trigger(&self, name: &str, sql: &str) {
        let mut session = self.database.connect().await;
        mysql_execute(&mut session, "SET SESSION sql_mode = ''").await;
        let made = mysql_rows_as_text(&mut session, &format!("SHOW CREATE TRIGGER {name}")).await;
        let made = made[0][2].as_deref().expect("its text");
        mysql_execute(&mut session, &format!("DROP TRIGGER {name}; {sql}; {made}")).await;
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

    /// The kinds and keys of a table's log in order, without the notes of cascades.
    pub async fn log(&self, table: &str) -> Vec<String> {
        let plan = self.plan.tables.iter().find(|t| t.source.name == table).unwrap();
        let keys: Vec<String> = (1..=plan.key.len()).map(|n| format!(", k{n}")).collect();
        let sql = format!(
            "SELECT CONCAT_WS(' ', kind{}) FROM {} WHERE kind <> 'N' ORDER BY seq",
            keys.concat(),
            self.log_of(table)
        );
        self.database.rows_as_text(&sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
    }

    /// The same, sorted and each once: cascades may log a key more than once.
    pub async fn logged(&self, table: &str) -> Vec<String> {
        let mut log = self.log(table).await;
        log.sort();
        log.dedup();
        log
    }

    /// A table's log as SQL.
    pub fn log_of(&self, table: &str) -> String {
        format!("highwater_capture.\"{}.{table}\"", self.database.name())
    }

    pub async fn clear(&self, tables: &[&str]) {
        for table in tables {
            self.execute(&format!("DELETE FROM {}", self.log_of(table))).await;
        }
    }

    /// The number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.database.rows_as_text(sql).await;
        rows[0][0].as_ref().unwrap().parse().unwrap()
    }
}

/// Runs statements; the text of the error, which must come.
pub async fn refused(connection: &mut MySqlConnection, sql: &str) -> String {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_string())).execute(connection).await;
    done.map(|_| ()).unwrap_err().to_string()
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

/// A plan that carries every table as it is.
pub async fn plan(source: &dyn Source, excluded: &[&str]) -> Plan {
    let schema = source.schema().await.unwrap();
    let (others, tables): (Vec<_>, Vec<_>) =
        schema.tables.iter().partition(|t| excluded.contains(&t.name.name.as_str()));
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
            form: Form::Values,
            partitioned: false,
            create: false,
            rows: t.rows,
            bytes: t.bytes,
        })
        .collect();
    Plan {
        database: "test".to_owned(),
        tables,
        excluded: others.into_iter().map(|t| TableName::bare(&t.name.name)).collect(),
        blockers: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        hash: "0".repeat(16),
    }
}
