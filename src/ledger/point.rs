//! Holding replay for a consistent point, and what is recorded of the point.
//!
//! Each of these is one transaction that locks the epoch's row first, as every act that writes rows share-locks
//! it: when it returns, no act that saw the former state is in flight.

use std::collections::BTreeMap;

use super::{Ledger, entry, one, superseded, to_json};
use crate::engine::Tx;
use crate::error::Result;

/// Names one hold of replay: acts that carry it pass, all others are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// One that no other hold has.
    pub fn random() -> Self {
        Nonce(hex::encode(rand::random::<[u8; 16]>()))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// Ends the point that the target is at: rows are about to be written.
pub(super) async fn end(tx: &mut dyn Tx, database: &str) -> Result<()> {
    let sql = "UPDATE {l}databases SET point_at = NULL, point_extents = NULL \
               WHERE database_name = ?1 AND point_at IS NOT NULL";
    tx.execute(sql, &[database.into()]).await?;
    Ok(())
}

impl Ledger {
    async fn lock_epoch(&self, tx: &mut dyn Tx) -> Result<()> {
        let sql = "SELECT epoch FROM {l}epochs WHERE database_name = ?1{for update}";
        one(tx.rows(sql, &[self.database.as_str().into()]).await?).map(drop)
    }

    /// Holds replay: when this returns, no act is in flight, and only those under `nonce` pass.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when the target's rows are not highwater's to write.
    pub async fn hold_replay(&self, nonce: &Nonce) -> Result<()> {
        let mut tx = self.begin_held().await?;
        self.lock_epoch(tx.as_mut()).await?;
        end(tx.as_mut(), &self.database).await?;
        let sql = "UPDATE {l}databases SET replay_hold = ?2 WHERE database_name = ?1 \
                   AND phase IN ('copying', 'replaying')";
        if tx.execute(sql, &[self.database.as_str().into(), nonce.text().into()]).await? != 1 {
            return Err(superseded(&self.database, "its rows are not written now"));
        }
        tx.commit().await
    }

    /// Lets replay go on, if `nonce` still holds it.
    ///
    /// # Errors
    /// When the target can't be written: the next holder of the lease ends the hold then.
    pub async fn release_replay(&self, nonce: &Nonce) -> Result<()> {
        let sql = "UPDATE {l}databases SET replay_hold = NULL WHERE database_name = ?1 AND replay_hold = ?2";
        self.write(sql, &[self.database.as_str().into(), nonce.text().into()]).await?;
        Ok(())
    }

    /// Records that the target is equal to the source as it was at `at`, with all watermarks.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when `nonce` does not hold replay any more.
    pub async fn record_point(&self, nonce: &Nonce, at: &str) -> Result<()> {
        let mut tx = self.begin_held().await?;
        self.lock_epoch(tx.as_mut()).await?;
        let tables = entry::table_entries(tx.as_mut(), &self.database, None).await?;
        let watermarks: BTreeMap<String, Option<String>> =
            tables.into_iter().map(|t| (t.label, t.watermark.map(|w| w.to_text()))).collect();
        let args =
            [self.database.as_str().into(), nonce.text().into(), at.into(), to_json(&watermarks).into()];
        let sql = "UPDATE {l}databases SET point_at = ?3, point_extents = ?4 \
                   WHERE database_name = ?1 AND replay_hold = ?2";
        if tx.execute(sql, &args).await? != 1 {
            return Err(superseded(&self.database, "replay is not held any more"));
        }
        self.event_in(tx.as_mut(), &format!("consistent point: equal to production at {at}")).await?;
        tx.commit().await
    }

    /// Refuses unless `nonce` holds replay; with the epoch held it stays so until the transaction ends.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when it does not.
    pub async fn check_hold(&self, tx: &mut dyn Tx, nonce: Option<&Nonce>) -> Result<()> {
        let sql = "SELECT replay_hold FROM {l}databases WHERE database_name = ?1";
        let row = one(tx.rows(sql, &[self.database.as_str().into()]).await?)?;
        let held = row.first().and_then(Option::as_deref);
        if held == nonce.map(Nonce::text) {
            return Ok(());
        }
        Err(superseded(&self.database, "the hold of replay is another one"))
    }
}
