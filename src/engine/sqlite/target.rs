//! [`Target`] on SQLite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::capture::Names;
use super::connect::{Db, Side};
use super::fault::{self, Doing};
use super::install::Meta;
use super::tx::SqliteTx;
use super::{ask, behind, install, lease, parse, schema, script, source, survey};
use crate::engine::template::fill;
use crate::engine::{
    CaptureHere, Client, Definition, Identity, Lease, Options, Record, Script, SequenceUse, Survey, Target,
    Tx,
};
use crate::error::Result;
use crate::ledger;
use crate::model::{CheckConstraint, Finding, Plan, Schema, TablePlan, quote};
use crate::settings::Endpoint;

/// How long a commit waits for readers of the target.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// A SQLite file as target.
pub struct SqliteTarget {
    db: Arc<Db>,
    migration: String,
    /// What the names of the ledger's tables begin with.
    prefix: String,
    capture: Names,
}

impl SqliteTarget {
    /// Opens the file of `endpoint`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Refused`] when there is no such file, it is no database, or it keeps its
    /// text in UTF-16.
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self> {
        Ok(SqliteTarget {
            db: Arc::new(Db::open(endpoint, options, Side::Target, LOCK_PATIENCE).await?),
            migration: options.migration.clone(),
            prefix: format!("{}_", options.object_name("highwater_ledger")),
            capture: Names { prefix: options.object_name("highwater_capture") },
        })
    }

    /// The ledger's tables: name and statement.
    fn ledger_tables(&self) -> Vec<(String, String)> {
        ledger::tables()
            .filter_map(|sql| {
                let sql = fill(&sql, &[("l", &self.prefix), ("text", "TEXT")]);
                Some((parse::made_table(&sql)?, sql))
            })
            .collect()
    }
}

#[async_trait]
impl Target for SqliteTarget {
    async fn identity(&self) -> Result<Identity> {
        // What came along with a copy of the source's file says nothing of this one.
        source::identity(&self.db, &self.capture, true).await
    }

    async fn schema(&self) -> Result<Schema> {
        schema::schema(&self.db).await
    }

    async fn check_constraints(&self) -> Result<Vec<CheckConstraint>> {
        schema::check_constraints(&self.db).await
    }

    async fn survey(&self, _schema: &Schema, plan: &Plan) -> Result<Survey> {
        survey::target(&self.db, plan).await
    }

    async fn capture_here(&self) -> Result<CaptureHere> {
        let what = "looking for capture";
        let mut session = self.db.reading(what).await?;
        let meta = Meta::read(&mut session, &self.capture).await.doing(&self.db.place, what)?;
        let catalog = self.db.catalog(&mut session).await?;
        session.end().await.doing(&self.db.place, what)?;
        let remains = catalog.entries.iter().any(|e| e.is_bound() && self.capture.kind(&e.name).is_some());
        Ok(match meta {
            Some(meta) if meta.is_here(&self.db.path, self.db.file) => CaptureHere::Own,
            Some(_) => CaptureHere::Foreign,
            None if remains => CaptureHere::Foreign,
            None => CaptureHere::None,
        })
    }

    async fn remove_foreign_capture(&self) -> Result<()> {
        install::remove(&self.db, &self.capture).await
    }

    async fn make_ledger(&self) -> Result<()> {
        let what = "making the ledger";
        let known = self.db.catalog_now().await?;
        let missing: Vec<String> = self
            .ledger_tables()
            .into_iter()
            .filter(|(name, _)| known.table(name).is_none())
            .map(|(_, sql)| sql)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut session = self.db.writing(what).await?;
        let known = self.db.catalog(&mut session).await?;
        for (_, sql) in self.ledger_tables().into_iter().filter(|(name, _)| known.table(name).is_none()) {
            session.define(&sql).await.doing(&self.db.place, what)?;
        }
        session.end().await.doing(&self.db.place, what)
    }

    async fn has_ledger(&self) -> Result<bool> {
        let known = self.db.catalog_now().await?;
        Ok(self.ledger_tables().iter().all(|(name, _)| known.table(name).is_some()))
    }

    async fn remove_ledger(&self) -> Result<()> {
        let what = "removing the ledger";
        let mut session = self.db.writing(what).await?;
        for (name, _) in self.ledger_tables() {
            session
                .define(&format!("DROP TABLE IF EXISTS {}", quote(&name)))
                .await
                .doing(&self.db.place, what)?;
        }
        session.end().await.doing(&self.db.place, what)
    }

