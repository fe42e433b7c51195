//! The upgrade of the target's schema, by scripts or by whatever the vendor has for it.
//!
//! Crash story. `begin` is one transaction: the phase, which every transaction that writes rows looks at
//! under the lock that `begin` waits for, so nothing is in flight when it returns. Scripts record in the
//! session that runs them how far they are (see `scripts`). `done` is one transaction too: the plans, what
//! counts as copied under them, the instant of the upgrade, the phase. What stands between reads, or finds
//! the same when it is repeated. So the command can die anywhere and be given again.

mod at_point;
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cutover::take_lease;
use crate::engine::Lease;
use crate::error::{Error, Result};
use crate::fault;
use crate::ledger::{Actor, Entry, Ledger, ScriptState, TableEntry};
use crate::model::{Phase, TableState};
use crate::pair::{self, Sides};
use crate::settings::{DatabaseSettings, Settings, UpgradeOrder};
use crate::settle;
use crate::status::Board;

pub use scripts::ScriptDone;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Replay is paused, and the target left alone.
    Begin,
    /// The target's schema is read again, and replay goes on into it.
    Done,
    /// Both, with the scripts between.
    Scripts,
    /// The change log is purged again.
    Release,
}

/// How an upgrade is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What.
    pub step: Step,
    /// Whether nothing is purged from the change log until it is released.
    pub hold: bool,
    /// With which statement the script that was broken off goes on, from 1.
    pub next: Option<usize>,
    /// How long to wait for the lease.
    pub timeout: Duration,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Upgraded {
    /// The database.
    pub database: String,
    /// Its phase now.
    pub phase: Phase,
    /// When its schema was upgraded, if it is.
    pub upgraded_at: Option<String>,
    /// Since when the change log is held, if it is.
    pub log_held_at: Option<String>,
    /// The scripts.
    pub scripts: Vec<ScriptDone>,
}

/// Tells of progress, a line at a time.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Everything an upgrade works with.
struct Upgrade<'a> {
    sides: Sides,
    database: &'a DatabaseSettings,
    settings: &'a Arc<Settings>,
    ledger: Ledger,
    lease: Box<dyn Lease>,
    board: &'a Board,
    options: Options,
    progress: Progress<'a>,
}

/// Carries out a step of the upgrade of one database. A running daemon hands over meanwhile.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when something forbids it: the phase stays what it was then. What a
/// script ends with. [`crate::error::Kind::NotConverged`] when all of it is done and a checkpoint fails.
pub async fn upgrade(
    settings: &Arc<Settings>,
    database: &DatabaseSettings,
    actor: &Actor,
    options: Options,
    board: &Board,
    progress: Progress<'_>,
) -> Result<Upgraded> {
    let sides = pair::connect(database, settings).await?;
    let known = Ledger::peek(sides.target.clone(), &database.name, actor.clone()).await?;
    let ledger = match known {
        Some(ledger) => ledger,
        // Before the copy there need not be one yet.
        None if begins_before_copy(database, options.step) => {
            Ledger::open(sides.target.clone(), &settings.migration, &database.name, actor.clone()).await?
        }
        None => {
            let what =
                format!("database {}: not every table is copied: nothing is copied yet", database.name);
            return Err(Error::refused(what).remedy("`highwater run` (or `highwater copy`) first"));
        }
    };
    let stop = CancellationToken::new();
    let lease = take_lease(&sides, &ledger, Instant::now() + options.timeout, &stop).await?;
    ledger.name_holder().await?;
    let mut upgrade = Upgrade { sides, database, settings, ledger, lease, board, options, progress };
    let mut outcome = upgrade.carry_out().await;
    if outcome.is_ok() && matches!(options.step, Step::Done | Step::Scripts) {
        // What does not hold is told; the upgrade is done and replay goes on all the same.
        if let Err(failure) = upgrade.held().ask_checkpoints().await {
            outcome = Err(failure);
        }
    }
    let released = upgrade.lease.release().await;
    let scripts = outcome?;
    released?;
    let entry = upgrade.ledger.read().await?;
    Ok(Upgraded {
        database: database.name.clone(),
        phase: entry.phase,
        upgraded_at: entry.upgraded_at,
        log_held_at: entry.log_held_at,
        scripts,
    })
}

