//! The fence: while it is up, every change log refuses entries, and with it each write that must leave one.
//!
//! Raising makes a trigger on each log, in one write transaction, so there is no moment in which half of the logs
//! are fenced (docs/how-it-works.md, "a fence is not a flag"). No writer can pass: one that held the write lock
//! before has committed before, so what it wrote lies before the barrier. With WAL a transaction that began to
//! read earlier can't write once another connection has committed (SQLITE_BUSY_SNAPSHOT), and raising is such a
//! commit; without WAL that commit waits for every reader to end.
//!
//! Lowering writes a number. The triggers of that attempt and of earlier ones compare it with their own, and let
//! entries pass from then on; they are dropped later.
//!
//! Crash story. Raising: the triggers and `raised` commit together, so a crash leaves the fence up or no trace.
//! Lowering is one row in one commit: a crash before it leaves the fence up, and the next attempt raises its own.
//! Between lowering and dropping, inert triggers stay; the next call of `drop_lowered` finds them in the schema.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::capture::{FENCE_MESSAGE, Names};
use super::catalog::{Catalog, Sort, is_own};
use super::connect::{Db, Session};
use super::fault::{self, Doing};
use super::inspect::{self, Registered};
use super::install::Meta;
use super::source::Inner;
use super::value::{integer, integers};
use crate::engine::{Fence, Lowered, Stamp, Writer};
use crate::error::{Error, Kind, Result};
use crate::model::{Plan, TablePlan, quote};

/// How long lowering is tried while the commit finds readers in its way.
const LOWER_PATIENCE: Duration = Duration::from_secs(60);

/// How long dropping inert triggers waits for a writer: they do no harm.
const DROP_PATIENCE: Duration = Duration::from_millis(200);

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// What a durable commit needs (`PRAGMA synchronous`): FULL, or EXTRA.
const DURABLE: i64 = 2;

/// The fence's row.
#[derive(Debug, Clone, Copy)]
struct Row {
    epoch: i64,
    /// The greatest attempt that began to raise it.
    raised: i64,
    /// Every attempt below is lowered.
    stamp: i64,
}

/// Everything that a source knows of its fence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    row: Option<Row>,
    /// The greatest attempt that has a trigger on a log; 0 without any.
    trigger: i64,
}

impl Standing {
    /// Reads it in the session's transaction, of which `catalog` is the schema.
    pub(super) async fn read(
        session: &mut Session,
        catalog: &Catalog,
        names: &Names,
    ) -> Result<Self, sqlx::Error> {
        let attempts = catalog.entries.iter().filter_map(|entry| names.fence_attempt(entry));
        let trigger = attempts.max().unwrap_or_default();
        let sql = format!("SELECT epoch, raised, stamp FROM {}", names.fence());
        let rows = match session.all(sql, Default::default()).await {
            Err(error) if fault::is_missing(&error) => Vec::new(),
            rows => rows?,
        };
        let row = |row| {
            Ok::<_, sqlx::Error>(Row {
                epoch: integer(row, 0)?,
                raised: integer(row, 1)?,
                stamp: integer(row, 2)?,
            })
        };
        Ok(Standing { row: rows.first().map(row).transpose()?, trigger })
    }

    /// The attempt under which the fence is up. Where the row is lost, every trigger refuses.
    pub(super) fn up(&self) -> Option<i64> {
        let greatest = self.row.map_or(0, |row| row.raised).max(self.trigger);
        let lowered = self.row.map_or(1, |row| row.stamp);
        (greatest >= lowered).then_some(greatest)
    }

    /// Whether the fence has its row.
    pub(super) fn has_row(&self) -> bool {
        self.row.is_some()
    }

    fn stamp(&self, attempt: i64) -> Stamp {
        Stamp { epoch: self.row.map_or(0, |row| row.epoch), attempt }
    }

    /// As the seam has it. A fence that was never raised has stamp 1, so that attempt 0 counts as lowered.
    fn fence(&self) -> Fence {
        let seen = self.row.map_or(0, |row| row.raised.max(if row.stamp > 1 { row.stamp } else { 0 }));
        Fence { raised: self.up().is_some(), stamp: self.stamp(seen.max(self.trigger)) }
    }
}

