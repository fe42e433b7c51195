//! What an upgrade does at a consistent point: it begins at one, and asks the checkpoints at another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Progress;
use crate::checkpoint::{self, Rows};
use crate::engine::Lease;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::pair::{self, Sides};
use crate::point::{self, Made, Obstacle, Point, Reads, Worker};
use crate::settings::{DatabaseSettings, Settings};
use crate::status::Board;

/// A database whose lease is held.
pub(super) struct Held<'a> {
    pub(super) sides: &'a Sides,
    pub(super) database: &'a DatabaseSettings,
    pub(super) settings: &'a Arc<Settings>,
    pub(super) ledger: &'a Ledger,
    pub(super) board: &'a Board,
    pub(super) lease: &'a mut dyn Lease,
    /// How long draining may take.
    pub(super) timeout: Duration,
    pub(super) progress: Progress<'a>,
}

impl Held<'_> {
    /// Brings the target to one instant of production's: scripts that read several tables together, or make
    /// foreign keys, find them so. Without one, where a table or the server is in the way: that is told.
    ///
    /// # Errors
    /// [`crate::error::Kind::Refused`] when a later try may do; what connections and the lease say.
    pub(super) async fn make_point(self) -> Result<Option<Point>> {
        let (stop, name) = (CancellationToken::new(), &self.database.name);
        let prepared = pair::prepare_again(self.sides, self.database, self.settings, self.ledger, self.board);
        let (pair, generations) = Box::pin(prepared).await?;
        let pair = Arc::new(pair);
        let until = Instant::now() + self.timeout.max(self.settings.replay.point_timeout);
        let (lease, generations) = (self.lease, &generations);
        let mut worker = Worker { pair: &pair, generations, lease, stop: &stop, until };
        let no = match point::make(&mut worker, Reads::Dirty).await? {
            Made::Point(point) => {
                (self.progress)(&format!("{name}: the target is equal to production at {}", point.at));
                return Ok(Some(point));
            }
            Made::No(no) => no,
        };
        if no.obstacle == Obstacle::Passing {
            let what = format!("database {name}: no consistent point could be made: {}", no.why);
            return Err(Error::refused(what)
                .remedy("begin again when production writes less, or raise replay.point_timeout"));
        }
        let what = "the target is not at a consistent point";
        let risk = "a script that makes a foreign key may fail";
        (self.progress)(&format!("{name}: warning: {what}: {}; {risk}", no.why));
        Ok(None)
    }

    /// Asks the checkpoints at a consistent point.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotConverged`] when one fails; what connections and the lease say.
    pub(super) async fn ask_checkpoints(self) -> Result<()> {
        if self.database.checkpoints.is_empty() {
            return Ok(());
        }
        let (stop, name) = (CancellationToken::new(), &self.database.name);
        let all = (self.sides, self.database, self.settings);
        let until = Instant::now() + self.timeout;
        let asked = checkpoint::under_lease(all, self.ledger, self.board, self.lease, (until, &stop)).await?;
        if let Rows::Moving(why) = &asked.rows {
            let again = "`highwater verify --checkpoints` asks them again";
            (self.progress)(&format!(
                "{name}: checkpoints were asked without a consistent point ({why}): {again}"
            ));
        }
        match checkpoint::failure(name, &asked.outcomes) {
            None => Ok(()),
            Some(failure) => Err(failure.remedy(
                "the upgrade is done and replay goes on; correct that on the target, then `highwater verify \
                 --checkpoints`",
            )),
        }
    }
}
