//! For how long production could not write.

use serde::Serialize;
use tokio::time::Instant;

/// What is done under the fence, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The triggers of the fence are made, and every session that has written is waited for.
    Raise,
    /// Writes are refused, and no prepared transaction is left.
    Prove,
    /// What was written before is applied.
    Drain,
    /// The sequences are moved.
    Sequences,
    /// What has changed is looked at, and the outcome recorded.
    Check,
}

impl Step {
    pub(super) fn name(self) -> &'static str {
        match self {
            Step::Raise => "raise",
            Step::Prove => "prove",
            Step::Drain => "drain",
            Step::Sequences => "sequences",
            Step::Check => "check",
        }
    }
}

/// For how long production could not write, in seconds: from before the first trigger of the fence until the
/// target was final, and of that each step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Outage {
    /// All of it.
    pub seconds: f64,
    /// The fence went up.
    pub raise: f64,
    /// It was proved.
    pub prove: f64,
    /// What was written before was applied.
    pub drain: f64,
    /// The sequences were moved.
    pub sequences: f64,
    /// What had changed was looked at, and the outcome recorded.
    pub check: f64,
}

/// Takes the time of the steps.
pub(super) struct Clock {
    database: String,
    began: Instant,
    step: Option<(Step, Instant)>,
    outage: Outage,
}

impl Clock {
    pub(super) fn start(database: &str) -> Self {
        Clock { database: database.to_string(), began: Instant::now(), step: None, outage: Outage::default() }
    }

    /// The step that is being done, for messages.
    pub(super) fn at(&self) -> &'static str {
        self.step.map_or("begin", |(step, _)| step.name())
    }

    /// The step before is over, and this one begins.
    pub(super) fn step(&mut self, step: Step) {
        self.close();
        self.step = Some((step, Instant::now()));
        tracing::info!(database = %self.database, step = step.name(), "production is fenced");
    }

    /// Milliseconds since the fence began to go up.
    pub(super) fn milliseconds(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// All steps are over.
    pub(super) fn end(mut self) -> Outage {
        self.close();
        self.outage.seconds = self.began.elapsed().as_secs_f64();
        self.outage
    }

    fn close(&mut self) {
        let Some((step, since)) = self.step.take() else { return };
        let seconds = since.elapsed().as_secs_f64();
        match step {
            Step::Raise => self.outage.raise += seconds,
            Step::Prove => self.outage.prove += seconds,
            Step::Drain => self.outage.drain += seconds,
            Step::Sequences => self.outage.sequences += seconds,
            Step::Check => self.outage.check += seconds,
        }
        tracing::info!(database = %self.database, step = step.name(), seconds, "done");
    }
}
