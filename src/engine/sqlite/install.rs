//! Putting capture and fence on, and taking them off.

use std::path::Path;
use std::time::{Duration, Instant};

use super::capture::{Capture, Names, Statement, VERSION};
use super::catalog::{Catalog, Entry, Shape, Sort};
use super::connect::{Db, FileId, Session};
use super::fault::{self, Doing};
use super::fence::Standing;
use super::inspect;
use super::source::Inner;
use super::value::{self, text, texts};
use crate::error::{Error, Kind, Result};
use crate::model::{Plan, TableName, TablePlan, quote};

/// How long a table's capture is tried again while the commit finds readers in its way.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two attempts, in which everybody else has their way.
const PAUSE: Duration = Duration::from_millis(700);

/// What the meta table says of the database.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    /// The version of what is installed.
    pub(super) version: i64,
    /// The database's random id.
    pub(super) database: String,
    path: String,
    file: String,
}

impl Meta {
    /// Reads it; `None` where nothing is installed.
    pub(super) async fn read(session: &mut Session, names: &Names) -> Result<Option<Self>, sqlx::Error> {
        let sql = format!("SELECT version, database, path, coalesce(file, '') FROM {}", names.meta());
        let rows = match session.all(sql, Default::default()).await {
            Err(error) if fault::is_missing(&error) => return Ok(None),
            rows => rows?,
        };
        let Some(row) = rows.first() else { return Ok(None) };
        let meta = Meta {
            version: value::integer(row, 0)?,
            database: text(row, 1)?,
            path: text(row, 2)?,
            file: text(row, 3)?,
        };
        Ok(Some(meta))
    }

    /// Whether capture was installed in this very file, and not in one that this is a copy of: the path
    /// is the same (the file may have been restored), or the file itself (it may have been moved).
    pub(super) fn is_here(&self, path: &Path, file: FileId) -> bool {
        Path::new(&self.path) == path || self.file == file.to_string()
    }
}

/// Refuses what another version of highwater installed, and a copy of the source.
pub(super) fn check_meta(db: &Db, names: &Names, meta: &Meta) -> Result<()> {
    if meta.version != VERSION {
        return Err(Error::foreign(format!(
            "{}: its capture has version {}; this highwater works with version {VERSION}",
            db.place, meta.version
        ))
        .remedy("use the highwater that installed it, or remove it with that one's `clean`"));
    }
    if !meta.is_here(&db.path, db.file) {
        return Err(Error::foreign(format!(
            "{}: its capture was installed in {}: this file is a copy of that one, or it was moved",
            db.place, meta.path
        ))
        .remedy(format!(
            "if it is a copy, point `source` at the original; if it was moved, run: UPDATE {} SET path = {}",
            names.meta(),
            value::quote(&db.path.to_string_lossy())
        )));
    }
    Ok(())
}

/// Installs what is missing. See [`crate::engine::Source::install`].
pub(super) async fn install(
    source: &Inner,
    plan: &Plan,
    report: &(dyn for<'a> Fn(&'a str) + Send + Sync),
) -> Result<Vec<(String, Result<String>)>> {
    let mut done = Vec::new();
    retried(|| base(source)).await?;
    for table in &plan.tables {
        report(&table.label());
        done.push((table.label(), retried(|| one(source, table)).await));
    }
    for name in &plan.excluded {
        report(&name.to_string());
        retried(|| fence_only(source, name)).await?;
    }
    Ok(done)
}

/// Tries again while the file is locked: each attempt keeps others waiting no longer than the lock
/// timeout.
async fn retried<T, F: Future<Output = Result<T>>>(attempt: impl Fn() -> F) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(error) if error.kind() == Kind::Unavailable && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