/// The fence as it is now.
pub(super) async fn read(db: &Db, names: &Names) -> Result<Fence> {
    let what = "reading the fence";
    let mut session = db.reading(what).await?;
    let catalog = db.catalog(&mut session).await?;
    let standing = Standing::read(&mut session, &catalog, names).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    Ok(standing.fence())
}

/// Raises the fence of an attempt, if it is greater than every earlier one, not lowered already, and every table
/// is captured soundly.
pub(super) async fn raise(source: &Inner, plan: &Plan, stamp: Stamp, until: Instant) -> Result<()> {
    attempts(until, || raise_once(source, plan, stamp, until)).await
}

async fn raise_once(source: &Inner, plan: &Plan, stamp: Stamp, until: Instant) -> Result<()> {
    let (db, names, what) = (&source.db, &source.names, "raising the fence");
    if Instant::now() >= until {
        return Err(Error::new(Kind::Unavailable, format!("{}: {what}: time is up", db.place)));
    }
    let mut session = db.writing_until(what, until).await?;
    check_durable(&mut session, what).await?;
    let catalog = db.catalog(&mut session).await?;
    let standing = Standing::read(&mut session, &catalog, names).await.doing(&db.place, what)?;
    if !standing.has_row() {
        return Err(Error::failed(format!("{}: the fence is not installed", db.place))
            .remedy("`highwater run` installs it"));
    }
    let tables = Tables::read(&mut session, source, plan, &catalog).await?;
    if let Some((table, why)) = tables.unsound(&catalog, names) {
        return Err(unproven(db, &table, &why));
    }
    for statement in tables.captured.iter().flat_map(|t| names.log_fence(&t.source.name, stamp.attempt)) {
        match session.define(&statement.sql).await {
            Err(error) if fault::exists_already(&error) => return Err(superseded(db, &standing)),
            done => done.doing(&db.place, what)?,
        }
    }
    let sql =
        format!("UPDATE {} SET raised = ?1, epoch = ?2 WHERE raised < ?1 AND stamp <= ?1", names.fence());
    let args = integers(&[stamp.attempt, stamp.epoch]).doing(&db.place, what)?;
    match session.run_with(sql, args).await.doing(&db.place, what)? {
        1 => session.end().await.doing(&db.place, what),
        _ => Err(superseded(db, &standing)),
    }
}

fn superseded(db: &Db, standing: &Standing) -> Error {
    let seen = standing.fence().stamp;
    Error::new(Kind::Superseded, format!("{}: the fence was raised or lowered by attempt {seen}", db.place))
}

/// Lowers the fence of an attempt and of every earlier one. That number stays, so that a late request to raise
/// one of these finds itself superseded.
pub(super) async fn lower(db: &Db, names: &Names, stamp: Stamp) -> Result<Lowered> {
    attempts(Instant::now() + LOWER_PATIENCE, || lower_once(db, names, stamp)).await
}

async fn lower_once(db: &Db, names: &Names, stamp: Stamp) -> Result<Lowered> {
    let what = "lowering the fence";
    let mut session = db.writing(what).await?;
    check_durable(&mut session, what).await?;
    let catalog = db.catalog(&mut session).await?;
    let standing = Standing::read(&mut session, &catalog, names).await.doing(&db.place, what)?;
    if !standing.has_row() {
        let installed = Meta::read(&mut session, names).await.doing(&db.place, what)?.is_some();
        if !installed && standing.trigger == 0 {
            session.undo().await.doing(&db.place, what)?;
            return Ok(Lowered::WasDown);
        }
        // The row is lost. Without it the triggers refuse, and a late request could raise the fence.
        for statement in names.fence_row() {
            session.define(&statement).await.doing(&db.place, what)?;
        }
    }
    let sql = format!("UPDATE {} SET stamp = ?1 WHERE stamp < ?1", names.fence());
    let args = integers(&[stamp.attempt + 1]).doing(&db.place, what)?;
    session.run_with(sql, args).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    Ok(match standing.up() {
        Some(attempt) if attempt > stamp.attempt => Lowered::Another(standing.stamp(attempt)),
        Some(_) => Lowered::Down,
        None => Lowered::WasDown,
    })
}

