//! PostgreSQL as a target.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row};

use super::connect::{self, Side, classify, literal};
use super::selection::user_path;
use super::session::{Session, flag, number};
use super::shape::Shape;
use super::tx::PgTx;
use super::{behind, catalog, define, lease, probe, readiness, script};
use crate::engine::template::fill;
use crate::engine::{
    CaptureHere, Client, Definition, Identity, Lease, Options, Record, Script, SequenceUse, Survey, Target,
    Tx, digest,
};
use crate::error::{Error, Result};
use crate::ledger;
use crate::model::{CheckConstraint, Finding, Plan, Schema, TableName, TablePlan, quote};
use crate::settings::Endpoint;

/// What all parts of a target share.
pub(super) struct Shared {
    pool: PgPool,
    /// How many connections the server grants, where that is fewer than were asked for.
    granted: Option<u32>,
    pub(super) endpoint: Endpoint,
    /// "target postgres://host/database"
    pub(super) place: String,
    pub(super) migration: String,
    /// The quoted name of the user we are.
    pub(super) user: String,
    /// Whether triggers and foreign keys can be silenced.
    pub(super) silenced: bool,
    /// The statements that begin a transaction.
    pub(super) begin: String,
    pub(super) ledger_schema: String,
    pub(super) capture_schema: String,
    pub(super) own_schemas: Vec<String>,
    shapes: Mutex<HashMap<u64, Arc<Shape>>>,
}

impl Shared {
    /// A connection of the pool.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>> {
        connect::acquire(&self.pool, &self.endpoint, &self.place).await
    }

    /// The shape last read under a plan's tag.
    pub(super) fn shape(&self, tag: u64) -> Option<Arc<Shape>> {
        self.shapes.lock().unwrap_or_else(PoisonError::into_inner).get(&tag).cloned()
    }

    /// Keeps a shape for the next transaction.
    pub(super) fn remember(&self, tag: u64, shape: Arc<Shape>) {
        self.shapes.lock().unwrap_or_else(PoisonError::into_inner).insert(tag, shape);
    }

    /// A ledger statement in PostgreSQL's words.
    pub(super) fn ledger_sql(&self, sql: &str) -> String {
        sql.replace("{l}", &format!("{}.", quote(&self.ledger_schema)))
            .replace("{text}", "TEXT")
            .replace("{bigint}", "BIGINT")
            .replace("{for update}", " FOR UPDATE")
            .replace("{for share}", " FOR SHARE")
            .replace('?', "$")
    }

    /// The number of the advisory lock that is the lease of `database`.
    pub(super) fn lease_number(&self, database: &str) -> i64 {
        lease::lock_number(&["highwater", &self.migration, "lease", database])
    }
}

/// A PostgreSQL database that rows go to.
pub struct PostgresTarget {
    shared: Arc<Shared>,
}

impl PostgresTarget {
    /// Connects, and finds out whether triggers and foreign keys can be silenced.
    ///
    /// # Errors
    /// When the server can't be reached or refuses us.
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self> {
        let (pool, granted) = connect::connect(endpoint, options, Side::Target).await?;
        let place = connect::place(endpoint, Side::Target);
        let user: String = sqlx::query_scalar("SELECT pg_catalog.quote_ident(current_user)")
            .fetch_one(&pool)
            .await
            .map_err(|e| classify(e, &place))?;
        let silenced = can_silence(&pool).await.map_err(|e| classify(e, &place))?;
        let ledger_schema = options.object_name("highwater_ledger");
        let capture_schema = options.object_name("highwater_capture");
        let shared = Shared {
            begin: begin(&options.migration, silenced),
            own_schemas: vec![ledger_schema.clone(), capture_schema.clone()],
            migration: options.migration.clone(),
            shapes: Mutex::default(),
            endpoint: endpoint.clone(),
            pool,
            granted,
            place,
            user,
            silenced,
            ledger_schema,
            capture_schema,
        };
        Ok(PostgresTarget { shared: Arc::new(shared) })
    }

    /// A connection of its own for several statements.
    async fn session(&self) -> Result<Session> {
        let connection = self.shared.acquire().await?;
        Ok(Session::on(connection, &Arc::from(self.shared.place.as_str())))
    }

    /// Runs statements without arguments in one transaction.
    async fn run(&self, sql: String) -> Result<()> {
        let mut connection = self.shared.acquire().await?;
        let outcome = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
        outcome.map(drop).map_err(|e| self.failed(e))
    }

