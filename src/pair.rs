//! A database at work: both sides connected, the plan, the ledger.

mod jobs;
mod term;
mod unannounced;

use std::collections::HashSet;
use std::sync::Arc;

use crate::copy;
use crate::engine::{self, CaptureHere, Feed, Identity, Options, Origin, Source, Target};
use crate::error::{At, Error, Kind, Result};
use crate::ledger::{self, Actor, Entry, Ledger, Nonce};
use crate::model::{Finding, Plan, Schema, TableName, TablePlan};
use crate::plan::{self, Circumstances, TableDiff};
use crate::settings::{DatabaseSettings, Settings};
use crate::state::{Phase, TableState, Task};
use crate::status::Board;
use crate::throttle::Throttle;

pub use term::take_term;
pub use unannounced::unannounced;
use unannounced::{included_since_upgrade, keep_unannounced};

/// Both sides of a database, connected.
#[derive(Clone)]
pub struct Sides {
    /// Where rows come from.
    pub source: Arc<dyn Source>,
    /// Where they go to.
    pub target: Arc<dyn Target>,
    /// Which database the source is.
    pub identity: Identity,
}

/// A database at work.
pub struct Pair {
    /// Its settings.
    pub database: DatabaseSettings,
    /// All settings.
    pub settings: Arc<Settings>,
    /// Both sides.
    pub sides: Sides,
    /// The ledger on the target.
    pub ledger: Ledger,
    /// What is done with each table.
    pub plan: Plan,
    /// The epoch all work of this pair belongs to.
    pub epoch: i64,
    /// Where its status is shown.
    pub board: Board,
    /// The hold of replay under which it writes rows, while a consistent point is made.
    pub hold: Option<Nonce>,
}

impl Pair {
    /// The same pair, which reads from `source` and writes under `hold`.
    pub fn held(&self, source: Arc<dyn Source>, hold: Nonce) -> Pair {
        Pair {
            database: self.database.clone(),
            settings: self.settings.clone(),
            sides: Sides { source, ..self.sides.clone() },
            ledger: self.ledger.clone(),
            plan: self.plan.clone(),
            epoch: self.epoch,
            board: self.board.clone(),
            hold: Some(hold),
        }
    }

    /// The origin under which a table is copied now, given its log's generation.
    pub fn origin(&self, table: &TablePlan, generation: &str) -> Origin {
        Origin {
            identity: self.sides.identity.clone(),
            generation: generation.to_string(),
            shape: table.shape(),
        }
    }
}

/// Connects to both sides of a database.
///
/// # Errors
/// When one can't be reached, or when both are the same database.
pub async fn connect(database: &DatabaseSettings, settings: &Settings) -> Result<Sides> {
    let options = options(settings);
    let (source, target) =
        tokio::join!(engine::source(&database.source, &options), engine::target(&database.target, &options));
    let place = format!("database {}", database.name);
    let (source, target) = (source.at(&place)?, target.at(&place)?);
    let identity = source.identity().await?;
    let other = target.identity().await?;
    if !identity.database.is_empty() && identity.database == other.database {
        return Err(Error::refused(format!(
            "database {}: source and target are the same database",
            database.name
        ))
        .remedy("look at the two URLs"));
    }
    Ok(Sides { source, target, identity })
}

/// Connects to the source alone.
///
/// # Errors
/// When it can't be reached.
pub async fn source(database: &DatabaseSettings, settings: &Settings) -> Result<Arc<dyn Source>> {
    engine::source(&database.source, &options(settings)).await.at(format!("database {}", database.name))
}

/// Connects to the target alone.
///
/// # Errors
/// When it can't be reached.
pub async fn target(database: &DatabaseSettings, settings: &Settings) -> Result<Arc<dyn Target>> {
    engine::target(&database.target, &options(settings)).await.at(format!("database {}", database.name))
}

fn options(settings: &Settings) -> Options {
    Options {
        migration: settings.migration.clone(),
        lock_timeout: settings.capture.lock_timeout,
        connections: jobs::connections(settings),
        throttle: Arc::new(Throttle::new(settings.throttle.max_rows_per_second)),
    }
}

