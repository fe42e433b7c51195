//! A database at work: both sides connected, the plan, the ledger.

use std::collections::HashSet;
use std::sync::Arc;

use crate::copy;
use crate::engine::{self, CaptureHere, Identity, Options, Origin, Source, Target};
use crate::error::{At, Error, Kind, Result};
use crate::ledger::{Actor, Ledger};
use crate::model::{Finding, Plan, TableName, TablePlan};
use crate::plan;
use crate::settings::{DatabaseSettings, Settings};
use crate::status::Board;
use crate::throttle::Throttle;

/// How many tables replay at the same time.
pub const REPLAY_JOBS: usize = 4;

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
}

impl Pair {
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
    let options = Options {
        migration: settings.migration.clone(),
        lock_timeout: settings.capture.lock_timeout,
        connections: u32::try_from(settings.copy.jobs + 2 * REPLAY_JOBS + 4).unwrap_or(u32::MAX),
        throttle: Arc::new(Throttle::new(settings.throttle.max_rows_per_second)),
    };
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
    let (unfinished, began) = match ledger {
        Some(ledger) => (unfinished(ledger).await?, ledger.read().await?.identity.is_some()),
        None => (HashSet::new(), false),
    };
    let (source, target) = tokio::try_join!(sides.source.schema(), sides.target.schema())?;
    let mut plan = plan::make(database, settings.copy.schema, &source, &target, &unfinished);
    let (of_source, of_target) =
        tokio::try_join!(sides.source.survey(&source, &plan), sides.target.survey(&target, &plan))?;
    plan::add_surveys(&mut plan, of_source, of_target);
    if !began {
        let filled = filled_targets(sides, &plan).await?;
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
    let known = Ledger::peek(sides.target.clone(), &database.name, actor.clone()).await?;
    let mut plan = plan(sides, database, settings, known.as_ref()).await?;
    let entry = match &known {
        Some(ledger) => Some(ledger.read().await?),
        None => None,
    };
    let began = entry.as_ref().filter(|e| e.identity.is_some());
    check_identity(&database.name, began.and_then(|e| e.identity.as_ref()), &sides.identity)?;
    let fatal: Vec<Finding> = match began {
        None => plan.blockers.clone(),
        // Once begun, what forbids one table must not stop the others.
        Some(_) => plan.blockers.iter().filter(|b| b.table.is_none()).cloned().collect(),
    };
    if !fatal.is_empty() {
        return Err(blocked(&database.name, &fatal));
    }
    let forbidden = |t: &TablePlan| plan.blockers.iter().any(|b| b.table.as_deref() == Some(&t.label()));
    let (stopped, tables): (Vec<TablePlan>, Vec<TablePlan>) =
        plan.tables.iter().cloned().partition(forbidden);
    plan.tables = tables;
    plan.excluded.extend(stopped.iter().map(|t| t.source.clone()));
    if sides.target.capture_here().await? == CaptureHere::Foreign {
        sides.target.remove_foreign_capture().await?;
    }
    let ledger =
        Ledger::open(sides.target.clone(), &settings.migration, &database.name, actor.clone()).await?;
    let label = |name: &str| tracing::debug!(database = %database.name, table = name, "capture");
    let generations: Generations = sides.source.install(&plan, &label).await?.into_iter().collect();
    // SQLite's identity is made by the installation.
    let identity = sides.source.identity().await?;
    check_identity(&database.name, began.and_then(|e| e.identity.as_ref()), &identity)?;
    ledger.register(&identity, &plan.hash, &plan.tables).await?;
    for entry in ledger.read().await?.tables.iter().filter(|t| plan.table(&t.label).is_none()) {
        let blocker = plan.blockers.iter().find(|b| b.table.as_ref() == Some(&entry.label));
        let unwanted = |name: &TableName| !database.wants(name.schema.as_deref(), &name.name);
        if plan.excluded.iter().any(|name| name.to_string() == entry.label && unwanted(name)) {
            ledger.forget(&entry.label).await?;
        } else if let Some(blocker) = blocker {
            let reason = format!("{}; to do: {}", blocker.what, blocker.remedy);
            ledger.set_stopped(&entry.label, Some(&reason)).await?;
        } else {
            let reason = "the source has no such table any more; to do: add it to `exclude` if that is meant";
            ledger.set_stopped(&entry.label, Some(reason)).await?;
        }
    }
    let entry = ledger.read().await?;
    let mut pair = Pair {
        database: database.clone(),
        settings: settings.clone(),
        sides: Sides { identity, ..sides.clone() },
        ledger,
        plan,
        epoch: entry.epoch,
        board: board.clone(),
    };
    if pair.plan.tables.iter().any(|t| t.create) {
        copy::make_tables(&pair).await?;
        let made = pair.sides.target.schema().await?;
        for table in &mut pair.plan.tables {
            if let Some(found) = made.table(&table.target) {
                table.target_id.clone_from(&found.id);
            }
        }
    }
    Ok((pair, generations))
}

/// For each table its log's generation, or why it has none.
pub type Generations = std::collections::BTreeMap<String, Result<String>>;

fn check_identity(database: &str, began_with: Option<&Identity>, now: &Identity) -> Result<()> {
    match began_with {
        Some(before) if !before.database.is_empty() && before.database != now.database => Err(Error::refused(
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

/// A first copy goes into empty tables only: rows that stand there already are somebody's.
async fn filled_targets(sides: &Sides, plan: &Plan) -> Result<Vec<Finding>> {
    let mut blockers = Vec::new();
    for table in plan.tables.iter().filter(|t| !t.create) {
        let is_empty = match sides.target.is_empty(table).await {
            // What can't be read for want of a privilege is a blocker already.
            Err(error) if error.kind() == Kind::Table && !plan.blockers.is_empty() => continue,
            is_empty => is_empty?,
        };
        if !is_empty {
            let what = format!("{} on the target is not empty", table.target);
            blockers.push(Finding::of(&table.source, what, "empty it, or add the table to `exclude`"));
        }
    }
    Ok(blockers)
}
