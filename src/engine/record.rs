//! Answers of servers as text.

use super::Record;
use crate::error::{Error, Result};

/// A column of a record that is never NULL.
pub(super) fn text(record: &Record, column: usize) -> Result<&str> {
    maybe(record, column).ok_or_else(|| Error::failed(format!("column {column} of an answer is missing")))
}

/// A column of a record.
pub(super) fn maybe(record: &Record, column: usize) -> Option<&str> {
    record.get(column).and_then(Option::as_deref)
}

/// A whole number in a record.
pub(super) fn number<T: std::str::FromStr>(record: &Record, column: usize) -> Result<T> {
    let text = text(record, column)?;
    text.parse().map_err(|_| Error::failed(format!("`{text}` in an answer is not a number")))
}
