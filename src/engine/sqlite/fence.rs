//! The fence: a flag that a trigger of every table reads, in the writer's own transaction.
//!
//! No writer can pass it unseen. With WAL a transaction that began to read before the fence was raised
//! can't write any more once somebody else has committed (SQLITE_BUSY_SNAPSHOT), and raising the fence
//! is such a commit; without WAL that commit waits until nobody reads. One that held the write lock
//! before has committed before, so what it wrote lies before the barrier.

use std::time::Duration;

use super::capture::{FENCE_MESSAGE, Names};
use super::catalog::{Sort, is_own};
use super::connect::{Db, Session};
use super::fault::{self, Doing};
use super::inspect;
use super::source::Inner;
use super::value::{integer, integers};
use crate::engine::{Fence, Stamp, Writer};
use crate::error::{Error, Kind, Result};
use crate::model::quote;

/// How often raising or lifting is tried while the commit finds readers in its way.
const ATTEMPTS: u32 = 60;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// The fence as it stands; attempt 0 where it was never raised or nothing is installed.
pub(super) async fn read(db: &Db, names: &Names) -> Result<Fence> {
    let what = "reading the fence";
    let mut session = db.reading(what).await?;
    let fence = read_in(&mut session, names).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    Ok(fence.unwrap_or(Fence { raised: false, stamp: Stamp { epoch: 0, attempt: 0 } }))
}

async fn read_in(session: &mut Session, names: &Names) -> Result<Option<Fence>, sqlx::Error> {
    let sql = format!("SELECT raised, epoch, attempt FROM {}", names.fence());
    let rows = match session.all(sql, Default::default()).await {
        Err(error) if fault::is_missing(&error) => return Ok(None),
        rows => rows?,
    };
    let Some(row) = rows.first() else { return Ok(None) };
    let stamp = Stamp { epoch: integer(row, 1)?, attempt: integer(row, 2)? };
    Ok(Some(Fence { raised: integer(row, 0)? != 0, stamp }))
}

/// Raises the fence under a stamp greater than the last.
pub(super) async fn raise(db: &Db, names: &Names, stamp: Stamp) -> Result<()> {
    attempts(|| async {
        let what = "raising the fence";
        let mut session = db.writing(what).await?;
        let now = read_in(&mut session, names).await.doing(&db.place, what)?.ok_or_else(|| {
            Error::failed(format!("{}: the fence is not installed", db.place))
                .remedy("`highwater run` installs it")
        })?;
        if stamp <= now.stamp {
            return Err(Error::new(
                Kind::Superseded,
                format!("{}: the fence was raised or lifted by attempt {} meanwhile", db.place, now.stamp),
            ));
        }
        set(&mut session, names, true, stamp).await.doing(&db.place, what)?;
        session.end().await.doing(&db.place, what)
    })
    .await
}

/// Lowers the fence if it stands under `stamp`.
pub(super) async fn lift(db: &Db, names: &Names, stamp: Stamp) -> Result<bool> {
    attempts(|| async {
        let what = "lifting the fence";
        let mut session = db.writing(what).await?;
        match read_in(&mut session, names).await.doing(&db.place, what)? {
            Some(now) if now.raised && now.stamp == stamp => {
                set(&mut session, names, false, stamp).await.doing(&db.place, what)?;
                session.end().await.doing(&db.place, what)?;
                Ok(true)
            }
            Some(now) if now.raised => Err(Error::new(
                Kind::Superseded,
                format!("{}: the fence stands under attempt {}, not {stamp}", db.place, now.stamp),
            )),
            _ => {
                session.undo().await.doing(&db.place, what)?;
                Ok(false)
            }
        }
    })
    .await
}

async fn set(session: &mut Session, names: &Names, raised: bool, stamp: Stamp) -> Result<(), sqlx::Error> {
    let sql = format!("UPDATE {} SET raised = ?1, epoch = ?2, attempt = ?3", names.fence());
    session.run_with(sql, integers(&[i64::from(raised), stamp.epoch, stamp.attempt])?).await?;
    Ok(())
}

/// Tries again while the file is locked.
async fn attempts<T, F: Future<Output = Result<T>>>(attempt: impl Fn() -> F) -> Result<T> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.kind() == Kind::Unavailable => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
    attempt().await
}

/// Shows that the fence refuses writers: every table has the triggers, and an insert into each, which is
/// rolled back, is refused by them. The triggers fire before any constraint is looked at.
pub(super) async fn prove(db: &Db, names: &Names) -> Result<()> {
    let what = "proving the fence";
    let mut session = db.writing(what).await?;
    let catalog = db.catalog(&mut session).await?;
    let unproven = |table: &str, why: &str| {
        Error::new(Kind::NotConverged, format!("{}: the fence does not hold on {table}: {why}", db.place))
            .remedy("`highwater run` puts it on tables that are new; exclude no table that is written to")
    };
    for table in catalog.tables.iter().filter(|t| t.sort == Sort::Ordinary && !is_own(&t.name)) {
        if let Some(fault) = inspect::triggers_fault(&catalog, &names.table_fence(&table.name)) {
            return Err(unproven(&table.name, &fault));
        }
        match session.run(format!("INSERT INTO {} DEFAULT VALUES", quote(&table.name))).await {
            Err(sqlx::Error::Database(e)) if e.message().starts_with(FENCE_MESSAGE) => {}
            Err(e) => return Err(unproven(&table.name, &format!("a write failed otherwise: {e}"))),
            Ok(_) => return Err(unproven(&table.name, "a write was not refused")),
        }
    }
    session.undo().await.doing(&db.place, what)
}

/// Whoever holds the write lock. It can't be seen who that is; until somebody commits it is taken for
/// the same transaction.
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