impl Upgrade<'_> {
    async fn carry_out(&mut self) -> Result<Vec<ScriptDone>> {
        if self.options.hold && self.options.step != Step::Begin {
            self.ledger.hold_log(true).await?;
        }
        match self.options.step {
            Step::Begin => self.begin().await?,
            Step::Done => self.done().await?,
            Step::Release => self.ledger.hold_log(false).await?,
            Step::Scripts => return Box::pin(self.scripts()).await,
        }
        Ok(Vec::new())
    }

    async fn scripts(&mut self) -> Result<Vec<ScriptDone>> {
        if self.database.upgrade.scripts.is_empty() {
            return Err(Error::usage(format!("database {}: no script is named", self.database.name)).remedy(
                "name them in upgrade.scripts; or `highwater upgrade --begin`, upgrade the target by the vendor's \
                 own means, `highwater upgrade --done`",
            ));
        }
        let session = self.sides.target.script().await?;
        let scripts = scripts::read(&self.database.upgrade, session.as_ref())?;
        drop(session);
        let entry = self.ledger.read().await?;
        if entry.phase != Phase::Upgrading
            && entry.upgraded_at.is_some()
            && !scripts::is_further(&self.ledger, &scripts).await?
        {
            return Ok(Vec::new());
        }
        self.begin().await?;
        let done = scripts::run(scripts::Running {
            target: self.sides.target.as_ref(),
            ledger: &self.ledger,
            lease: self.lease.as_mut(),
            runner: self.database.upgrade.runner,
            next: self.options.next,
            progress: self.progress,
            scripts: &scripts,
        })
        .await?;
        self.done().await?;
        Ok(done)
    }

    async fn begin(&mut self) -> Result<()> {
        let entry = self.ledger.read().await?;
        match entry.phase {
            Phase::Upgrading => {
                if self.options.hold {
                    self.ledger.hold_log(true).await?;
                }
                return settle::note_pause(self.sides.source.as_ref(), &self.ledger).await;
            }
            Phase::Final => {
                return Err(self.refused("it is final, and its target is the application's"));
            }
            Phase::Copying | Phase::Replaying => {}
        }
        let point = if self.is_before_copy(&entry)? {
            self.check_nothing_copied(&entry)?;
            None
        } else {
            self.check_copied(&entry).await?;
            self.held().make_point().await?
        };
        // The phase is set while replay is held, so that no row is written between.
        let paused = self.pause().await;
        if let Some(point) = point
            && let Err(error) = point.release().await
        {
            // While it is upgraded no row is written; the next holder of the lease ends the hold.
            tracing::warn!(database = %self.database.name, %error, "the hold of replay ends with the lease");
        }
        paused
    }

    fn held(&mut self) -> at_point::Held<'_> {
        at_point::Held {
            sides: &self.sides,
            database: self.database,
            settings: self.settings,
            ledger: &self.ledger,
            board: self.board,
            lease: self.lease.as_mut(),
            timeout: self.options.timeout,
            progress: self.progress,
        }
    }

    async fn pause(&self) -> Result<()> {
        // With the lease held nobody writes; should somebody even so, settling finds another baseline.
        let engine = self.database.target.engine();
        settle::keep_baselines(self.sides.target.as_ref(), &self.ledger, engine).await?;
        fault::point("before_upgrade_begins").await?;
        self.ledger.begin_upgrade(self.options.hold).await?;
        // Dying before leaves rows less well told apart, unless it is begun again.
        settle::note_pause(self.sides.source.as_ref(), &self.ledger).await?;
        (self.progress)(&format!("{}: replay is paused, nothing is in flight", self.database.name));
        fault::point("after_upgrade_begins").await
    }

    /// Whether the schema is upgraded before anything is copied.
    fn is_before_copy(&self, entry: &Entry) -> Result<bool> {
        Ok(match self.database.upgrade.order {
            // The order is that of the first upgrade; later ones come when they come.
            _ if entry.upgraded_at.is_some() => !is_begun(entry),
            Some(order) => order == UpgradeOrder::BeforeCopy,
            // Nothing says that it comes after the copy, and nothing is copied.
            None => !self.database.upgrade.is_after_copy() && !is_begun(entry),
        })
    }

    fn check_nothing_copied(&self, entry: &Entry) -> Result<()> {
        if is_begun(entry) {
            return Err(self
                .refused("rows are copied already, but upgrade.order is \"before-copy\"")
                .remedy("set upgrade.order = \"after-copy\", or `highwater clean` and begin anew"));
        }
        Ok(())
    }

    async fn check_copied(&self, entry: &Entry) -> Result<()> {
        let open: Vec<String> = entry
            .tables
            .iter()
            .filter(|t| !is_copied(t))
            .map(|t| format!("{} is {}", t.label, t.state))
            .collect();
        if entry.tables.is_empty() || !open.is_empty() {
            let what = if open.is_empty() { "nothing is copied yet".to_string() } else { open.join("; ") };
            return Err(self
                .refused(&format!("not every table is copied: {what}"))
                .remedy("wait for the copy: `highwater status --watch`; then begin again"));
        }
        if !self.ledger.open_definitions().await?.is_empty() {
            return Err(self
                .refused("indexes, keys or views of the old schema are still to be made on the target")
                .remedy("let `highwater run` go on until it has made them; then begin again"));
        }
        Ok(())
    }

    /// Plans anew, finds out whose rows are whose, and lets replay go on.
    async fn done(&mut self) -> Result<()> {
        let entry = self.ledger.read().await?;
        match (entry.phase, &entry.upgraded_at) {
            (Phase::Upgrading, _) => {}
            (_, Some(_)) => return Ok(()),
            (_, None) => {
                return Err(self
                    .refused("no upgrade was begun")
                    .remedy("`highwater upgrade --begin` first, before the target is touched"));
            }
        }
        self.check_scripts_done().await?;
        (self.progress)(&format!("{}: reading the upgraded schema", self.database.name));
        let pair =
            Box::pin(pair::upgraded(&self.sides, self.database, self.settings, &self.ledger, self.board))
                .await
                .map_err(|e| self.still_upgrading(e))?;
        for warning in pair.plan.warnings.iter().filter(|w| w.table.is_some()) {
            let table = warning.table.as_deref().unwrap_or_default();
            (self.progress)(&format!("{}: warning: {table}: {}", self.database.name, warning.what));
        }
        fault::point("after_upgrade_planned").await?;
        (self.progress)(&format!("{}: settling whose rows are whose", self.database.name));
        for table in settle::settle(&pair).await.map_err(|e| self.still_upgrading(e))? {
            (self.progress)(&format!(
                "{}: {}: the upgrade made {} rows and deleted {}",
                self.database.name, table.label, table.native, table.removed
            ));
        }
        let phase = if is_begun(&entry) { Phase::Replaying } else { Phase::Copying };
        fault::point("before_upgrade_ends").await?;
        self.lease.check().await?;
        self.ledger.end_upgrade(&pair.plan.hash, &pair.plan.tables, phase).await?;
        fault::point("after_upgrade_ends").await
    }

    async fn check_scripts_done(&self) -> Result<()> {
        let begun = self.ledger.scripts().await?;
        let Some(open) = begun.iter().find(|s| s.state != ScriptState::Done) else {
            let named = self.database.upgrade.scripts.len();
            if !begun.is_empty() && begun.len() < named {
                let what = format!("{} of {named} scripts have run", begun.len());
                return Err(self.refused(&what).remedy("`highwater upgrade` runs the others, and ends it"));
            }
            return Ok(());
        };
        Err(self
            .refused(&format!("{} has run up to statement {} only", open.path, open.statements))
            .remedy("`highwater upgrade` goes on with it, and ends the upgrade"))
    }

    fn refused(&self, what: &str) -> Error {
        Error::refused(format!("database {}: {what}", self.database.name))
    }

    fn still_upgrading(&self, error: Error) -> Error {
        let remedy = error.remedy_text().map(|r| format!("{r}; ")).unwrap_or_default();
        error.remedy(format!(
            "{remedy}the database is still being upgraded, nothing is lost: mend that, then `highwater upgrade \
             --done`"
        ))
    }
}