/// Drops the triggers of lowered attempts; false when the file was locked.
pub(super) async fn drop_lowered(db: &Db, names: &Names) -> Result<bool> {
    let what = "dropping the triggers of a lowered fence";
    let mut session = db.reading(what).await?;
    let found = inert(db, &mut session, names).await?;
    session.end().await.doing(&db.place, what)?;
    if found.is_empty() {
        return Ok(true);
    }
    let dropped = async {
        let mut session = db.writing_until(what, Instant::now() + DROP_PATIENCE).await?;
        for trigger in inert(db, &mut session, names).await? {
            session.define(&format!("DROP TRIGGER {}", quote(&trigger))).await.doing(&db.place, what)?;
        }
        session.end().await.doing(&db.place, what)
    };
    match dropped.await {
        Err(error) if error.kind() == Kind::Unavailable => Ok(false),
        done => done.map(|()| true),
    }
}

/// The names of triggers of lowered attempts. Without the row none is: each refuses.
async fn inert(db: &Db, session: &mut Session, names: &Names) -> Result<Vec<String>> {
    let what = "reading the fence";
    let catalog = db.catalog(session).await?;
    let standing = Standing::read(session, &catalog, names).await.doing(&db.place, what)?;
    let stamp = standing.row.map_or(0, |row| row.stamp);
    let lowered = catalog.entries.iter().filter(|e| names.fence_attempt(e).is_some_and(|n| n < stamp));
    Ok(lowered.map(|e| e.name.clone()).collect())
}

/// Commits of this session must survive a loss of power.
async fn check_durable(session: &mut Session, what: &str) -> Result<()> {
    let place = session.place.clone();
    match session.integer("PRAGMA synchronous").await.doing(&place, what)? {
        DURABLE.. => Ok(()),
        level => Err(Error::failed(format!("{place}: {what}: PRAGMA synchronous is {level}, not FULL"))),
    }
}

