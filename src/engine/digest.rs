//! One text for what all rows of a table hold, whatever their order.

use sha2::{Digest, Sha256};

use super::Record;
use super::record::number;
use crate::error::{Error, Result};

/// The text for the answer of a `table_digest.sql`: how many rows there are, how many have a hash, and the sums
/// of both halves of their hashes.
pub(super) fn of_answer(rows: &[Record]) -> Result<String> {
    let row = rows.first().ok_or_else(|| Error::failed("a digest gave no row"))?;
    let (all, hashed): (u64, u64) = (number(row, 0)?, number(row, 1)?);
    if all != hashed {
        return Err(Error::failed(format!("{} of {all} rows have no hash", all.abs_diff(hashed))));
    }
    let sum = |column: usize| row.get(column).cloned().flatten().unwrap_or_default();
    Ok(of_sums(all, [sum(2), sum(3)]))
}

/// The text for a count and sums.
pub(super) fn of_sums(rows: u64, [first, second]: [String; 2]) -> String {
    hex::encode(Sha256::digest(format!("{rows}:{first}:{second}")))
}