/// Reads both schemas and decides what is done with each table, or what forbids it. Touches nothing.
///
/// # Errors
/// When a side can't be read.
pub async fn plan(
    sides: &Sides,
    database: &DatabaseSettings,
    settings: &Settings,
    ledger: Option<&Ledger>,
) -> Result<Plan> {
    let circumstances = circumstances(settings, ledger).await?;
    let began = match ledger {
        Some(ledger) => ledger.read().await?.identity.is_some(),
        None => false,
    };
    plan_in(sides, database, &circumstances, ledger, began).await
}

/// Plans under given circumstances; `began`: the first copy has.
async fn plan_in(
    sides: &Sides,
    database: &DatabaseSettings,
    circumstances: &Circumstances,
    ledger: Option<&Ledger>,
    began: bool,
) -> Result<Plan> {
    let (source, target) = tokio::try_join!(sides.source.schema(), sides.target.schema())?;
    let mut plan = plan::make(database, circumstances, &source, &target);
    let both = (sides.source.as_ref(), sides.target.as_ref());
    plan::try_rules(&mut plan, database, both, (&source, &target)).await?;
    let (of_source, of_target) =
        tokio::try_join!(sides.source.survey(&source, &plan), sides.target.survey(&target, &plan))?;
    plan::add_surveys(&mut plan, of_source, of_target);
    if !began {
        let filled = filled_targets(sides, ledger, &plan).await?;
        plan.blockers.extend(filled);
    }
    match sides.target.capture_here().await? {
        CaptureHere::None => {}
        CaptureHere::Foreign => plan.warnings.push(Finding::general(
            "the target holds a change log that came with a dump of another database",
            "nothing: copy removes it",
        )),
        CaptureHere::Own => plan.blockers.push(Finding::general(
            "the target is itself the source of this migration: are source and target swapped?",
            "look at the two URLs; if they are right, `highwater clean` the other way round first",
        )),
    }
    Ok(plan)
}

/// How the schemas of both sides differ under a plan, with the rows of the source counted that would not
/// fit. May read whole tables of the source where they differ.
///
/// # Errors
/// When a side can't be read.
pub async fn compare(sides: &Sides, database: &DatabaseSettings, plan: &Plan) -> Result<Vec<TableDiff>> {
    let (source, target) = tokio::try_join!(sides.source.schema(), sides.target.schema())?;
    let constraints = tokio::try_join!(sides.source.check_constraints(), sides.target.check_constraints())?;
    let constraints = plan::CheckConstraints { source: constraints.0, target: constraints.1 };
    let mut diffs = plan::diff(database, plan, (&source, &target), &constraints);
    plan::count_misfits(&mut diffs, database.source.engine(), sides.source.as_ref(), &source, plan).await?;
    Ok(diffs)
}

/// What a plan depends on besides schemas and rules, as the ledger has it.
///
/// # Errors
/// When the ledger can't be read.
pub async fn circumstances(settings: &Settings, ledger: Option<&Ledger>) -> Result<Circumstances> {
    let mode = settings.copy.schema;
    Ok(match ledger {
        Some(ledger) => {
            let entry = ledger.read().await?;
            Circumstances {
                mode,
                unfinished: unfinished(ledger).await?,
                begun: begun(&entry),
                // While it is being upgraded, what `upgrade --done` will plan by.
                upgraded: entry.upgraded_at.is_some() || entry.phase == Phase::Upgrading,
                as_of: entry.as_of,
            }
        }
        None => Circumstances {
            mode,
            unfinished: HashSet::new(),
            begun: HashSet::new(),
            upgraded: false,
            as_of: ledger::now(),
        },
    })
}

/// The labels of the tables whose copy was begun.
fn begun(entry: &Entry) -> HashSet<String> {
    entry.tables.iter().filter(|t| t.watermark.is_some()).map(|t| t.label.clone()).collect()
}

/// The labels of the tables that highwater is making on the target and hasn't finished.
///
/// # Errors
/// When the ledger can't be read.
pub async fn unfinished(ledger: &Ledger) -> Result<HashSet<String>> {
    Ok(ledger.open_definitions().await?.into_iter().filter_map(|(_, d)| d.table).collect())
}

/// The error that lists all blockers.
pub fn blocked(database: &str, blockers: &[Finding]) -> Error {
    let list: Vec<String> = blockers
        .iter()
        .map(|b| {
            let table = b.table.as_ref().map(|t| format!("{t}: ")).unwrap_or_default();
            format!("\n  - {table}{}\n    to do: {}", b.what, b.remedy)
        })
        .collect();
    Error::refused(format!("database {database}: {} things forbid it:{}", list.len(), list.concat()))
        .remedy("`highwater plan` shows all of it")
}

