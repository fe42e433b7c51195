//! Looks at both sides of a database. What one side can't tell is said so; the rest is shown.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::cli::Session;
use crate::cli::output::Failure;
use crate::engine::{self, Fault, Fence, Options, Source, Target, Watch};
use crate::error::{Error, Kind, Result};
use crate::ledger::{Actor, Entry, Ledger};
use crate::model::{Finding, Plan, TablePlan};
use crate::pair;
use crate::settings::DatabaseSettings;
use crate::state::TableState;
use crate::status::{DatabaseStatus, Role};
use crate::throttle::Throttle;

/// How long one look at a side may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many parked keys of a table are shown.
const EXAMPLES: i64 = 3;

/// A database as both sides show it.
#[derive(Debug, Serialize)]
pub(super) struct Observed {
    /// How it stands.
    #[serde(flatten)]
    pub(super) status: DatabaseStatus,
    /// Whether a process holds the lease; null when that is not known.
    pub(super) lease_held: Option<bool>,
    /// Since when the holder that is named holds it.
    pub(super) held_since: Option<String>,
    /// The fence; null when it is not known.
    pub(super) fence: Option<Fence>,
    /// The plan that is carried out.
    pub(super) plan_hash: Option<String>,
    /// What the capture check finds wrong.
    pub(super) capture_faults: Vec<Finding>,
    /// Some of the parked keys.
    pub(super) parked_examples: Vec<ParkedKey>,
    /// What could not be found out.
    pub(super) faults: Vec<Failure>,
}

/// A parked key.
#[derive(Debug, Serialize)]
pub(super) struct ParkedKey {
    pub(super) table: String,
    pub(super) key: Vec<String>,
    pub(super) reason: String,
    pub(super) since: String,
}

