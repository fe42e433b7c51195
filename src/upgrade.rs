//! The upgrade of the target's schema, by scripts or by whatever the vendor has for it.
//!
//! Crash story. `begin` is one transaction: the phase, which every transaction that writes rows looks at
//! under the lock that `begin` waits for, so nothing is in flight when it returns. Scripts record in the
//! session that runs them how far they are (see `scripts`). `done` is one transaction too: the plans, what
//! counts as copied under them, the instant of the upgrade, the phase. What stands between reads, or finds
//! the same when it is repeated. So the command can die anywhere and be given again.

mod at_point;
mod scripts;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cutover::take_lease;
use crate::engine::Lease;
use crate::error::{Error, Result};
use crate::fault;
use crate::ledger::{Actor, Entry, Ledger, ScriptState, TableEntry};
use crate::model::TableName;
use crate::pair::{self, Pair, Sides};
use crate::settings::{DatabaseSettings, Settings, UpgradeOrder};
use crate::settle;
use crate::state::{Phase, TableState};
use crate::status::Board;

pub use scripts::ScriptDone;
use scripts::ScriptText;

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

/// What is looked at before anything is touched.
struct Base<'a> {
    sides: Sides,
    database: &'a DatabaseSettings,
    settings: &'a Arc<Settings>,
    ledger: Ledger,
    board: &'a Board,
}

/// Everything an upgrade works with.
struct Upgrade<'a> {
    base: Base<'a>,
    lease: Box<dyn Lease>,
    options: Options,
    progress: Progress<'a>,
}

/// Whether a step is still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Due,
    Done,
}

/// Looks whether anything forbids a step, without touching anything. Where several databases are upgraded, all of
/// them are looked at before the first is touched.
///
/// # Errors
/// What [`upgrade`] would end with before it does anything.
pub async fn check(
    settings: &Arc<Settings>,
    database: &DatabaseSettings,
    actor: &Actor,
    step: Step,
    board: &Board,
) -> Result<()> {
    let sides = pair::connect(database, settings).await?;
    let Some(ledger) = Ledger::peek(sides.target.clone(), &database.name, actor.clone()).await? else {
        let is_first = begins_before_copy(database, step);
        return if is_first || step == Step::Release { Ok(()) } else { Err(nothing_copied(database)) };
    };
    let base = Base { sides, database, settings, ledger, board };
    let entry = base.ledger.read().await?;
    match step {
        Step::Release => Ok(()),
        Step::Begin => base.may_begin(&entry).await.map(drop),
        Step::Done => match base.may_end(&entry).await? {
            Need::Due => base.planned().await.map(drop),
            Need::Done => Ok(()),
        },
        Step::Scripts => {
            let scripts = base.scripts().await?;
            match base.needs_scripts(&entry, &scripts).await? {
                Need::Due => base.may_begin(&entry).await.map(drop),
                Need::Done => Ok(()),
            }
        }
    }
}