/// Makes a database ready for work, with the lease held: plans, opens the ledger, installs capture,
/// and registers the tables. Returns the pair, and for each table of the plan its log's generation or
/// why it has none.
///
/// Order: the ledger knows the source before capture is on it, and capture is in force before any
/// extent is taken. Dying anywhere between leaves something that the next start finds and completes.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when something forbids it; nothing is touched then.
pub async fn prepare(
    sides: &Sides,
    database: &DatabaseSettings,
    settings: &Arc<Settings>,
    actor: &Actor,
    board: &Board,
) -> Result<(Pair, Generations)> {
    let known = match Ledger::peek(sides.target.clone(), &database.name, actor.clone()).await? {
        Some(ledger) => Some(take_term(sides, &ledger).await?),
        None => None,
    };
    prepare_under(sides, database, settings, known, actor, board).await
}

/// As [`prepare`], with the term held already: `ledger` holds it.
///
/// # Errors
/// As [`prepare`].
pub async fn prepare_again(
    sides: &Sides,
    database: &DatabaseSettings,
    settings: &Arc<Settings>,
    ledger: &Ledger,
    board: &Board,
) -> Result<(Pair, Generations)> {
    prepare_under(sides, database, settings, Some(ledger.clone()), ledger.actor(), board).await
}

/// As [`prepare`]; `known` is the ledger, where there is one, and holds the term.
async fn prepare_under(
    sides: &Sides,
    database: &DatabaseSettings,
    settings: &Arc<Settings>,
    known: Option<Ledger>,
    actor: &Actor,
    board: &Board,
) -> Result<(Pair, Generations)> {
    let entry = match &known {
        Some(ledger) => Some(ledger.read().await?),
        None => None,
    };
    if let (Some(ledger), Some(entry)) = (&known, &entry)
        && entry.standing().forbids(Task::Prepare).is_some()
    {
        return Box::pin(watch(sides, database, settings, ledger, entry, board)).await;
    }
    let circumstances = circumstances(settings, known.as_ref()).await?;
    let began = entry.as_ref().filter(|e| e.identity.is_some());
    let plan = plan_in(sides, database, &circumstances, known.as_ref(), began.is_some()).await?;
    check_identity(&database.name, began.and_then(|e| e.identity.as_ref()), &sides.identity)?;
    let (mut plan, stopped) = carried(&database.name, plan, entry.as_ref())?;
    if sides.target.capture_here().await? == CaptureHere::Foreign {
        sides.target.remove_foreign_capture().await?;
    }
    let ledger = match known {
        Some(ledger) => ledger,
        None => {
            let made = Ledger::open(sides.target.clone(), &settings.migration, &database.name, actor.clone())
                .await?;
            take_term(sides, &made).await?
        }
    };
    ledger.begin_as_of(&circumstances.as_of).await?;
    let label = |name: &str| tracing::debug!(database = %database.name, table = name, "capture");
    // Those stay captured as they were copied, so that nothing is lost until somebody decides.
    let changed = keep_unannounced(&mut plan, database, entry.as_ref());
    ledger.check_term().await?;
    let mut generations: Generations = sides.source.install(&plan, &label).await?.into_iter().collect();
    ledger.check_term().await?;
    generations.extend(changed);
    // SQLite's identity is made by the installation.
    let identity = sides.source.identity().await?;
    check_identity(&database.name, began.and_then(|e| e.identity.as_ref()), &identity)?;
    if ledger.notice_restore(&plan.tables).await? {
        tracing::warn!(database = %database.name, "the target was restored: replay goes on from there");
    }
    // Those that were not part of the upgrade are registered to be shown as stopped.
    let known = entry.map(|e| e.left_out).unwrap_or_default();
    let left_out = stopped.iter().filter(|t| known.contains(&t.label()));
    let registered: Vec<TablePlan> = plan.tables.iter().chain(left_out).cloned().collect();
    ledger.register(&identity, &plan.hash, &registered).await?;
    stop_others(&ledger, database, &plan).await?;
    let entry = ledger.read().await?;
    let mut pair = Pair {
        database: database.clone(),
        settings: settings.clone(),
        sides: Sides { identity, ..sides.clone() },
        ledger,
        plan,
        epoch: entry.epoch,
        board: board.clone(),
        hold: None,
    };
    make_missing(&mut pair).await?;
    Ok((pair, generations))
}