/// Tries again while the file is locked, until there is no time for another attempt.
async fn attempts<T, F: Future<Output = Result<T>>>(until: Instant, attempt: impl Fn() -> F) -> Result<T> {
    loop {
        match attempt().await {
            Err(error) if error.kind() == Kind::Unavailable && Instant::now() + PAUSE < until => {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// The tables that must be fenced, as they are in one transaction.
struct Tables<'a> {
    /// By their change logs.
    captured: Vec<&'a TablePlan>,
    /// By triggers of their own.
    others: Vec<String>,
    registered: BTreeMap<String, Registered>,
}

impl<'a> Tables<'a> {
    async fn read(session: &mut Session, source: &Inner, plan: &'a Plan, catalog: &Catalog) -> Result<Self> {
        let place = session.place.clone();
        let registered = inspect::registered(session, &source.names).await;
        let registered = registered.doing(&place, "looking for the change logs")?;
        let is_planned = |name: &str| plan.tables.iter().any(|t| t.source.name == name);
        let others = catalog.tables.iter().filter(|t| t.sort == Sort::Ordinary && !is_own(&t.name));
        Ok(Tables {
            captured: plan.tables.iter().collect(),
            others: others.map(|t| t.name.clone()).filter(|name| !is_planned(name)).collect(),
            registered,
        })
    }

    /// A table whose writers a fence would not stop, and why: silenced capture is a silenced fence.
    fn unsound(&self, catalog: &Catalog, names: &Names) -> Option<(String, String)> {
        let captured = self.captured.iter().find_map(|table| {
            let known = self.registered.get(&table.source.name);
            Some((table.label(), inspect::log_fault(catalog, names, table, known)?))
        });
        captured.or_else(|| {
            self.others.iter().find_map(|table| {
                Some((table.clone(), inspect::triggers_fault(catalog, &names.table_fence(table))?))
            })
        })
    }
}

fn unproven(db: &Db, table: &str, why: &str) -> Error {
    Error::new(Kind::NotConverged, format!("{}: the fence does not hold on {table}: {why}", db.place))
        .remedy("`highwater run` installs capture and fence where they are missing; then try again")
}

/// Shows that the fence of `stamp` refuses writers: the row, the triggers of fence and capture on every table,
/// and an entry for each log (a row for each other table), which is rolled back. Triggers fire before any
/// constraint is looked at.
pub(super) async fn prove(source: &Inner, plan: &Plan, stamp: Stamp) -> Result<()> {
    let (db, names, what) = (&source.db, &source.names, "proving the fence");
    let mut session = db.writing(what).await?;
    let catalog = db.catalog(&mut session).await?;
    let standing = Standing::read(&mut session, &catalog, names).await.doing(&db.place, what)?;
    if standing.up() != Some(stamp.attempt) {
        let what = format!("{}: the fence is not up under attempt {stamp}", db.place);
        return Err(Error::new(Kind::NotConverged, what));
    }
    let tables = Tables::read(&mut session, source, plan, &catalog).await?;
    if let Some((table, why)) = tables.unsound(&catalog, names) {
        return Err(unproven(db, &table, &why));
    }
    for table in &tables.captured {
        let name = &table.source.name;
        if let Some(why) = inspect::triggers_fault(&catalog, &names.log_fence(name, stamp.attempt)) {
            return Err(unproven(db, &table.label(), &why));
        }
        let entry = format!("INSERT INTO {} (kind) VALUES ('F')", quote(&names.log(name)));
        refused(&mut session, entry).await.map_err(|why| unproven(db, &table.label(), &why))?;
    }
    for table in &tables.others {
        let row = format!("INSERT INTO {} DEFAULT VALUES", quote(table));
        refused(&mut session, row).await.map_err(|why| unproven(db, table, &why))?;
    }
    session.undo().await.doing(&db.place, what)
}

/// Tries a write that the fence must refuse.
async fn refused(session: &mut Session, write: String) -> Result<(), String> {
    match session.run(write).await {
        Err(sqlx::Error::Database(e)) if e.message().starts_with(FENCE_MESSAGE) => Ok(()),
        Err(e) => Err(format!("a write failed otherwise: {e}")),
        Ok(_) => Err("a write was not refused".to_string()),
    }
}

/// Makes a log that no writer knows, raises a fence on it, tries it, and drops it; all of it is rolled back.
pub(super) async fn try_out(db: &Db, names: &Names) -> Result<()> {
    const CANARY: &str = "canary";
    let what = "trying the fence";
    let mut session = db.writing(what).await?;
    let log = quote(&names.log(CANARY));
    let mut statements = names.fence_row();
    statements.push(format!("DROP TABLE IF EXISTS {log}"));
    statements.push(format!("CREATE TABLE {log} (kind)"));
    let fence = names.log_fence(CANARY, i64::MAX);
    statements.extend(fence.iter().map(|s| s.sql.clone()));
    for statement in statements {
        session.define(&statement).await.doing(&db.place, what)?;
    }
    let entry = format!("INSERT INTO {log} (kind) VALUES ('F')");
    refused(&mut session, entry).await.map_err(|why| {
        Error::refused(format!("{}: a fence would not hold: {why}", db.place))
            .remedy("see which program writes highwater's own tables, and run `highwater plan` again")
    })?;
    for trigger in &fence {
        session.define(&format!("DROP TRIGGER {}", quote(&trigger.name))).await.doing(&db.place, what)?;
    }
    session.undo().await.doing(&db.place, what)
}

/// The holder of the write lock. It can't be seen who that is; until the next commit it is taken for the same
/// transaction.
pub(super) async fn writers(source: &Inner) -> Result<Vec<Writer>> {
    let db = &source.db;
    let version = source.watcher.lock().await.data_version(&db.place).await?;
    if !db.is_write_locked().await? {
        return Ok(Vec::new());
    }
    Ok(vec![Writer {
        id: format!("after-commit-{version}"),
        who: format!("a connection that holds the write lock of {}", db.path.display()),
    }])
}
