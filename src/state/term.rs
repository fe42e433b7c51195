//! The lease's term.

use std::fmt;

/// One holding of the lease. The number grows each time the lease is taken; the nonce tells two terms apart
/// that got the same number because the target was restored in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Grows with each holder.
    pub number: i64,
    /// Random.
    pub nonce: String,
}

impl Term {
    /// The term that follows number `last`.
    pub fn after(last: i64) -> Self {
        Term { number: last + 1, nonce: hex::encode(rand::random::<[u8; 8]>()) }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}