fn begins_before_copy(database: &DatabaseSettings, step: Step) -> bool {
    matches!(step, Step::Begin | Step::Scripts) && !database.upgrade.is_after_copy()
}

/// Whether a table is copied, though it may have stopped since: such as for an upgrade that was not
/// announced.
fn is_copied(table: &TableEntry) -> bool {
    let (done, all) = table.chunks;
    match table.state {
        TableState::Replaying => true,
        TableState::Stopped => table.watermark.is_some() && done == all,
        TableState::Waiting | TableState::Copying | TableState::Reloading => false,
    }
}

/// Whether a table's copy was begun.
fn is_begun(entry: &Entry) -> bool {
    entry.tables.iter().any(|t| t.origin.is_some())
}

/// Refuses what has no place while the schema is upgraded.
///
/// # Errors
/// [`crate::error::Kind::Refused`] in the phase [`Phase::Upgrading`].
pub fn refuse_while_upgrading(database: &str, entry: &Entry) -> Result<()> {
    if entry.phase != Phase::Upgrading {
        return Ok(());
    }
    let since = entry.phase_since.as_ref().map(|at| format!(" since {at}")).unwrap_or_default();
    Err(Error::refused(format!("database {database}: its target's schema is being upgraded{since}"))
        .remedy("once the upgrade has ended: `highwater upgrade --done`"))
}

/// Refuses to end with a target that the settings say is to be upgraded first.
///
/// # Errors
/// [`crate::error::Kind::Refused`] as long as an upgrade that follows the copy is not done, or scripts of it were
/// added since; when the target can't be read.
pub async fn refuse_before_it(database: &DatabaseSettings, ledger: &Ledger, entry: &Entry) -> Result<()> {
    if !database.upgrade.is_after_copy() || entry.phase == Phase::Final {
        return Ok(());
    }
    let named = database.upgrade.scripts.len();
    let what = match (&entry.upgraded_at, ledger.scripts().await?.len()) {
        (None, _) => "an upgrade after the copy, and the target's schema is the old one still".to_string(),
        (Some(_), ran) if 0 < ran && ran < named => format!("{named} scripts, and {ran} of them have run"),
        (Some(_), _) => return Ok(()),
    };
    let what = format!("database {}: the settings name {what}", database.name);
    Err(Error::refused(what).remedy(
        "`highwater upgrade` first; if the target is wanted as it is, take `upgrade` out of the settings",
    ))
}