    async fn truth(&self, sql: String) -> Result<bool> {
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *self.shared.acquire().await?)
            .await
            .map_err(|e| self.failed(e))
    }

    fn failed(&self, error: sqlx::Error) -> Error {
        classify(error, &self.shared.place)
    }

    /// The table as the FROM clause names its own rows.
    async fn own_rows(&self, table: &TablePlan) -> Result<String> {
        let partitioned: Option<bool> = sqlx::query_scalar(
            "SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = to_regclass($1)::oid",
        )
        .bind(table.target.sql())
        .fetch_optional(&mut *self.shared.acquire().await?)
        .await
        .map_err(|e| self.failed(e))?;
        match partitioned {
            Some(true) => Ok(table.target.sql()),
            Some(false) => Ok(format!("ONLY {}", table.target.sql())),
            None => Err(Error::table(format!("{}: table {} is missing", self.shared.place, table.target))
                .remedy("create it, or set copy.schema = \"create\"")),
        }
    }
}

/// What begins a transaction. The marker tells highwater's own writes from others.
pub(super) fn begin(migration: &str, silenced: bool) -> String {
    let silence = if silenced { "SET LOCAL session_replication_role = replica; " } else { "" };
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {silence}SET LOCAL lock_timeout = '60s'; \
         SET LOCAL highwater.applying = {}; {}",
        literal(migration),
        user_path("pg_catalog")
    )
}