async fn base(source: &Inner) -> Result<()> {
    let (db, names, what) = (&source.db, &source.names, "installing capture");
    let mut session = db.writing(what).await?;
    // What another version made may have other columns.
    if let Some(meta) = Meta::read(&mut session, names).await.doing(&db.place, what)? {
        check_meta(db, names, &meta)?;
    }
    for statement in names.base() {
        session.define(&statement).await.doing(&db.place, what)?;
    }
    let meta = Meta::read(&mut session, names).await.doing(&db.place, what)?;
    let meta =
        meta.ok_or_else(|| Error::failed(format!("{}: its capture has lost its row of meta", db.place)))?;
    check_meta(db, names, &meta)?;
    // Both, so that either may change: a restored file has another inode, a moved one another path.
    let sql = format!("UPDATE {} SET path = ?1, file = ?2", names.meta());
    let args = texts(&[&db.path.to_string_lossy(), &db.file.to_string()]).doing(&db.place, what)?;
    session.run_with(sql, args).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)
}

/// One table, in one transaction. Returns its generation.
async fn one(source: &Inner, table: &TablePlan) -> Result<String> {
    let (db, names) = (&source.db, &source.names);
    let what = format!("installing capture on {}", table.source);
    let mut session = db.writing(&what).await?;
    let catalog = db.catalog(&mut session).await?;
    let shape = catalog
        .table(&table.source.name)
        .ok_or_else(|| Error::table(format!("{}: the table is gone from the source", table.source)))?;
    let capture = names.capture(table, shape)?;
    let registered = inspect::registered(&mut session, names).await.doing(&db.place, &what)?;
    let known = registered.get(&shape.name);
    let captured =
        known.is_some_and(|known| inspect::capture_fault(&catalog, shape, &capture, known).is_none());
    let up = Standing::read(&mut session, &catalog, names).await.doing(&db.place, &what)?.up();
    let fence = up.map(|attempt| names.log_fence(&shape.name, attempt)).unwrap_or_default();
    let fenced = inspect::triggers_fault(&catalog, &fence).is_none();
    let plain = names.table_fence(&shape.name);
    let plain: Vec<&Statement> = plain.iter().filter(|s| catalog.entry(&s.name).is_some()).collect();
    if captured && fenced && plain.is_empty() {
        let generation = known.map(|k| k.generation.clone()).unwrap_or_default();
        session.undo().await.doing(&db.place, &what)?;
        return Ok(generation);
    }
    if captured {
        put_fence(&mut session, &catalog, &fence).await.doing(&db.place, &what)?;
    } else {
        remove_capture(&mut session, &catalog, names, &shape.name).await.doing(&db.place, &what)?;
        // While a fence is up, no log is without it for a moment.
        let triggers = capture.triggers.iter().chain(&capture.seal).chain(&fence).map(|s| &s.sql);
        for sql in capture.tables.iter().chain(triggers) {
            session.define(sql).await.doing(&db.place, &what)?;
        }
    }
    // Left from a time when the table was excluded.
    for statement in plain {
        let drop = format!("DROP TRIGGER {}", quote(&statement.name));
        session.define(&drop).await.doing(&db.place, &what)?;
    }
    compile(&mut session, shape).await.doing(&db.place, &what)?;
    let sql = format!("SELECT generation FROM {} WHERE name = {}", names.tables(), value::quote(&shape.name));
    let generation = session.text(sql).await.doing(&db.place, &what)?;
    session.end().await.doing(&db.place, &what)?;
    Ok(generation)
}

/// The fence of a table that is not captured.
async fn fence_only(source: &Inner, name: &TableName) -> Result<()> {
    let (db, names) = (&source.db, &source.names);
    let what = format!("installing the fence on {name}");
    let mut session = db.writing(&what).await?;
    let catalog = db.catalog(&mut session).await?;
    let fence = names.table_fence(&name.name);
    let Some(shape) = catalog.table(&name.name).filter(|t| t.sort == Sort::Ordinary) else {
        // A module's table takes no triggers, and a dropped one needs none.
        return session.undo().await.doing(&db.place, &what);
    };
    if inspect::triggers_fault(&catalog, &fence).is_none() {
        return session.undo().await.doing(&db.place, &what);
    }
    // Where only the application can write, nothing can be compiled here, with or without the fence.
    let compiles = compile(&mut session, shape).await.is_ok();
    put_fence(&mut session, &catalog, &fence).await.doing(&db.place, &what)?;
    if compiles {
        compile(&mut session, shape).await.doing(&db.place, &what)?;
    }
    session.end().await.doing(&db.place, &what)
}

