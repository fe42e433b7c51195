//! [`Target`] on MySQL and MariaDB.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Column, Row};
use tokio::sync::OnceCell;

use super::connect::{Server, Side};
use super::fault::{classify, exists_already};
use super::names::Names;
use super::session::{Session, flag, number};
use super::shape::Shape;
use super::stage::{Pick, Staging};
use super::statement::{ledger_table, made_table};
use super::tx::MysqlTx;
use super::types::collation;
use super::value::{join, literal, quote};
use super::{behind, catalog, checks, further, lease, look, remove, schema, script, survey};
use crate::engine::template::fill;
use crate::engine::{
    CaptureHere, Client, Definition, Identity, Lease, Options, Record, Script, SequenceUse, Survey, Target,
    Tx, digest,
};
use crate::error::{At, Error, Result};
use crate::ledger;
use crate::model::{CheckConstraint, Finding, Plan, Schema, TablePlan};
use crate::settings::Endpoint;

/// What the parts of a target share.
pub(super) struct Shared {
    /// The database.
    pub(super) server: Server,
    /// What the names of the ledger's tables begin with.
    pub(super) prefix: String,
    /// The names of capture's objects, should there be any.
    names: Names,
    migration: String,
    /// The collations that the server knows.
    collations: OnceCell<HashSet<String>>,
}

impl Shared {
    /// A table's stage.
    pub(super) async fn staging(
        &self,
        session: &mut Session,
        name: &str,
        table: &TablePlan,
        shape: &Shape,
    ) -> Result<Staging> {
        let also = table.rule.also.iter().filter(|_| table.rule.is_computed_on_target());
        let mut unknown = HashSet::new();
        for collation in also.filter_map(|c| collation(&c.type_name)) {
            let known = self.collations.get_or_try_init(|| survey::collations(session, &self.server)).await?;
            if !known.contains(collation) {
                unknown.insert(collation.to_string());
            }
        }
        Ok(Staging::new(name, table, shape, self.server.flavour, &unknown))
    }
}

/// A database of MySQL or MariaDB as target.
pub struct MysqlTarget(Arc<Shared>);

impl MysqlTarget {
    /// Connects to the database of `endpoint`.
    ///
    /// # Errors
    /// When it can't be reached or refuses us.
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self> {
        let server = Server::open(endpoint, options, Side::Target).await?;
        let database = server.database.clone();
        Ok(MysqlTarget(Arc::new(Shared {
            prefix: format!("{}_", options.object_name("highwater_ledger")),
            names: Names {
                capture: options.object_name("highwater_capture"),
                database,
                flavour: server.flavour,
            },
            migration: options.migration.clone(),
            collations: OnceCell::new(),
            server,
        })))
    }

    /// The ledger's tables: name and statement.
    fn ledger_tables(&self) -> Vec<(String, String)> {
        ledger::tables()
            .filter_map(|sql| {
                let sql = ledger_table(&sql, &self.0.prefix);
                Some((made_table(&sql, &self.0.prefix)?.to_string(), sql))
            })
            .collect()
    }

    fn lease_name(&self, database: &str) -> String {
        lease::name(&self.0.server, &self.0.migration, database)
    }
}

#[async_trait]
impl Target for MysqlTarget {
    fn granted(&self) -> Option<u32> {
        self.0.server.granted
    }

    async fn identity(&self) -> Result<Identity> {
        catalog::identity(&self.0.server, &self.0.names).await
    }

    async fn schema(&self) -> Result<Schema> {
        schema::schema(&self.0.server).await
    }

    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>> {
        checks::check_constraints(&self.0.server).await
    }

    async fn survey(&self, schema: &Schema, plan: &Plan) -> Result<Survey> {
        survey::target(&self.0.server, schema, plan).await
    }

    async fn capture_here(&self) -> Result<CaptureHere> {
        remove::capture_here(&self.0.server, &self.0.names).await
    }

    async fn remove_foreign_capture(&self) -> Result<()> {
        remove::remove_foreign(&self.0.server, &self.0.names).await
    }

    async fn make_ledger(&self) -> Result<()> {
        if self.has_ledger().await? {
            return Ok(());
        }
        // Each statement commits by itself: those that were made before are found to be there.
        let mut session = self.0.server.session().await?;
        for (_, sql) in self.ledger_tables() {
            session.execute(sql).await.at("making the ledger")?;
        }
        session.close();
        Ok(())
    }