    async fn begin(&self) -> Result<Box<dyn Tx>> {
        let session = self.db.writing("beginning a transaction").await?;
        Ok(Box::new(SqliteTx::new(self.db.clone(), session, self.prefix.clone())))
    }

    async fn try_lease(&self, database: &str) -> Result<Option<Box<dyn Lease>>> {
        let path = lease::path(&self.db, &self.migration, database);
        Ok(lease::take(path).await?.map(|lease| Box::new(lease) as Box<dyn Lease>))
    }

    async fn lease_held(&self, database: &str) -> Result<bool> {
        lease::is_held(&lease::path(&self.db, &self.migration, database))
    }

    async fn is_empty(&self, table: &TablePlan) -> Result<bool> {
        let what = format!("looking whether {} is empty", table.target);
        let mut session = self.db.reading(&what).await?;
        let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM {})", quote(&table.target.name));
        let empty = session.integer(sql).await.doing(&self.db.place, &what)?;
        session.end().await.doing(&self.db.place, &what)?;
        Ok(empty != 0)
    }

    async fn count(&self, table: &TablePlan) -> Result<u64> {
        self.db.count(&table.target.name).await
    }

    async fn digest(&self, table: &TablePlan, columns: &[&str]) -> Result<String> {
        ask::digest(&self.db, table, columns).await
    }

    async fn ask(&self, sql: &str, most: usize) -> Result<Vec<Record>> {
        ask::ask(&self.db, sql, most).await
    }

    async fn check_query(&self, sql: &str) -> Result<()> {
        ask::ask(&self.db, &format!("EXPLAIN {sql}"), 1).await.map(drop)
    }

    async fn yields(&self, table: &TablePlan, select: &str) -> Result<Vec<String>> {
        ask::yields(&self.db, table, select).await
    }

    async fn sequence_uses(&self, _plan: &Plan) -> Result<Vec<SequenceUse>> {
        Ok(behind::uses())
    }

    async fn script_rights(&self, _plan: &Plan) -> Result<Vec<Finding>> {
        // Who may write the file may do everything.
        Ok(Vec::new())
    }

    async fn script(&self) -> Result<Box<dyn Script>> {
        Ok(Box::new(script::open(self.db.clone(), self.prefix.clone()).await?))
    }

    async fn client(&self, _whole: bool) -> Result<Client> {
        Ok(script::client(&self.db))
    }

    async fn home(&self) -> Result<String> {
        Ok(self.db.file.to_string())
    }

    async fn define(&self, definition: &Definition) -> Result<Option<String>> {
        let first: Vec<&str> = definition.sql.split_whitespace().take(4).collect();
        let what = format!("running `{} ..`", first.join(" "));
        let mut session = self.db.writing(&what).await?;
        match session.define(&definition.sql).await {
            // Made before, by an attempt whose answer was lost.
            Err(error) if fault::exists_already(&error) => {
                session.undo().await.doing(&self.db.place, &what)?;
            }
            // A table that is not carried, and its indexes: the application may know what it names.
            Err(error)
                if definition.table.is_none()
                    && (fault::is_applications(&error) || fault::is_missing(&error)) =>
            {
                session.undo().await.doing(&self.db.place, &what)?;
                return Ok(Some(format!("not made, only the application can ({error}): {}", definition.sql)));
            }
            done => {
                done.doing(&self.db.place, &what)?;
                session.end().await.doing(&self.db.place, &what)?;
            }
        }
        // Foreign keys are part of a table's definition and are not checked while they are off.
        Ok(None)
    }

    async fn try_definitions(&self, definitions: &[Definition]) -> Result<Vec<Finding>> {
        let what = "trying the definitions of tables";
        let mut session = self.db.writing(what).await?;
        let mut refused = None;
        for definition in definitions {
            match session.define(&definition.sql).await {
                Err(error) if !fault::exists_already(&error) => {
                    refused = Some(error);
                    break;
                }
                _ => {}
            }
        }
        session.undo().await.doing(&self.db.place, what)?;
        let finding = |error| {
            let error = fault::classify(error, &self.db.place, what);
            Finding::general(
                error.summary(),
                "make the tables on the target yourself (copy.schema = \"expect\")",
            )
        };
        Ok(refused.map(finding).into_iter().collect())
    }
}
