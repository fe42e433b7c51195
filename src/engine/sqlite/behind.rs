//! The counters of AUTOINCREMENT, against the values that are in use.

use crate::engine::SequenceUse;

/// As [`Target::sequence_uses`](crate::engine::Target::sequence_uses): none can be behind. SQLite gives a row
/// without a number the greater of the counter and the largest rowid, plus one, whatever the counter says.
pub(super) fn uses() -> Vec<SequenceUse> {
    Vec::new()
}
