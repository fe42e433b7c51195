//! Removes everything of a migration from both sides.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ledger::{Actor, Event, Ledger};
use crate::pair::{self, Sides};
use crate::run;
use crate::settings::{DatabaseSettings, Settings};
use crate::state::Task;

/// A clean that was looked into and may be carried out.
pub struct Clean {
    sides: Sides,
    database: String,
    actor: Actor,
    forget: bool,
    /// The events that will be lost with the ledger.
    pub events: Vec<Event>,
}

/// Looks into what a clean would remove.
///
/// # Errors
/// [`crate::error::Kind::Refused`] while a process holds the lease, or while the fence is up unless
/// `forget` says that its removal is meant.
pub async fn look(
    settings: &Arc<Settings>,
    database: &DatabaseSettings,
    actor: &Actor,
    forget: bool,
) -> Result<Clean> {
    let sides = pair::connect(database, settings).await?;
    let ledger = Ledger::peek(sides.target.clone(), &database.name, actor.clone()).await?;
    if sides.target.lease_held(&database.name).await? {
        return Err(run::held(ledger.as_ref(), &database.name).await);
    }
    let mut clean =
        Clean { sides, database: database.name.clone(), actor: actor.clone(), forget, events: Vec::new() };
    clean.check(ledger.as_ref()).await?;
    if let Some(ledger) = &ledger {
        clean.events = ledger.events().await?;
    }
    Ok(clean)
}

impl Clean {
    /// Removes it: the source first, so that production stops paying; then the ledger. Dying between
    /// leaves a ledger without a source, which the next clean removes.
    ///
    /// What was looked into before a person was asked is looked into once more, with the lease held: a final sync
    /// may have ended meanwhile.
    ///
    /// # Errors
    /// When it may not be removed any more, or a side can't be written.
    pub async fn carry_out(self) -> Result<()> {
        let lease = self.sides.target.try_lease(&self.database).await?;
        let Some(lease) = lease else { return Err(run::held(None, &self.database).await) };
        let ledger = Ledger::peek(self.sides.target.clone(), &self.database, self.actor.clone()).await?;
        self.check(ledger.as_ref()).await?;
        if let Some(ledger) = &ledger {
            ledger.take_term().await?;
        }
        self.sides.source.remove().await?;
        crate::fault::point("after_source_cleaned").await?;
        self.sides.target.remove_ledger().await?;
        lease.release().await
    }

    /// Refuses while the fence is up or the target is the application's, unless that is meant.
    async fn check(&self, ledger: Option<&Ledger>) -> Result<()> {
        if self.forget {
            return Ok(());
        }
        let database = &self.database;
        if self.sides.source.fence().await?.raised {
            return Err(Error::refused(format!(
                "database {database}: the fence is up; cleaning would let production write again"
            ))
            .remedy(
                "`highwater final-sync --lower` first if that is meant; after a cutover, `clean --forget`",
            ));
        }
        let standing = match ledger {
            Some(ledger) => ledger.read().await?.standing(),
            None => return Ok(()),
        };
        match standing.forbids(Task::Clean) {
            Some(why) => Err(Error::refused(format!("database {database}: {why}"))
                .remedy("after a cutover: `highwater clean --forget`")),
            None => Ok(()),
        }
    }
}
