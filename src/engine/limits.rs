//! How many connections a server grants, and what is done with fewer than wanted.

use crate::error::{Error, Result};

/// Connections beside the pool: the lease, a pinned snapshot.
const BESIDE: u32 = 2;

/// The smallest pool that work goes on with: one copied and one replayed table, and what looks after capture.
const LEAST: u32 = 7;

/// What a server's limit says of a pool.
pub(super) struct Limit {
    /// How many connections our user may have at a time, if something limits them.
    pub(super) most: Option<u32>,
    /// The statement that raises the limit to a number that is appended.
    pub(super) raise: String,
}

impl Limit {
    /// The size of a pool of which `wanted` are wanted. A command that wants few is not refused: it ends soon.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::error::Kind) when the limit leaves too few to work with.
    pub(super) fn grant(&self, place: &str, wanted: u32) -> Result<u32> {
        let Some(most) = self.most.filter(|most| *most < wanted + BESIDE && wanted >= LEAST) else {
            return Ok(wanted);
        };
        let Limit { raise, .. } = self;
        let all = wanted + BESIDE;
        if most < LEAST + BESIDE {
            let what = format!(
                "{place}: this user may have {most} connections at a time; highwater needs {} at least, and {all} to \
                 work as the settings say",
                LEAST + BESIDE
            );
            return Err(Error::refused(what).remedy(format!("{raise} {all}")));
        }
        tracing::warn!(place, limit = most, wanted = all, fix = %format!("{raise} {all}"),
            "working with fewer connections: fewer tables are copied and replayed at a time");
        Ok(most - BESIDE)
    }
}

/// What to do about a server that has no connection left for a pool of `size`.
pub(super) fn exhausted(size: u32, raise: &str) -> String {
    let all = size + BESIDE;
    format!(
        "highwater needs up to {all} connections here: `{raise} {all}`, raise max_connections, or close other sessions"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(most: Option<u32>, wanted: u32) -> Result<u32> {
        Limit { most, raise: "ALTER ROLE hw CONNECTION LIMIT".to_string() }.grant("source", wanted)
    }

    #[test]
    fn a_limit_below_what_is_wanted_makes_the_pool_smaller() {
        assert_eq!(grant(None, 14).unwrap(), 14);
        assert_eq!(grant(Some(16), 14).unwrap(), 14);
        assert_eq!(grant(Some(15), 14).unwrap(), 13);
        assert_eq!(grant(Some(9), 14).unwrap(), 7);
    }

    #[test]
    fn a_limit_that_leaves_too_few_is_refused_with_the_number_needed() {
        let error = grant(Some(8), 14).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(error.remedy_text(), Some("ALTER ROLE hw CONNECTION LIMIT 16"));
        assert_eq!(grant(Some(3), 2).unwrap(), 2, "a command that wants few is served");
    }
}