async fn put_fence(session: &mut Session, catalog: &Catalog, fence: &[Statement]) -> Result<(), sqlx::Error> {
    for statement in fence {
        if inspect::triggers_fault(catalog, std::slice::from_ref(statement)).is_some() {
            session.define(&format!("DROP TRIGGER IF EXISTS {}", quote(&statement.name))).await?;
            session.define(&statement.sql).await?;
        }
    }
    Ok(())
}

async fn remove_capture(
    session: &mut Session,
    catalog: &Catalog,
    names: &Names,
    table: &str,
) -> Result<(), sqlx::Error> {
    let (log, seal) = (names.log(table), names.seal(table));
    let is_of = |e: &Entry| e.table == table || e.table == log || e.name == seal;
    for entry in catalog.entries.iter().filter(|e| e.is_bound() && is_of(e)) {
        if names.kind(&entry.name).is_some_and(|kind| !kind.starts_with("fence_")) {
            session.define(&entry.remove()).await?;
        }
    }
    session.define(&format!("DROP TABLE IF EXISTS {}", quote(&log))).await
}

/// Compiles each kind of write, with all triggers: what can't be compiled would fail production's
/// writes, and must never be committed.
async fn compile(session: &mut Session, shape: &Shape) -> Result<(), sqlx::Error> {
    let table = quote(&shape.name);
    session.compile(format!("INSERT INTO {table} DEFAULT VALUES")).await?;
    session.compile(format!("DELETE FROM {table}")).await?;
    if let Some(column) = shape.written_columns().next() {
        let column = quote(&column.name);
        session.compile(format!("UPDATE {table} SET {column} = {column}")).await?;
    }
    Ok(())
}

/// Removes everything of the migration: triggers first.
pub(super) async fn remove(db: &Db, names: &Names) -> Result<()> {
    retried(|| async {
        let what = "removing capture";
        let mut session = db.writing(what).await?;
        let catalog = db.catalog(&mut session).await?;
        for entry in catalog.entries.iter().filter(|e| e.is_bound() && names.kind(&e.name).is_some()) {
            session.define(&entry.remove()).await.doing(&db.place, what)?;
        }
        for table in catalog.tables.iter().filter(|t| names.is_table(&t.name)) {
            session.define(&format!("DROP TABLE {}", quote(&table.name))).await.doing(&db.place, what)?;
        }
        session.end().await.doing(&db.place, what)
    })
    .await
}

/// What [`install`] runs where nothing is installed.
pub(super) fn ddl(names: &Names, catalog: &Catalog, plan: &Plan) -> Result<String> {
    let mut text = String::from("-- highwater: capture and fence. Run it in the sqlite3 shell.\n");
    let mut transaction = |title: &str, statements: Vec<String>| {
        text.push_str(&format!("\n-- {title}\nBEGIN IMMEDIATE;\n"));
        for statement in statements {
            text.push_str(&statement);
            text.push_str(";\n");
        }
        text.push_str("COMMIT;\n");
    };
    transaction("What all tables share", names.base());
    for table in &plan.tables {
        let shape = catalog
            .table(&table.source.name)
            .ok_or_else(|| Error::table(format!("{}: the table is gone from the source", table.source)))?;
        let Capture { tables, triggers, seal, .. } = names.capture(table, shape)?;
        let triggers = triggers.into_iter().chain(seal).map(|s| s.sql);
        transaction(
            &format!("{}: change log, triggers", table.source),
            tables.into_iter().chain(triggers).collect(),
        );
    }
    for name in &plan.excluded {
        if catalog.table(&name.name).is_some_and(|t| t.sort == Sort::Ordinary) {
            let fence = names.table_fence(&name.name).into_iter().map(|s| s.sql);
            transaction(&format!("{name}: fence only"), fence.collect());
        }
    }
    Ok(text)
}
