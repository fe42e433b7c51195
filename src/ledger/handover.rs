//! Requests for the lease, made by processes that don't hold it.

use chrono::Utc;

use super::{Ledger, integer, one};
use crate::engine::Arg;
use crate::error::Result;

impl Ledger {
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
}
