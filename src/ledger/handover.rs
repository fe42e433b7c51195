//! Who may work on the database, and the attempts to end the work.

use chrono::Utc;

use super::{AttemptState, Ledger, integer, now, one, superseded};
use crate::engine::{Arg, Stamp};
use crate::error::Result;

impl Ledger {
    /// Names us as the holder of the lease, which is held by a lock of the session. A hold of replay that an
    /// earlier holder left behind ends here: its acts are refused from then on.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn name_holder(&self) -> Result<()> {
        let sql = "UPDATE {l}databases SET holder = ?2, held_since = ?3, replay_hold = NULL \
                   WHERE database_name = ?1";
        let holder = self.actor.holder();
        self.write(sql, &[self.database.as_str().into(), holder.into(), now().into()]).await?;
        Ok(())
    }

    /// Asks the holder for the lease, or withdraws the request.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn request_lease(&self, asking: bool) -> Result<()> {
        let sql = "UPDATE {l}databases SET request = ?2, requested_at = ?3 WHERE database_name = ?1";
        let who = Arg::Text(asking.then(|| self.actor.holder()));
        self.write(sql, &[self.database.as_str().into(), who, Utc::now().timestamp().into()]).await?;
        Ok(())
    }

    /// Who asks for the lease, and since when (seconds since 1970).
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn requested(&self) -> Result<Option<(String, i64)>> {
        let sql = "SELECT request, requested_at FROM {l}databases WHERE database_name = ?1";
        let row = one(self.query(sql, &[self.database.as_str().into()]).await?)?;
        Ok(row.first().cloned().flatten().zip(integer(&row, 1).ok()))
    }

    /// Opens a cutover attempt, recorded here before the source hears of it. Its number is the smallest even
    /// one above both sides': attempt n is lowered by n + 1.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn open_attempt(&self, seen_on_source: Stamp) -> Result<Stamp> {
        let entry = self.read().await?;
        let mine = entry.attempt.stamp;
        let greatest = mine.attempt.max(seen_on_source.attempt).max(0);
        let stamp = Stamp { epoch: mine.epoch, attempt: greatest + 2 - greatest % 2 };
        let moved = self
            .write(
                "UPDATE {l}databases SET attempt = ?2, attempt_state = 'open' \
                 WHERE database_name = ?1 AND attempt = ?3",
                &[self.database.as_str().into(), stamp.attempt.into(), mine.attempt.into()],
            )
            .await?;
        if moved == 1 { Ok(stamp) } else { Err(superseded(&self.database, "another attempt was begun")) }
    }

    /// Ends an attempt, with an event. It must be the last one and not invalidated before.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when it is not.
    pub async fn end_attempt(&self, stamp: Stamp, state: AttemptState) -> Result<()> {
        let mut tx = self.target.begin().await?;
        let moved = tx
            .execute(
                "UPDATE {l}databases SET attempt_state = ?3 WHERE database_name = ?1 AND attempt = ?2 \
                 AND (attempt_state = 'open' OR ?3 = 'invalid')",
                &[self.database.as_str().into(), stamp.attempt.into(), state.name().into()],
            )
            .await?;
        if moved != 1 {
            return Err(superseded(&self.database, "the cutover attempt is not the last one"));
        }
        self.event_in(tx.as_mut(), &format!("cutover attempt {stamp}: {}", state.name())).await?;
        tx.commit().await
    }
}
