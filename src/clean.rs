//! Removes everything of a migration from both sides.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ledger::{Actor, Event, Ledger};
use crate::pair::{self, Sides};
use crate::run;
use crate::settings::{DatabaseSettings, Settings};

/// A clean that was looked into and may be carried out.
pub struct Clean {
    sides: Sides,
    database: String,
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
    refuse_fenced(&sides, &database.name, forget).await?;
    let events = match &ledger {
        Some(ledger) => ledger.events().await?,
        None => Vec::new(),
    };
    Ok(Clean { sides, database: database.name.clone(), forget, events })
}

async fn refuse_fenced(sides: &Sides, database: &str, forget: bool) -> Result<()> {
    if forget || !sides.source.fence().await?.raised {
        return Ok(());
    }
    let what = format!("database {database}: the fence is up; cleaning would let production write again");
    Err(Error::refused(what)
        .remedy("`highwater final-sync --lower` first if that is meant; after a cutover, `clean --forget`"))
}

impl Clean {
    /// Removes it: the source first, so that production stops paying; then the ledger. Dying between
    /// leaves a ledger without a source, which the next clean removes.
    ///
    /// # Errors
    /// When a side can't be written.
    pub async fn carry_out(self) -> Result<()> {
        let lease = self.sides.target.try_lease(&self.database).await?;
        let Some(lease) = lease else { return Err(run::held(None, &self.database).await) };
        // A person was asked since, or events were printed: what was looked at then may be otherwise now.
        refuse_fenced(&self.sides, &self.database, self.forget).await?;
        self.sides.source.remove().await?;
        crate::fault::point("after_source_cleaned").await?;
        self.sides.target.remove_ledger().await?;
        lease.release().await
    }
}