async fn can_silence(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let tried = sqlx::raw_sql("SET session_replication_role = replica; RESET session_replication_role")
        .execute(&mut *connection)
        .await;
    match tried {
        Ok(_) => Ok(true),
        Err(error) if error.as_database_error().is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Target for PostgresTarget {
    fn granted(&self) -> Option<u32> {
        self.shared.granted
    }

    async fn identity(&self) -> Result<Identity> {
        let row = sqlx::query(include_str!("../../../sql/postgres/identity.sql"))
            .fetch_one(&mut *self.shared.acquire().await?)
            .await
            .map_err(|e| self.failed(e))?;
        let text = |name| row.try_get::<String, _>(name).map_err(|e| self.failed(e));
        Ok(Identity { database: text("database")?, life: text("life")?, version: text("version")? })
    }

    async fn schema(&self) -> Result<Schema> {
        let mut connection = self.shared.acquire().await?;
        let read = catalog::read_schema(&mut connection, &self.shared.own_schemas).await;
        read.map_err(|e| self.failed(e))
    }

    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>> {
        let mut connection = self.shared.acquire().await?;
        let read = catalog::read_check_constraints(&mut connection, &self.shared.own_schemas).await;
        read.map_err(|e| self.failed(e))
    }

    async fn survey(&self, schema: &Schema, plan: &Plan) -> Result<Survey> {
        readiness::survey(&self.shared, schema, plan, self.capture_here().await?).await
    }

    async fn capture_here(&self) -> Result<CaptureHere> {
        let meta = TableName::new(&self.shared.capture_schema, "meta").sql();
        let sql = format!(
            "SELECT pg_catalog.to_regnamespace({0}) IS NOT NULL",
            literal(&quote(&self.shared.capture_schema))
        );
        if !self.truth(sql).await? {
            return Ok(CaptureHere::None);
        }
        if !self.truth(format!("SELECT pg_catalog.to_regclass({}) IS NOT NULL", literal(&meta))).await? {
            return Ok(CaptureHere::Foreign);
        }
        let own = self.truth(format!(
            "SELECT EXISTS (SELECT FROM {meta} m, pg_catalog.pg_control_system() s, pg_catalog.pg_database d \
             WHERE d.datname = current_database() AND m.cluster = s.system_identifier::text AND m.database = d.oid)"
        ));
        Ok(if own.await? { CaptureHere::Own } else { CaptureHere::Foreign })
    }

    async fn remove_foreign_capture(&self) -> Result<()> {
        if self.capture_here().await? != CaptureHere::Foreign {
            return Ok(());
        }
        // In one statement: the trigger functions take their triggers with them.
        self.run(format!("DROP SCHEMA {} CASCADE", quote(&self.shared.capture_schema))).await
    }

    async fn make_ledger(&self) -> Result<()> {
        if self.has_ledger().await? {
            return Ok(());
        }
        let schema = quote(&self.shared.ledger_schema);
        let number = lease::lock_number(&["highwater", &self.shared.migration, "ledger"]);
        let mut statements = vec![format!("SELECT pg_catalog.pg_advisory_xact_lock({number})")];
        let there = format!("SELECT pg_catalog.to_regnamespace({}) IS NOT NULL", literal(&schema));
        if !self.truth(there).await? {
            // Looked for first: a DBA may have made the schema for a user who may not.
            statements.push(format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
        }
        statements.extend(ledger::tables().map(|statement| self.shared.ledger_sql(&statement)));
        let made = self.run(statements.join(";\n")).await;
        // Another process may have made it while we waited.
        if made.is_err() && self.has_ledger().await? { Ok(()) } else { made }
    }

    async fn has_ledger(&self) -> Result<bool> {
        let ledger = TableName::new(&self.shared.ledger_schema, "ledger").sql();
        self.truth(format!("SELECT pg_catalog.to_regclass({}) IS NOT NULL", literal(&ledger))).await
    }

    async fn remove_ledger(&self) -> Result<()> {
        self.run(format!("DROP SCHEMA IF EXISTS {} CASCADE", quote(&self.shared.ledger_schema))).await
    }

    async fn begin(&self) -> Result<Box<dyn Tx>> {
        Ok(Box::new(PgTx::begin(self.shared.clone()).await?))
    }

    async fn try_lease(&self, database: &str) -> Result<Option<Box<dyn Lease>>> {
        let lease = lease::try_lease(&self.shared, database).await?;
        Ok(lease.map(|lease| Box::new(lease) as Box<dyn Lease>))
    }

    async fn lease_held(&self, database: &str) -> Result<bool> {
        lease::lease_held(&self.shared, database).await
    }

    async fn is_empty(&self, table: &TablePlan) -> Result<bool> {
        let rows = self.own_rows(table).await?;
        let found = self.ask(&format!("SELECT NOT EXISTS (SELECT FROM {rows})"), 1).await?;
        Ok(found.first().is_some_and(|row| flag(row, 0)))
    }

    async fn count(&self, table: &TablePlan) -> Result<u64> {
        let rows = self.own_rows(table).await?;
        let found = self.ask(&format!("SELECT count(*) FROM {rows}"), 1).await?;
        number(found.first().ok_or_else(|| Error::failed("a count without an answer"))?, 0)
    }

    async fn digest(&self, table: &TablePlan, columns: &[&str]) -> Result<String> {
        let rows = self.own_rows(table).await?;
        let columns: Vec<String> = columns.iter().map(|column| format!("t.{}", quote(column))).collect();
        let sql = include_str!("../../../sql/postgres/table_digest.sql");
        let sql = fill(sql, &[("columns", &columns.join(", ")), ("rows", &rows)]);
        digest::of_answer(&probe::ask_in(self.session().await?, &sql, 1).await?)
    }

    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>> {
        probe::ask_in(self.session().await?, sql, most).await
    }

    async fn check_query(&self, sql: &str) -> Result<()> {
        probe::ask_in(self.session().await?, sql, 0).await.map(drop)
    }

    async fn yields(&self, table: &TablePlan, select: &str) -> Result<Vec<String>> {
        probe::yields(self.session().await?, table, select).await
    }

    async fn sequence_uses(&self, plan: &Plan) -> Result<Vec<SequenceUse>> {
        behind::uses(self.session().await?, plan).await
    }

    async fn script_rights(&self, plan: &Plan) -> Result<Vec<Finding>> {
        readiness::script_rights(&self.shared, plan).await
    }

    async fn script(&self) -> Result<Box<dyn Script>> {
        Ok(Box::new(script::open(self.shared.clone()).await?))
    }

    async fn client(&self, whole: bool) -> Result<Client> {
        script::client(&self.shared, whole).await
    }

    async fn home(&self) -> Result<String> {
        // Both are new when the database or the ledger was restored.
        let ledger = literal(&TableName::new(&self.shared.ledger_schema, "ledger").sql());
        let sql = format!(
            "SELECT d.oid::text || '.' || coalesce(pg_catalog.to_regclass({ledger})::oid::text, '') \
             FROM pg_catalog.pg_database d WHERE d.datname = current_database()"
        );
        let home = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *self.shared.acquire().await?).await;
        home.map_err(|e| self.failed(e))
    }

    async fn define(&self, definition: &Definition) -> Result<Option<String>> {
        define::define(&self.shared, definition).await
    }

    async fn try_definitions(&self, definitions: &[Definition]) -> Result<Vec<Finding>> {
        define::attempt_all(&self.shared, definitions).await
    }
}
