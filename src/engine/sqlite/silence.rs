//! The target's own triggers must not fire on replay: what they did in production is replayed itself.
//! SQLite has no setting for that, but its definitions are part of the transaction: the triggers are
//! dropped at its beginning and made again, word for word, at its end. Nobody else ever sees them gone.

use std::collections::HashSet;

use super::catalog::Catalog;
use super::connect::Session;
use crate::model::quote;

/// The triggers that a transaction has taken off.
#[derive(Debug, Default)]
pub(super) struct Silence {
    tables: HashSet<String>,
    taken: Vec<String>,
}

impl Silence {
    /// Takes the triggers off a table, once. Not to be called inside a savepoint, whose rollback would
    /// put them back.
    pub(super) async fn over(
        &mut self,
        session: &mut Session,
        catalog: &Catalog,
        table: &str,
    ) -> Result<(), sqlx::Error> {
        if !self.tables.insert(table.to_string()) {
            return Ok(());
        }
        for trigger in catalog.user_triggers(table) {
            session.define(&format!("DROP TRIGGER main.{}", quote(&trigger.name))).await?;
            self.taken.push(trigger.sql.clone());
        }
        Ok(())
    }

    /// Puts them back.
    pub(super) async fn end(&mut self, session: &mut Session) -> Result<(), sqlx::Error> {
        for sql in self.taken.drain(..) {
            session.define(&sql).await?;
        }
        Ok(())
    }
}