/// Parts the tables of a plan into those that can be carried and those that something forbids.
fn carried(database: &str, mut plan: Plan, entry: Option<&Entry>) -> Result<(Plan, Vec<TablePlan>)> {
    let included: Vec<Finding> = entry.into_iter().flat_map(|e| included_since_upgrade(&plan, e)).collect();
    plan.blockers.extend(included);
    // Once begun, what forbids one table must not stop the others.
    let began = entry.is_some_and(|e| e.identity.is_some());
    let fatal: Vec<Finding> = plan.blockers.iter().filter(|b| !began || b.table.is_none()).cloned().collect();
    if !fatal.is_empty() {
        return Err(blocked(database, &fatal));
    }
    let forbidden = |t: &TablePlan| plan.blockers.iter().any(|b| b.table.as_deref() == Some(&t.label()));
    let (stopped, tables): (Vec<TablePlan>, Vec<TablePlan>) =
        plan.tables.iter().cloned().partition(forbidden);
    plan.tables = tables;
    plan.excluded.extend(stopped.iter().map(|t| t.source.clone()));
    Ok((plan, stopped))
}

/// Makes the target's missing tables, where that is asked for.
async fn make_missing(pair: &mut Pair) -> Result<()> {
    if !pair.plan.tables.iter().any(|t| t.create) {
        return Ok(());
    }
    copy::make_tables(pair).await?;
    let made = pair.sides.target.schema().await?;
    for table in &mut pair.plan.tables {
        if let Some(found) = made.table(&table.target) {
            table.target_id.clone_from(&found.id);
        }
    }
    Ok(())
}

/// Forgets tables that the settings exclude, and stops those of the ledger that can't be carried, with the reason.
async fn stop_others(ledger: &Ledger, database: &DatabaseSettings, plan: &Plan) -> Result<()> {
    let known = ledger.read().await?;
    for entry in known.tables.iter().filter(|t| plan.table(&t.label).is_none()) {
        let blocker = plan.blockers.iter().find(|b| b.table.as_ref() == Some(&entry.label));
        let unwanted = |name: &TableName| !database.wants(name.schema.as_deref(), &name.name);
        let is_excluded = plan.excluded.iter().any(|name| name.to_string() == entry.label && unwanted(name));
        let reason = match (is_excluded, blocker) {
            (true, _) => {
                ledger.forget(&entry.label).await?;
                continue;
            }
            (false, Some(blocker)) => format!("{}; to do: {}", blocker.what, blocker.remedy),
            (false, None) => {
                "the source has no such table any more; to do: add it to `exclude` if that is meant"
                    .to_string()
            }
        };
        if entry.state != TableState::Stopped {
            tracing::error!(database = %database.name, table = %entry.label, %reason, "table stopped");
        }
        ledger.stop(&entry.label, &reason).await?;
    }
    Ok(())
}

/// Makes a database ready to be looked at while its target is the upgrade's or the application's: with the
/// plans that were kept, as the schema there can't be planned against. During an upgrade capture stays in force.
async fn watch(
    sides: &Sides,
    database: &DatabaseSettings,
    settings: &Arc<Settings>,
    ledger: &Ledger,
    entry: &Entry,
    board: &Board,
) -> Result<(Pair, Generations)> {
    check_identity(&database.name, entry.identity.as_ref(), &sides.identity)?;
    let plan = kept_plan(&sides.source.schema().await?, &database.name, ledger, entry).await?;
    let captures = entry.standing().forbids(Task::Capture).is_none();
    let generations = if captures && entry.identity.is_some() && !plan.tables.is_empty() {
        sides.source.install(&plan, &|_| {}).await?.into_iter().collect()
    } else {
        Generations::new()
    };
    let pair = assemble(sides, database, settings, ledger.clone(), plan, entry.epoch, board);
    Ok((pair, generations))
}

/// The plan that was carried out last, of the tables that the source (with that schema) still has.
///
/// # Errors
/// When the ledger can't be read.
pub async fn kept_plan(schema: &Schema, database: &str, ledger: &Ledger, entry: &Entry) -> Result<Plan> {
    let is_there = |t: &TablePlan| {
        schema.tables.iter().any(|found| found.name == t.source) && !entry.left_out.contains(&t.label())
    };
    let tables: Vec<TablePlan> = ledger.kept_plans().await?.into_iter().filter(is_there).collect();
    let others = schema.tables.iter().map(|t| &t.name).filter(|n| !tables.iter().any(|t| t.source == **n));
    Ok(Plan {
        database: database.to_string(),
        excluded: others.cloned().collect(),
        tables,
        blockers: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        hash: entry.plan_hash.clone().unwrap_or_default(),
    })
}

