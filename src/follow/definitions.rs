//! Indexes, keys and views of the target that highwater makes itself, once every table is drained.

use tokio::time::Instant;

use super::{BACKOFF, Beside, Done, Follow, Goal, ROUNDS, Tracked};
use crate::copy;
use crate::engine::Stage;
use crate::error::{Error, Kind, Result};
use crate::state::Task;

/// How far the target's own indexes, keys and views are, where highwater makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Definitions {
    /// Some are left for when every table is drained; tried again from then on, after failures.
    Open {
        /// When.
        at: Instant,
        /// How often it failed for what the rows hold.
        failures: u32,
    },
    /// A job makes them.
    Making {
        /// As above.
        failures: u32,
    },
    /// None are left.
    Made,
}

impl Follow {
    /// Makes what is left of the definitions, once every table is drained past its last chunk: a unique
    /// index would not take a row that is stale.
    pub(super) fn start_define(&mut self, now: Instant) {
        let Definitions::Open { at, failures } = self.definitions else { return };
        let ready = |(label, t): (&String, &Tracked)| t.is_settled() || self.has_reached(label);
        if now < at || self.standing.forbids(Task::Define).is_some() || !self.tables.iter().all(ready) {
            return;
        }
        self.definitions = Definitions::Making { failures };
        let pair = self.pair.clone();
        let define = async move {
            copy::define(&pair, Stage::Unique, None).await?;
            copy::define(&pair, Stage::Rest, None).await?;
            Ok(Done::Defined)
        };
        self.spawn_beside(Beside::Define, define);
    }

    /// The definitions are made; or they found rows that collide, and wait for replay to move on.
    pub(super) fn defined(&mut self, done: Result<Done>) -> Result<()> {
        let failures = match self.definitions {
            Definitions::Making { failures } => failures + 1,
            Definitions::Open { .. } | Definitions::Made => 1,
        };
        let one_shot = !matches!(self.goal, Goal::Forever);
        match done {
            Ok(_) => self.definitions = Definitions::Made,
            Err(error) if error.ends_work() || (one_shot && error.ends_command()) => return Err(error),
            Err(error) if failures >= ROUNDS && one_shot => {
                return Err(Error::new(Kind::NotConverged, error.summary())
                    .remedy("see the rows that it names; then run it again: nothing is lost"));
            }
            Err(error) => {
                tracing::warn!(error = %error.summary(), "an index or a constraint is made later");
                self.definitions =
                    Definitions::Open { at: Instant::now() + BACKOFF.0 * 2 * failures, failures };
            }
        }
        Ok(())
    }
}
