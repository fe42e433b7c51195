//! How far staging is behind, seen from outside and by highwater's own measure.

use std::time::Duration;

use super::link::Link;
use crate::error::{Error, Result};
use crate::settings::DatabaseSettings;
use crate::status::{Board, DatabaseStatus, Role};

/// The newest sign of life that production's nodes have written.
const NEWEST: &str = "SELECT max(beat_at) FROM nodes";
/// highwater measures once a second; what is older than this is not of now.
const FRESH: Duration = Duration::from_secs(2);

/// The lag as it goes.
pub(super) struct Lag {
    source: Link,
    target: Link,
    /// What was seen so far, in seconds; `None` while nothing is known.
    pub(super) samples: Vec<Option<f64>>,
}

impl Lag {
    /// Connects to both sides.
    ///
    /// # Errors
    /// When one can't be reached.
    pub(super) async fn of(database: &DatabaseSettings) -> Result<Self> {
        let (source, target) = tokio::try_join!(Link::open(&database.source), Link::open(&database.target))?;
        Ok(Lag { source, target, samples: Vec::new() })
    }

    /// Looks once: the age of staging's newest row beside production's, or what highwater last
    /// measured of its slowest table, whichever is more.
    ///
    /// # Errors
    /// When production can't be read.
    pub(super) async fn sample(&mut self, boards: &[Board]) -> Result<()> {
        // Staging first: what production writes between the two looks counts as lag, never as a lead.
        let there = self.target.first::<f64>(NEWEST, &[]).await;
        let here = self.source.first::<f64>(NEWEST, &[]).await;
        let here = here.map_err(|e| Error::failed("production can't be read").because(e))?;
        // Before its copy the table isn't there, or has no rows.
        let beat = here.zip(there.unwrap_or_default()).map(|(here, there)| (here - there).max(0.0));
        let measured = boards.iter().filter_map(|board| measured(&board.status())).reduce(f64::max);
        self.samples.push(beat.map(|beat| measured.unwrap_or_default().max(beat)));
        Ok(())
    }

    /// The lag at the last look.
    pub(super) fn last(&self) -> Option<f64> {
        self.samples.last().copied().flatten()
    }

    /// The largest lag so far.
    pub(super) fn most(&self) -> Option<f64> {
        self.samples.iter().flatten().copied().reduce(f64::max)
    }
}

/// The lag of the slowest table, if this process follows the database and measured it a moment ago.
fn measured(status: &DatabaseStatus) -> Option<f64> {
    let is_fresh = status.measured_at.is_some_and(|at| at.elapsed() < FRESH);
    let lags = status.tables.iter().filter_map(|t| t.lag_seconds);
    (status.role == Role::Active && is_fresh).then(|| lags.reduce(f64::max)).flatten()
}