fn nothing_copied(database: &DatabaseSettings) -> Error {
    let what = format!("database {}: not every table is copied: nothing is copied yet", database.name);
    Error::refused(what).remedy("`highwater run` (or `highwater copy`) first")
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
        None => return Err(nothing_copied(database)),
    };
    let stop = CancellationToken::new();
    let lease = take_lease(&sides, &ledger, Instant::now() + options.timeout, &stop).await?;
    let ledger = pair::take_term(&sides, &ledger).await?;
    let base = Base { sides, database, settings, ledger, board };
    let mut upgrade = Upgrade { base, lease, options, progress };
    let mut outcome = upgrade.carry_out().await;
    if outcome.is_ok() && matches!(options.step, Step::Done | Step::Scripts) {
        // What does not hold is told; the upgrade is done and replay goes on all the same.
        if let Err(failure) = upgrade.held().ask_checkpoints().await {
            outcome = Err(failure);
        }
    }
    let Upgrade { base, lease, .. } = upgrade;
    let released = lease.release().await;
    let scripts = outcome?;
    released?;
    let entry = base.ledger.read().await?;
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
            self.base.ledger.hold_log(true).await?;
        }
        match self.options.step {
            Step::Begin => self.begin().await?,
            Step::Done => self.done().await?,
            Step::Release => self.base.ledger.hold_log(false).await?,
            Step::Scripts => return Box::pin(self.scripts()).await,
        }
        Ok(Vec::new())
    }

    async fn scripts(&mut self) -> Result<Vec<ScriptDone>> {
        let scripts = self.base.scripts().await?;
        let entry = self.base.ledger.read().await?;
        if self.base.needs_scripts(&entry, &scripts).await? == Need::Done {
            return Ok(Vec::new());
        }
        self.begin().await?;
        let upgrade = &self.base.database.upgrade;
        let done = scripts::run(scripts::Running {
            target: self.base.sides.target.as_ref(),
            ledger: &self.base.ledger,
            lease: self.lease.as_mut(),
            runner: upgrade.runner,
            transaction: upgrade.transaction,
            next: self.options.next,
            progress: self.progress,
            scripts: &scripts,
        })
        .await?;
        self.done().await?;
        Ok(done)
    }

    async fn begin(&mut self) -> Result<()> {
        let Base { sides, ledger, .. } = &self.base;
        let entry = ledger.read().await?;
        if self.base.may_begin(&entry).await? == Need::Done {
            if self.options.hold {
                ledger.hold_log(true).await?;
            }
            return settle::note_pause(sides.source.as_ref(), ledger).await;
        }
        let point = match self.base.is_before_copy(&entry) {
            true => None,
            false => self.held().make_point().await?,
        };
        // The phase is set while replay is held, so that no row is written between.
        let paused = self.pause().await;
        if let Some(point) = point
            && let Err(error) = point.release().await
        {
            // While it is upgraded no row is written; the next holder of the lease ends the hold.
            tracing::warn!(database = %self.base.database.name, %error, "the hold of replay ends with the lease");
        }
        paused
    }

    fn held(&mut self) -> at_point::Held<'_> {
        at_point::Held {
            sides: &self.base.sides,
            database: self.base.database,
            settings: self.base.settings,
            ledger: &self.base.ledger,
            board: self.base.board,
            lease: self.lease.as_mut(),
            timeout: self.options.timeout,
            progress: self.progress,
        }
    }

    async fn pause(&self) -> Result<()> {
        let Base { sides, ledger, database, .. } = &self.base;
        // With the lease held nothing else writes; if something does even so, classifying finds another baseline.
        settle::keep_baselines(sides.target.as_ref(), ledger).await?;
        fault::point("before_upgrade_begins").await?;
        ledger.begin_upgrade(self.options.hold).await?;
        // Dying before leaves rows less well told apart, unless it is begun again.
        settle::note_pause(sides.source.as_ref(), ledger).await?;
        (self.progress)(&format!("{}: replay is paused, nothing is in flight", database.name));
        fault::point("after_upgrade_begins").await
    }

    /// Plans by the upgraded schema, classifies rows by origin, and lets replay go on.
    async fn done(&mut self) -> Result<()> {
        let name = &self.base.database.name;
        let entry = self.base.ledger.read().await?;
        if self.base.may_end(&entry).await? == Need::Done {
            return Ok(());
        }
        (self.progress)(&format!("{name}: reading the upgraded schema"));
        let pair = self.base.planned().await?;
        for warning in pair.plan.warnings.iter().filter(|w| w.table.is_some()) {
            let table = warning.table.as_deref().unwrap_or_default();
            (self.progress)(&format!("{name}: warning: {table}: {}", warning.what));
        }
        fault::point("after_upgrade_planned").await?;
        (self.progress)(&format!("{name}: classifying rows by origin"));
        for table in settle::settle(&pair).await.map_err(|e| self.base.still_upgrading(e))? {
            (self.progress)(&format!(
                "{name}: {}: the upgrade made {} rows and deleted {}",
                table.label, table.native, table.removed
            ));
        }
        fault::point("before_upgrade_ends").await?;
        self.lease.check().await?;
        self.base.ledger.end_upgrade(&pair.plan, &left_out(&pair), is_begun(&entry)).await?;
        fault::point("after_upgrade_ends").await
    }
}

