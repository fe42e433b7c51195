//! Holding replay for a consistent point, what is recorded of the point, and how a cutover attempt ends.
//!
//! Each of these is one transaction that locks the epoch's row first, as every act that writes rows share-locks
//! it: when it returns, no act that saw the former state is in flight.

use std::collections::BTreeMap;

use super::{Ledger, entry, integer, now, one, superseded, text, to_json};
use crate::engine::{Arg, Stamp, Tx};
use crate::error::Result;
use crate::model::Phase;

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

/// Which attempts a request may make void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voidable {
    /// One that has not become final: somebody may have switched over to a final target since.
    Open,
    /// A final one too: a person asked for it.
    Final,
}

/// What became of an attempt that was to be made void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voided {
    /// It can't become final any more, and the phase does not say final because of it.
    Void,
    /// It is final, and was left so.
    Final,
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
        let mut tx = self.target.begin().await?;
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
        let mut tx = self.target.begin().await?;
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

    /// Makes an attempt void, and takes the phase back that it made final, in one transaction: this comes
    /// before the fence is lowered (docs/how-it-works.md, "state first, then the fence"). An attempt that is
    /// not the last one any more can't become final, and the phase is another attempt's.
    ///
    /// # Errors
    /// When the target can't be written: the fence has to stay then.
    pub async fn make_void(&self, stamp: Stamp, voidable: Voidable) -> Result<Voided> {
        let mut tx = self.target.begin().await?;
        self.lock_epoch(tx.as_mut()).await?;
        let name: Arg = self.database.as_str().into();
        let sql = "SELECT attempt, attempt_state, phase FROM {l}databases WHERE database_name = ?1";
        let row = one(tx.rows(sql, std::slice::from_ref(&name)).await?)?;
        if integer(&row, 0)? != stamp.attempt {
            return Ok(Voided::Void);
        }
        if text(&row, 1)? == "final" && voidable == Voidable::Open {
            return Ok(Voided::Final);
        }
        if text(&row, 1)? != "invalid" {
            let sql = "UPDATE {l}databases SET attempt_state = 'invalid', outage_ms = NULL \
                       WHERE database_name = ?1";
            tx.execute(sql, std::slice::from_ref(&name)).await?;
            self.event_in(tx.as_mut(), &format!("cutover attempt {stamp}: void")).await?;
        }
        if text(&row, 2)?.parse::<Phase>()? == Phase::Final {
            self.phase_in(tx.as_mut(), Phase::Replaying).await?;
        }
        tx.commit().await?;
        Ok(Voided::Void)
    }

    /// Makes an open attempt final, and the phase with it, in one transaction.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when it is not the last one, or void.
    pub async fn make_final(&self, stamp: Stamp, outage_ms: u64) -> Result<()> {
        let mut tx = self.target.begin().await?;
        self.lock_epoch(tx.as_mut()).await?;
        let outage = Arg::Integer(i64::try_from(outage_ms).unwrap_or(i64::MAX));
        let sql = "UPDATE {l}databases SET attempt_state = 'final', outage_ms = ?3 \
                   WHERE database_name = ?1 AND attempt = ?2 AND attempt_state = 'open'";
        if tx.execute(sql, &[self.database.as_str().into(), stamp.attempt.into(), outage]).await? != 1 {
            return Err(superseded(&self.database, "the cutover attempt is not the last one, or void"));
        }
        let what = format!("cutover attempt {stamp}: final; outage {outage_ms} ms at {}", now());
        self.event_in(tx.as_mut(), &what).await?;
        self.phase_in(tx.as_mut(), Phase::Final).await?;
        tx.commit().await
    }
}
