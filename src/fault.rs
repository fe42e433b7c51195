//! Named points at which a test halts or kills the real program.
//!
//! With the feature `faults`, `HIGHWATER_FAULT` names points and what happens there, separated by
//! commas: `before_batch_commit=kill` (SIGKILL), `=error` (as if the connection broke), `=pause:FILE`
//! (says `FILE.reached` by making it and waits until FILE is there). `point@3=kill` acts at the third
//! passage. Without the feature a point is nothing.

use crate::error::Result;

/// Passes a named point.
///
/// # Errors
/// When a test asked for an error here.
#[cfg(not(feature = "faults"))]
#[expect(clippy::unused_async, reason = "a point may wait when the feature is on")]
pub async fn point(_name: &str) -> Result<()> {
    Ok(())
}

#[cfg(feature = "faults")]
pub use armed::point;

#[cfg(feature = "faults")]
mod armed {
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::{LazyLock, Mutex, PoisonError};
    use std::time::Duration;

    use super::Result;
    use crate::error::{Error, Kind};

    static PASSED: LazyLock<Mutex<HashMap<String, u64>>> = LazyLock::new(Mutex::default);

    /// Passes a named point.
    ///
    /// # Errors
    /// When the environment asks for an error here.
    pub async fn point(name: &str) -> Result<()> {
        let faults = std::env::var("HIGHWATER_FAULT").unwrap_or_default();
        for fault in faults.split(',') {
            let Some((place, act)) = fault.split_once('=') else { continue };
            let (place, nth) = match place.split_once('@') {
                Some((place, nth)) => (place, nth.parse().unwrap_or(1)),
                None => (place, 1),
            };
            if place == name && passage(name) == nth {
                perform(name, act).await?;
            }
        }
        Ok(())
    }

    fn passage(name: &str) -> u64 {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        let count = passed.entry(name.to_string()).or_default();
        *count += 1;
        *count
    }

    async fn perform(name: &str, act: &str) -> Result<()> {
        match act.split_once(':') {
            None if act == "error" => {
                Err(Error::new(Kind::Unavailable, format!("fault point {name}: the connection broke")))
            }
            Some(("pause", file)) => {
                std::fs::write(format!("{file}.reached"), name)
                    .map_err(|e| Error::failed(format!("fault point {name}")).because(e))?;
                while !Path::new(file).exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(())
            }
            _ => {
                let mut kill = std::process::Command::new("kill");
                let _ = kill.args(["-9", &std::process::id().to_string()]).status();
                std::process::abort()
            }
        }
    }
}
