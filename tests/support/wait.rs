//! Waiting with a limit, and a failure that says what was seen last.

use std::fmt::Display;
use std::panic::Location;
use std::time::{Duration, Instant};

/// What a look at the world may answer: settled (with a value), or not yet (with what was seen).
pub trait Look {
    /// What a settled look gives.
    type Value;
    /// The value, or what was seen instead.
    fn settled(self) -> Result<Self::Value, String>;
}

impl Look for bool {
    type Value = ();
    fn settled(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

impl<T> Look for Option<T> {
    type Value = T;
    fn settled(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Look for Result<T, E> {
    type Value = T;
    fn settled(self) -> Result<T, String> {
        self.map_err(|seen| seen.to_string())
    }
}

/// How long to wait for what takes at most `limit` on an idle machine. Many tests share the cores, and a
/// limit of patience is no assertion.
pub fn patience(limit: Duration) -> Duration {
    limit * 4
}

/// Between two looks: a look may be a comparison of whole databases, so that many in a row would slow down
/// what they wait for.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// Looks again and again until the look is settled; panics at the caller's line, with what was seen last,
/// when `limit` (of an idle machine) has passed. A look is a `bool`, an `Option`, or a `Result` whose error
/// says what was seen.
#[track_caller]
pub fn eventually<L: Look, F: Future<Output = L>>(
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = L::Value> {
    let caller = Location::caller();
    async move {
        let end = Instant::now() + patience(limit);
        let mut pause = PAUSES.0;
        loop {
            match look().await.settled() {
                Ok(value) => return value,
                Err(seen) if Instant::now() >= end => {
                    panic!("{caller}: did not happen within {:?}; last seen: {seen}", patience(limit))
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 3 / 2).min(PAUSES.1);
        }
    }
}

/// What `future` gives; panics at the caller's line when it takes longer than `limit` (of an idle machine).
#[track_caller]
pub fn within<F: Future>(limit: Duration, what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(patience(limit), future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: {what} took longer than {:?}", patience(limit)),
        }
    }
}

/// The deadline of something that is to be done at once.
pub fn soon() -> Instant {
    Instant::now() + patience(Duration::from_secs(60))
}
