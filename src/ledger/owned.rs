//! Which rows are whose after an upgrade, and what is to be made equal again because what it looks up
//! has changed (docs/how-it-works.md, "ownership is known, not guessed" and "lookups go stale").

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::{Act, Ledger, Step, integer, key_hash, text, to_json};
use crate::engine::{Arg, Tx};
use crate::error::Result;
use crate::model::Key;

/// How many rows one INSERT, and how many keys one question takes.
const AT_ONCE: usize = 200;

/// Keys that are not production's to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owned {
    /// Of target rows that the upgrade made.
    Native,
    /// Of source rows whose target rows the upgrade deleted.
    Removed,
}

impl Owned {
    fn table(self) -> &'static str {
        match self {
            Owned::Native => "native",
            Owned::Removed => "removed",
        }
    }
}

/// Rows that are to be made equal again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requeued {
    /// Identifies the entry.
    pub entry: String,
    /// The source column and value that the rows have; `None`: all rows of the table.
    pub rows: Option<(String, String)>,
}

/// Those of `keys` that are in the ledger, by their places.
///
/// # Errors
/// When the target can't be read.
pub async fn among(tx: &mut dyn Tx, act: &Act<'_>, owned: Owned, keys: &[Key]) -> Result<HashSet<usize>> {
    let hashes: Vec<String> = keys.iter().map(key_hash).collect();
    let mut found = HashSet::new();
    for some in hashes.chunks(AT_ONCE) {
        let mut args: Vec<Arg> = vec![act.database.into(), act.table.label().into()];
        args.extend(some.iter().map(|hash| Arg::from(hash.as_str())));
        let places: Vec<String> = (3..args.len() + 1).map(|n| format!("?{n}")).collect();
        let sql = format!(
            "SELECT key_hash FROM {{l}}{} WHERE database_name = ?1 AND label = ?2 AND key_hash IN ({})",
            owned.table(),
            places.join(", ")
        );
        for row in tx.rows(&sql, &args).await? {
            found.insert(text(&row, 0)?.to_string());
        }
    }
    Ok((0..hashes.len()).filter(|i| found.contains(&hashes[*i])).collect())
}

/// Ends the marks of keys that have become production's.
///
/// # Errors
/// When the target can't be written.
pub async fn forget(tx: &mut dyn Tx, act: &Act<'_>, owned: Owned, keys: &[Key]) -> Result<()> {
    let sql = format!(
        "DELETE FROM {{l}}{} WHERE database_name = ?1 AND label = ?2 AND key_hash = ?3",
        owned.table()
    );
    for key in keys {
        tx.execute(&sql, &[act.database.into(), act.table.label().into(), key_hash(key).into()]).await?;
    }
    Ok(())
}

/// Counts production's changes to exempt keys that a batch drops, in the transaction that drops them. A parked key
/// is none: it is still to be decided.
///
/// # Errors
/// When the target can't be written.
pub async fn count_dropped(
    tx: &mut dyn Tx,
    act: &Act<'_>,
    keys: &[Key],
    parked: &HashSet<String>,
) -> Result<()> {
    let dropped = keys.iter().filter(|key| !parked.contains(&key_hash(key))).count();
    if dropped == 0 || !matches!(act.step, Step::Batch { .. }) {
        return Ok(());
    }
    let sql = "UPDATE {l}tables SET dropped = dropped + ?3 WHERE database_name = ?1 AND label = ?2";
    let dropped = i64::try_from(dropped).unwrap_or(i64::MAX);
    tx.execute(sql, &[act.database.into(), act.table.label().into(), dropped.into()]).await?;
    Ok(())
}

/// All keys of a table that are recorded so.
///
/// # Errors
/// When the target can't be read.
pub async fn all(tx: &mut dyn Tx, database: &str, label: &str, owned: Owned) -> Result<Vec<Key>> {
    let sql = format!("SELECT key_json FROM {{l}}{} WHERE database_name = ?1 AND label = ?2", owned.table());
    let rows = tx.rows(&sql, &[database.into(), label.into()]).await?;
    rows.iter().map(|row| super::from_json(text(row, 0)?)).collect()
}

