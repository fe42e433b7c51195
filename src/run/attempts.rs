//! What comes after an error of a database: another attempt, or the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Until;
use crate::error::{Error, Kind, Policy};

/// Between two attempts: first and greatest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Greatest pause where something forbids the work: each attempt surveys both sides.
const REFUSED: Duration = Duration::from_secs(60);

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: the database ends with the error.
    End,
    /// Another attempt after that pause.
    Retry(Duration),
    /// The same, but only as long as another database is served.
    RetryBeside(Duration),
}

/// How many databases of the process are served, or may be yet: all but those that were refused at start and
/// those that ended.
#[derive(Debug, Clone)]
pub(super) struct Hopes(Arc<watch::Sender<usize>>);

/// One database's part in [`Hopes`]; it is given up with its value.
#[derive(Debug)]
pub(super) struct Hope {
    all: Hopes,
    held: bool,
}

impl Hopes {
    /// For so many databases.
    pub(super) fn of(databases: usize) -> Self {
        Hopes(Arc::new(watch::Sender::new(databases)))
    }

    /// The part of one of them.
    pub(super) fn one(&self) -> Hope {
        Hope { all: self.clone(), held: true }
    }
}

impl Hope {
    fn hold(&mut self, held: bool) {
        match (self.held, held) {
            (true, false) => self.all.0.send_modify(|n| *n = n.saturating_sub(1)),
            (false, true) => self.all.0.send_modify(|n| *n += 1),
            (true, true) | (false, false) => {}
        }
        self.held = held;
    }

    fn is_any_left(&self) -> bool {
        *self.all.0.borrow() > 0
    }
}

impl Drop for Hope {
    fn drop(&mut self) {
        self.hold(false);
    }
}

/// The attempts at one database so far.
pub(super) struct Attempts {
    until: Until,
    hope: Hope,
    failures: u32,
    /// Whether it has ever worked in this process.
    worked: bool,
    /// Since when it works, in this attempt.
    since: Option<Instant>,
}

impl Attempts {
    /// None yet.
    pub(super) fn new(until: Until, hope: Hope) -> Self {
        Attempts { until, hope, failures: 0, worked: false, since: None }
    }

    /// The attempt was successful: both sides let us in, and nothing forbids the work.
    pub(super) fn works(&mut self) {
        self.worked = true;
        self.since.get_or_insert_with(Instant::now);
        self.hope.hold(true);
    }

    /// What comes after an error. Something that a person has to change ends a daemon that never worked, so that
    /// a wrong password is seen at once; later the same is an outage, as an operator may change a
    /// password, a role or a database's name while the daemon runs.
    pub(super) fn after(&mut self, error: &Error) -> Next {
        let worked_for = self.since.take().map(|since| since.elapsed());
        let one_shot = self.until == Until::Copied;
        if error.policy() == Policy::End || (one_shot && error.kind() != Kind::Superseded) {
            return Next::End;
        }
        // What breaks at once and always must not have production surveyed twice a second.
        let is_news = worked_for.is_some_and(|d| error.policy() == Policy::Retry || d >= BACKOFF.1);
        if is_news {
            self.failures = 0;
        }
        let wait = BACKOFF.0.saturating_mul(2_u32.saturating_pow(self.failures.min(10)));
        self.failures += 1;
        if error.policy() != Policy::Refuse || self.worked {
            return Next::Retry(wait.min(BACKOFF.1));
        }
        self.hope.hold(false);
        if self.hope.is_any_left() { Next::RetryBeside(wait.min(REFUSED)) } else { Next::End }
    }

    /// Waits until no other database is served any more.
    pub(super) async fn is_last(&self) {
        let mut left = self.hope.all.0.subscribe();
        // The sender lives in `self`: this can't fail.
        let _ = left.wait_for(|n| *n == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(hopes: &Hopes) -> Attempts {
        Attempts::new(Until::Stopped, hopes.one())
    }

    fn refused() -> Error {
        Error::refused("the password is wrong")
    }

    #[test]
    fn a_refusal_ends_what_never_worked_and_is_an_outage_of_what_did() {
        let mut new = attempts(&Hopes::of(1));
        assert_eq!(new.after(&refused()), Next::End);
        let mut old = attempts(&Hopes::of(1));
        old.works();
        assert_eq!(old.after(&refused()), Next::Retry(BACKOFF.0));
        assert_eq!(old.after(&refused()), Next::Retry(BACKOFF.0 * 2));
        for error in [Error::foreign("another database"), Error::usage("the URL")] {
            assert_eq!(old.after(&error), Next::End);
        }
    }

    #[test]
    fn one_that_is_refused_is_tried_again_beside_another_but_not_alone() {
        let hopes = Hopes::of(2);
        let (mut one, mut other) = (attempts(&hopes), attempts(&hopes));
        other.works();
        assert!(matches!(one.after(&refused()), Next::RetryBeside(_)));
        assert!(matches!(one.after(&refused()), Next::RetryBeside(_)));
        drop(other);
        assert_eq!(one.after(&refused()), Next::End);
    }

    #[test]
    fn all_that_are_refused_at_start_end() {
        let hopes = Hopes::of(2);
        let (mut one, mut other) = (attempts(&hopes), attempts(&hopes));
        assert!(matches!(one.after(&refused()), Next::RetryBeside(_)));
        assert_eq!(other.after(&refused()), Next::End);
    }

    #[test]
    fn what_fails_right_after_each_start_is_tried_less_and_less_often() {
        let mut attempts = attempts(&Hopes::of(1));
        let unknown = Error::failed("unknown");
        let mut waits = Vec::new();
        for _ in 0..8 {
            attempts.works();
            waits.push(attempts.after(&unknown));
        }
        assert_eq!(waits.first(), Some(&Next::Retry(BACKOFF.0)));
        assert_eq!(waits.last(), Some(&Next::Retry(BACKOFF.1)));
        attempts.works();
        let lost = Error::new(Kind::Unavailable, "the connection was lost");
        assert_eq!(attempts.after(&lost), Next::Retry(BACKOFF.0));
    }

    #[test]
    fn a_command_that_copies_ends_at_once() {
        let mut attempts = Attempts::new(Until::Copied, Hopes::of(1).one());
        attempts.works();
        assert_eq!(attempts.after(&refused()), Next::End);
        assert_eq!(attempts.after(&Error::failed("unknown")), Next::End);
        assert!(matches!(attempts.after(&Error::superseded("planned again")), Next::Retry(_)));
    }
}