/// The source tables that the settings exclude: what `--done` was declared under, as rules are.
fn left_out(pair: &Pair) -> Vec<String> {
    let is_excluded = |name: &&TableName| !pair.database.wants(name.schema.as_deref(), &name.name);
    pair.plan.excluded.iter().filter(is_excluded).map(ToString::to_string).collect()
}

impl Base<'_> {
    /// Whether the upgrade is still to be begun; an error where it may not be.
    async fn may_begin(&self, entry: &Entry) -> Result<Need> {
        match entry.phase {
            Phase::Upgrading => return Ok(Need::Done),
            Phase::Final => return Err(self.refused("it is final, and its target is the application's")),
            Phase::Copying | Phase::Replaying => {}
        }
        if self.is_before_copy(entry) {
            self.check_nothing_copied(entry)?;
        } else {
            self.check_copied(entry).await?;
        }
        Ok(Need::Due)
    }

    /// Whether the upgrade is still to be ended; an error where it may not be.
    async fn may_end(&self, entry: &Entry) -> Result<Need> {
        match (entry.phase, &entry.upgraded_at) {
            (Phase::Upgrading, _) => self.check_scripts_done().await.map(|()| Need::Due),
            (_, Some(_)) => Ok(Need::Done),
            (_, None) => Err(self
                .refused("no upgrade was begun")
                .remedy("`highwater upgrade --begin` first, before the target is touched")),
        }
    }

    /// What is to be replayed into the upgraded schema.
    async fn planned(&self) -> Result<Pair> {
        let planned = pair::upgraded(&self.sides, self.database, self.settings, &self.ledger, self.board);
        Box::pin(planned).await.map_err(|e| self.still_upgrading(e))
    }

    /// The scripts, read and taken apart.
    async fn scripts(&self) -> Result<Vec<ScriptText>> {
        if self.database.upgrade.scripts.is_empty() {
            return Err(Error::usage(format!("database {}: no script is named", self.database.name)).remedy(
                "name them in upgrade.scripts; or `highwater upgrade --begin`, upgrade the target by the vendor's \
                 own means, `highwater upgrade --done`",
            ));
        }
        let session = self.sides.target.script().await?;
        let scripts = scripts::read(&self.database.upgrade, session.as_ref())?;
        scripts::check_client(&self.database.upgrade, self.sides.target.as_ref()).await?;
        Ok(scripts)
    }

    /// Whether scripts are still to be run, in an upgrade that is under way, the first or a further one.
    async fn needs_scripts(&self, entry: &Entry, scripts: &[ScriptText]) -> Result<Need> {
        let is_done = entry.phase != Phase::Upgrading && entry.upgraded_at.is_some();
        let further = !is_done || scripts::is_further(&self.ledger, scripts).await?;
        Ok(if further { Need::Due } else { Need::Done })
    }

    /// Whether the schema is upgraded before anything is copied.
    fn is_before_copy(&self, entry: &Entry) -> bool {
        match self.database.upgrade.order {
            // The order is that of the first upgrade; later ones come when they come.
            _ if entry.upgraded_at.is_some() => !is_begun(entry),
            Some(order) => order == UpgradeOrder::BeforeCopy,
            // Nothing says that it comes after the copy, and nothing is copied.
            None => !self.database.upgrade.is_after_copy() && !is_begun(entry),
        }
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
            // What the last upgrade left out may be part of this one.
            .filter(|t| !is_copied(t) && !entry.left_out.contains(&t.label))
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
            "{remedy}the database is still being upgraded, nothing is lost: correct that, then `highwater upgrade \
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
        TableState::Waiting | TableState::Copying | TableState::Resyncing => false,
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