impl Observed {
    pub(super) fn nothing(database: &DatabaseSettings) -> Self {
        let mut status =
            DatabaseStatus::unknown(&database.name, &database.source, &database.target, Role::Observer);
        status.upgrade_follows = database.upgrade.is_after_copy();
        Observed {
            status,
            lease_held: None,
            held_since: None,
            fence: None,
            plan_hash: None,
            capture_faults: Vec::new(),
            parked_examples: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn note(&mut self, error: &Error) {
        let failure = Failure::from(error);
        // A side that is gone says so at each question.
        if !self.faults.contains(&failure) {
            self.status.error.get_or_insert_with(|| error.summary());
            self.faults.push(failure);
        }
    }
}

/// Looks at one database, again and again if need be.
pub(super) struct Observer {
    database: DatabaseSettings,
    actor: Actor,
    options: Options,
    source: Option<Arc<dyn Source>>,
    target: Option<Arc<dyn Target>>,
}

impl Observer {
    pub(super) fn new(session: &Session, database: &DatabaseSettings) -> Self {
        let options = Options {
            migration: session.settings.migration.clone(),
            lock_timeout: session.settings.capture.lock_timeout,
            connections: 2,
            throttle: Arc::new(Throttle::new(0)),
        };
        Observer {
            database: database.clone(),
            actor: session.actor.clone(),
            options,
            source: None,
            target: None,
        }
    }

    /// How the database stands now.
    pub(super) async fn look(&mut self) -> Observed {
        let mut seen = Observed::nothing(&self.database);
        let (source, target) = Box::pin(self.reach()).await;
        self.source = kept(source, &mut seen);
        self.target = kept(target, &mut seen);
        let ledger = self.look_at_target(&mut seen).await;
        self.look_at_source(&mut seen).await;
        if let Some((ledger, entry)) = ledger
            && self.source.is_some()
            && let Err(error) =
                within("source and target", self.look_at_both(&ledger, &entry, &mut seen)).await
        {
            seen.note(&error);
        }
        seen
    }

    async fn reach(&self) -> (Result<Arc<dyn Source>>, Result<Arc<dyn Target>>) {
        let source = async {
            match &self.source {
                Some(source) => Ok(source.clone()),
                None => within("source", engine::source(&self.database.source, &self.options)).await,
            }
        };
        let target = async {
            match &self.target {
                Some(target) => Ok(target.clone()),
                None => within("target", engine::target(&self.database.target, &self.options)).await,
            }
        };
        tokio::join!(source, target)
    }

    /// What the target alone tells: the ledger and the lease. `None` where there is no ledger to read.
    async fn look_at_target(&mut self, seen: &mut Observed) -> Option<(Ledger, Entry)> {
        let target = self.target.clone()?;
        let name = &self.database.name;
        let look = async {
            let ledger = Ledger::peek(target.clone(), name, self.actor.clone()).await?;
            let Some(ledger) = ledger else { return Ok(None) };
            let entry = ledger.read().await?;
            seen.lease_held = Some(target.lease_held(name).await?);
            seen.held_since = entry.holder.as_ref().map(|(_, since)| since.clone());
            seen.plan_hash.clone_from(&entry.plan_hash);
            seen.status.take_entry(&entry, None);
            seen.parked_examples = parked(&ledger, &entry).await?;
            Ok(Some((ledger, entry)))
        };
        let looked = within("target", look).await;
        looked.unwrap_or_else(|error| {
            self.target = None;
            seen.note(&error);
            None
        })
    }

    /// What the source alone tells: the fence.
    async fn look_at_source(&mut self, seen: &mut Observed) {
        let Some(source) = self.source.clone() else { return };
        match within("source", source.fence()).await {
            Ok(fence) => seen.fence = Some(fence),
            Err(error) => {
                self.source = None;
                seen.note(&error);
            }
        }
    }

    /// What both sides tell together: lags, and whether capture is sound.
    async fn look_at_both(&self, ledger: &Ledger, entry: &Entry, seen: &mut Observed) -> Result<()> {
        let Some(source) = &self.source else { return Ok(()) };
        // What another database's log says, and what it lacks of ours, is nothing about this migration.
        pair::check_identity(&self.database.name, entry.identity.as_ref(), &source.identity().await?)?;
        // By the plan that is carried out, and not by one made now: a lag takes the change logs and the ledger only,
        // and a table of the target that another session has locked must not hide it.
        let schema = source.schema().await?;
        let plan = pair::kept_plan(&schema, &self.database.name, ledger, entry).await?;
        // It takes note of what the plan leaves behind on purpose: else that would look like a fault.
        source.survey(&schema, &plan).await?;
        seen.status.take_entry(entry, Some(&plan));
        let plan = followed(plan, entry);
        measure(source.as_ref(), &plan, entry, &mut seen.status).await?;
        if !plan.tables.is_empty() {
            seen.capture_faults = inspect(source.as_ref(), &plan).await?;
            seen.status.capture_sound = seen.capture_faults.is_empty();
            seen.status.inspected_at = Some(Instant::now());
        }
        Ok(())
    }
}

fn kept<T>(reached: Result<T>, seen: &mut Observed) -> Option<T> {
    reached.map_err(|error| seen.note(&error)).ok()
}

async fn within<T>(side: &str, look: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, look).await.unwrap_or_else(|_| {
        let what = format!("{side}: no answer within {} s", PATIENCE.as_secs());
        Err(Error::new(Kind::Unavailable, what).remedy("is the server overloaded, or the network slow?"))
    })
}

/// The plan of those tables that capture stands on: a table that can't be planned is stopped, and has
/// its reason there.
fn followed(mut plan: Plan, entry: &Entry) -> Plan {
    let blocked: Vec<String> = plan.blockers.iter().filter_map(|b| b.table.clone()).collect();
    let known = |t: &TablePlan| entry.tables.iter().any(|e| e.label == t.label() && e.origin.is_some());
    let (tables, others): (Vec<_>, Vec<_>) =
        plan.tables.drain(..).partition(|t| known(t) && !blocked.contains(&t.label()));
    plan.tables = tables;
    plan.excluded.extend(others.into_iter().map(|t| t.source));
    plan
}

async fn measure(source: &dyn Source, plan: &Plan, entry: &Entry, status: &mut DatabaseStatus) -> Result<()> {
    let watched = entry.tables.iter().filter(|t| t.state == TableState::Replaying).filter_map(|t| {
        let watch = Watch {
            table: plan.table(&t.label)?,
            watermark: t.watermark.as_ref()?,
            origin: t.origin.as_ref()?,
        };
        Some((t.label.clone(), watch))
    });
    let (labels, watches): (Vec<String>, Vec<Watch<'_>>) = watched.unzip();
    let measures = source.measure(&watches).await?;
    status.take_measures(&labels, &measures);
    Ok(())
}

async fn inspect(source: &dyn Source, plan: &Plan) -> Result<Vec<Finding>> {
    let verdicts = source.inspect(plan).await?;
    let faults = verdicts.into_iter().filter_map(|verdict| {
        let (what, remedy) = match verdict.fault? {
            Fault::Mend(what) => (what, "`highwater run` mends it".to_string()),
            Fault::Stop { what, remedy } => (what, remedy),
        };
        Some(Finding { table: Some(verdict.label), what, remedy })
    });
    Ok(faults.collect())
}

async fn parked(ledger: &Ledger, entry: &Entry) -> Result<Vec<ParkedKey>> {
    let mut examples = Vec::new();
    for table in entry.tables.iter().filter(|t| t.parked > 0) {
        for parked in ledger.parked(&table.label, EXAMPLES).await? {
            examples.push(ParkedKey {
                table: table.label.clone(),
                key: parked.key,
                reason: parked.reason,
                since: parked.since,
            });
        }
    }
    Ok(examples)
}
