//! How much is done at a time, by the connections that both servers grant.

use super::{Pair, Sides};
use crate::settings::Settings;

/// How many tables replay at the same time, where connections allow it.
const REPLAY_JOBS: usize = 4;

/// Connections for what looks after capture, the logs and the ledger.
const UPKEEP: usize = 4;

/// The connections that all jobs together need on a side: a chunk takes one, a batch one and the one that is
/// read ahead.
pub(super) fn connections(settings: &Settings) -> u32 {
    u32::try_from(settings.copy.jobs + 2 * REPLAY_JOBS + UPKEEP).unwrap_or(u32::MAX)
}

impl Pair {
    /// How many chunks are copied at a time.
    pub fn copy_jobs(&self) -> usize {
        split(self.settings.copy.jobs, granted(&self.sides)).0
    }

    /// How many tables are replayed at a time.
    pub fn replay_jobs(&self) -> usize {
        split(self.settings.copy.jobs, granted(&self.sides)).1
    }
}

/// The connections of the side that grants fewer; `None` where both grant all.
fn granted(sides: &Sides) -> Option<usize> {
    let both = [sides.source.granted(), sides.target.granted()];
    both.into_iter().flatten().min().and_then(|n| usize::try_from(n).ok())
}

/// Copy and replay jobs for so many connections. One of each at least.
fn split(copy_jobs: usize, connections: Option<usize>) -> (usize, usize) {
    let Some(connections) = connections else { return (copy_jobs, REPLAY_JOBS) };
    let left = connections.saturating_sub(UPKEEP);
    let copy = copy_jobs.min(left / 3).max(1);
    (copy, (left.saturating_sub(copy) / 2).clamp(1, REPLAY_JOBS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_fit_the_connections() {
        assert_eq!(split(2, None), (2, 4));
        for connections in 7..40 {
            let (copy, replay) = split(2, Some(connections));
            assert!(copy >= 1 && replay >= 1 && copy + 2 * replay + UPKEEP <= connections, "{connections}");
        }
        assert_eq!(split(2, Some(14)), (2, 4));
        assert_eq!(split(64, Some(7)), (1, 1));
    }
}