    async fn has_ledger(&self) -> Result<bool> {
        let tables = self.ledger_tables();
        let names = join(tables.iter().map(|(name, _)| literal(name)), ", ");
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ({names})"
        );
        let mut session = self.0.server.session().await?;
        let found: usize = number(&session.row(sql).await.at("looking for the ledger")?, 0)?;
        session.close();
        Ok(found == tables.len())
    }

    async fn remove_ledger(&self) -> Result<()> {
        let names = join(self.ledger_tables().iter().map(|(name, _)| quote(name)), ", ");
        let mut session = self.0.server.session().await?;
        session.execute(format!("DROP TABLE IF EXISTS {names}")).await.at("removing the ledger")?;
        session.close();
        Ok(())
    }

    async fn begin(&self) -> Result<Box<dyn Tx>> {
        Ok(Box::new(MysqlTx::begin(self.0.clone()).await?))
    }

    async fn try_lease(&self, database: &str) -> Result<Option<Box<dyn Lease>>> {
        let lease = lease::take(&self.0.server, self.lease_name(database)).await?;
        Ok(lease.map(|lease| Box::new(lease) as Box<dyn Lease>))
    }

    async fn lease_held(&self, database: &str) -> Result<bool> {
        lease::is_held(&self.0.server, &self.lease_name(database)).await
    }

    async fn is_empty(&self, table: &TablePlan) -> Result<bool> {
        let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM {})", quote(&table.target.name));
        let mut session = self.0.server.session().await?;
        let row = session.row(sql).await.at(format!("looking whether {} is empty", table.target))?;
        session.close();
        Ok(flag(&row, 0))
    }

    async fn count(&self, table: &TablePlan) -> Result<u64> {
        let mut session = self.0.server.session().await?;
        let rows = catalog::count_in(&mut session, &table.target.name).await?;
        session.close();
        Ok(rows)
    }

    async fn digest(&self, table: &TablePlan, columns: &[&str]) -> Result<String> {
        let mut session = self.0.server.session().await?;
        let shape = Shape::read(&mut session, &table.target).await?;
        session.close();
        let hash = |name: &&str| {
            let missing = || Error::table(format!("table {} has no column {name}", table.target));
            Ok(shape.column(name).ok_or_else(missing)?.steady_digest("t"))
        };
        let columns = columns.iter().map(hash).collect::<Result<Vec<String>>>()?;
        // Of no columns at all only the number of rows is known.
        let columns = if columns.is_empty() { "''".to_string() } else { columns.join(", ") };
        let sql = include_str!("../../../sql/mysql/table_digest.sql");
        let sql = fill(sql, &[("columns", &columns), ("table", &shape.table)]);
        digest::of_answer(&look::ask(&self.0.server, &sql, 1).await?)
    }

    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>> {
        look::ask(&self.0.server, sql, most).await
    }

    async fn check_query(&self, sql: &str) -> Result<()> {
        let mut session = self.0.server.session().await?;
        session.execute(format!("PREPARE hw_check FROM {}", literal(sql))).await?;
        session.execute("DEALLOCATE PREPARE hw_check").await?;
        session.close();
        Ok(())
    }

    async fn yields(&self, table: &TablePlan, select: &str) -> Result<Vec<String>> {
        let mut session = self.0.server.session().await?;
        let shape = Shape::read(&mut session, &table.target).await?;
        let staging = self.0.staging(&mut session, "stage", table, &shape).await?;
        session.execute(staging.make()).await.at("making the stage")?;
        let (select, mentions) = further::statement(select, self.0.server.flavour);
        let changed = staging.changed();
        if mentions > 1 {
            session.execute(changed.make_copies(mentions)).await.at("making the stage")?;
        }
        // A row there must be, to have its columns named.
        let sql = format!(
            "{} SELECT hw_yielded.* FROM (SELECT 1 AS hw_one) AS hw_one LEFT JOIN ({select}\n) AS hw_yielded \
             ON TRUE LIMIT 1",
            changed.with_copies(Pick(None), mentions)
        );
        let row = session.first(sql).await.map_err(look::of_rule)?;
        session.execute(staging.forget_all()).await?;
        if mentions > 1 {
            session.execute(changed.forget_copies(mentions)).await?;
        }
        session.close();
        let columns = row.iter().flat_map(|row| row.columns().iter().map(|c| c.name().to_string()));
        Ok(columns.collect())
    }

    async fn sequence_uses(&self, plan: &Plan) -> Result<Vec<SequenceUse>> {
        behind::uses(&self.0.server, plan).await
    }

    async fn script_rights(&self, _plan: &Plan) -> Result<Vec<Finding>> {
        survey::script_rights(&self.0.server).await
    }

    async fn script(&self) -> Result<Box<dyn Script>> {
        Ok(Box::new(script::open(self.0.clone()).await?))
    }

    async fn client(&self, _whole: bool) -> Result<Client> {
        script::client(&self.0).await
    }

    async fn home(&self) -> Result<String> {
        // No table has an id here that a restore would change.
        Ok(String::new())
    }

    async fn define(&self, definition: &Definition) -> Result<Option<String>> {
        let first: Vec<&str> = definition.sql.split_whitespace().take(4).collect();
        let mut session = self.0.server.session().await?;
        let made = sqlx::raw_sql(AssertSqlSafe(definition.sql.clone())).execute(session.connection()?).await;
        match made {
            // Made before, by an attempt whose answer was lost.
            Err(error) if exists_already(&error, &definition.sql) => {}
            made => {
                let made = made.map_err(|e| classify(e, &self.0.server.place));
                made.at(format!("running `{} ..`", first.join(" ")))?;
            }
        }
        session.close();
        // Whether rows break a foreign key is not looked at while these are off.
        Ok(None)
    }

    async fn try_definitions(&self, definitions: &[Definition]) -> Result<Vec<Finding>> {
        look::try_definitions(&self.0.server, definitions).await
    }
}