/// Records anew which keys of a table are not production's.
///
/// # Errors
/// When the target can't be written.
pub async fn record(tx: &mut dyn Tx, database: &str, label: &str, owned: Owned, keys: &[Key]) -> Result<()> {
    let old = format!("DELETE FROM {{l}}{} WHERE database_name = ?1 AND label = ?2", owned.table());
    tx.execute(&old, &[database.into(), label.into()]).await?;
    for some in keys.chunks(AT_ONCE) {
        let mut args: Vec<Arg> = vec![database.into(), label.into()];
        let mut rows = Vec::new();
        for key in some {
            rows.push(format!("(?1, ?2, ?{}, ?{})", args.len() + 1, args.len() + 2));
            args.extend([key_hash(key).into(), to_json(key).into()]);
        }
        let sql = format!(
            "INSERT INTO {{l}}{} (database_name, label, key_hash, key_json) VALUES {}",
            owned.table(),
            rows.join(", ")
        );
        tx.execute(&sql, &args).await?;
    }
    Ok(())
}

/// Notes that rows of the table `label` are to be made equal again: those whose source column has one of
/// the values, or all of them.
///
/// # Errors
/// When the target can't be written.
pub async fn requeue(
    tx: &mut dyn Tx,
    database: &str,
    label: &str,
    rows: &[Option<(String, String)>],
) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    for (piece, some) in rows.chunks(AT_ONCE).enumerate() {
        let mut args: Vec<Arg> = vec![database.into(), label.into(), seconds.into()];
        let mut values = Vec::new();
        for (n, row) in some.iter().enumerate() {
            // Never the same twice, so that two transactions that note the same don't wait for each other.
            let entry = to_json(&(std::process::id(), now.as_nanos().to_string(), piece, n, row));
            values.push(format!(
                "(?1, ?2, ?{}, ?{}, ?{}, ?3)",
                args.len() + 1,
                args.len() + 2,
                args.len() + 3
            ));
            let (column, value) = row.clone().unzip();
            args.extend([hex::encode(Sha256::digest(entry)).into(), column.into(), value.into()]);
        }
        let sql = format!(
            "INSERT INTO {{l}}requeued (database_name, label, entry_hash, column_name, value_text, entered) VALUES {}",
            values.join(", ")
        );
        tx.execute(&sql, &args).await?;
    }
    Ok(())
}

/// Forgets entries whose rows have been made equal.
///
/// # Errors
/// When the target can't be written.
pub async fn forget_requeued(tx: &mut dyn Tx, act: &Act<'_>, entries: &[String]) -> Result<()> {
    for some in entries.chunks(AT_ONCE) {
        let mut args: Vec<Arg> = vec![act.database.into(), act.table.label().into()];
        args.extend(some.iter().map(|entry| Arg::from(entry.as_str())));
        let places: Vec<String> = (3..args.len() + 1).map(|n| format!("?{n}")).collect();
        let sql = format!(
            "DELETE FROM {{l}}requeued WHERE database_name = ?1 AND label = ?2 AND entry_hash IN ({})",
            places.join(", ")
        );
        tx.execute(&sql, &args).await?;
    }
    Ok(())
}

impl Ledger {
    /// Some rows of a table that are to be made equal again, oldest first.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn requeued(&self, label: &str, most: i64) -> Result<Vec<Requeued>> {
        let sql = "SELECT entry_hash, column_name, value_text FROM {l}requeued \
                   WHERE database_name = ?1 AND label = ?2 ORDER BY entered, entry_hash LIMIT ?3";
        let rows = self.query(sql, &[self.database.as_str().into(), label.into(), most.into()]).await?;
        rows.iter()
            .map(|row| {
                let optional = |i: usize| row.get(i).cloned().flatten();
                Ok(Requeued { entry: text(row, 0)?.to_string(), rows: optional(1).zip(optional(2)) })
            })
            .collect()
    }

    /// How many keys of each kind are recorded of a table: native ones, then removed ones.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn owned(&self, label: &str) -> Result<(u64, u64)> {
        let sql = "SELECT (SELECT count(*) FROM {l}native n WHERE n.database_name = ?1 AND n.label = ?2), \
                   (SELECT count(*) FROM {l}removed r WHERE r.database_name = ?1 AND r.label = ?2) \
                   FROM {l}epochs e WHERE e.database_name = ?1";
        let row = super::one(self.query(sql, &[self.database.as_str().into(), label.into()]).await?)?;
        Ok((integer(&row, 0)?.unsigned_abs(), integer(&row, 1)?.unsigned_abs()))
    }
}