/// A database whose target's schema was upgraded, planned anew, with the lease held. Nothing is recorded.
///
/// # Errors
/// [`Kind::Refused`] when the upgraded schema can't be replayed into.
pub async fn upgraded(
    sides: &Sides,
    database: &DatabaseSettings,
    settings: &Arc<Settings>,
    ledger: &Ledger,
    board: &Board,
) -> Result<Pair> {
    let entry = ledger.read().await?;
    check_identity(&database.name, entry.identity.as_ref(), &sides.identity)?;
    let circumstances = Circumstances { upgraded: true, ..circumstances(settings, Some(ledger)).await? };
    // Rows that stand there before the copy are the upgrade's: that they are is about to be recorded.
    let plan = plan_in(sides, database, &circumstances, Some(ledger), true).await?;
    if !plan.blockers.is_empty() {
        return Err(blocked(&database.name, &plan.blockers));
    }
    Ok(assemble(sides, database, settings, ledger.clone(), plan, entry.epoch, board))
}

fn assemble(
    sides: &Sides,
    database: &DatabaseSettings,
    settings: &Arc<Settings>,
    ledger: Ledger,
    plan: Plan,
    epoch: i64,
    board: &Board,
) -> Pair {
    Pair {
        database: database.clone(),
        settings: settings.clone(),
        sides: sides.clone(),
        ledger,
        plan,
        epoch,
        board: board.clone(),
        hold: None,
    }
}

/// For each table its log's generation, or why it has none.
pub type Generations = std::collections::BTreeMap<String, Result<String>>;

/// Fails where the source is not the database that the migration began with.
///
/// # Errors
/// [`Kind::Refused`], with what to do.
pub fn check_identity(database: &str, began_with: Option<&Identity>, now: &Identity) -> Result<()> {
    match began_with {
        Some(before) if !before.database.is_empty() && before.database != now.database => Err(Error::foreign(
            format!(
                "database {database}: the source is another database than the one this migration began with \
                 ({} then, {} now)",
                before.database, now.database
            ),
        )
        .remedy(
            "point `source` at the first one; or, if production really moved, `highwater clean` and begin anew",
        )),
        _ => Ok(()),
    }
}

/// What to do about rows that stand in a target table before its first copy.
pub const NOT_EMPTY: &str = "empty it, or add the table to `exclude`; if they are the upgraded schema's own rows, say \
                             so by `highwater upgrade --begin` and `--done` before the copy";

/// A first copy goes into empty tables only: rows that stand there already are somebody's.
async fn filled_targets(sides: &Sides, ledger: Option<&Ledger>, plan: &Plan) -> Result<Vec<Finding>> {
    let mut blockers = Vec::new();
    for table in plan.tables.iter().filter(|t| !t.create) {
        let is_empty = match holds_nothing(sides, ledger, table).await {
            // What can't be read for want of a privilege is a blocker already.
            Err(error) if error.kind() == Kind::Table && !plan.blockers.is_empty() => continue,
            is_empty => is_empty?,
        };
        if !is_empty {
            let what = format!("{} on the target is not empty", table.target);
            blockers.push(Finding::of(&table.source, what, NOT_EMPTY));
        }
    }
    Ok(blockers)
}

/// Whether the target holds no row that could be the table's, besides those that the upgrade is known to
/// have made.
///
/// # Errors
/// When a side can't be read.
pub async fn holds_nothing(sides: &Sides, ledger: Option<&Ledger>, table: &TablePlan) -> Result<bool> {
    let constants: Vec<(&str, &str)> = table.constants().collect();
    let native = match ledger {
        Some(ledger) => ledger.owned(&table.label()).await?.0,
        None => 0,
    };
    // A keyless table has no rows that are known to be anybody's.
    if table.key.is_empty() || (constants.is_empty() && native == 0) {
        return sides.target.is_empty(table).await;
    }
    let mut tx = sides.target.begin().await?;
    let nothing = copy::no_rows(table.form);
    let found = tx.compare_keys(table, Feed::Read(&nothing)).await?;
    Ok(found.target_only.len() as u64 <= native)
}
