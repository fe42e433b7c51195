//! The lease: a lock on a file beside the target. The system lets go of it when the process ends,
//! however that happens.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::connect::{Db, FileId};
use crate::engine::Lease;
use crate::error::{Error, Kind, Result};

/// How often a lock that may only have been looked at is asked for again.
const ATTEMPTS: u32 = 5;

/// The file whose lock is the lease of a database of a migration.
pub(super) fn path(db: &Db, migration: &str, database: &str) -> PathBuf {
    let escaped: String = database
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '-' || c == '_' {
                c.to_string()
            } else {
                format!("%{:x}", c as u32)
            }
        })
        .collect();
    let mut name = db.path.as_os_str().to_owned();
    name.push(format!(".highwater-{migration}-{escaped}.lock"));
    PathBuf::from(name)
}

/// A lease that is held.
pub(super) struct FileLease {
    file: File,
    path: PathBuf,
}

/// Takes the lease if nobody holds it.
pub(super) async fn take(path: PathBuf) -> Result<Option<FileLease>> {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|e| {
            fault(&path, "can't be made", e).remedy("let highwater's user write to the target's directory")
        })?;
        match file.try_lock() {
            Ok(()) if is_there(&file, &path) => return Ok(Some(FileLease { file, path })),
            // Whoever held it has removed the file: what is locked is no file any more. Or it is held,
            // perhaps only by somebody who looks.
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(fault(&path, "can't be locked", e)),
        }
    }
    Ok(None)
}

/// Whether somebody holds the lease.
pub(super) fn is_held(path: &Path) -> Result<bool> {
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(|e| fault(path, "can't be read", e))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(fault(path, "can't be locked", e)),
    }
}

/// Whether the open file is the one that lies at `path`.
fn is_there(file: &File, path: &Path) -> bool {
    let opened = file.metadata().and_then(|m| FileId::of_metadata(&m));
    matches!((opened, FileId::of(path)), (Ok(opened), Ok(found)) if opened == found)
}

fn fault(path: &Path, what: &str, error: std::io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("the lease's file {} {what}", path.display())).because(error)
}

#[async_trait]
impl Lease for FileLease {
    async fn check(&mut self) -> Result<()> {
        if is_there(&self.file, &self.path) {
            return Ok(());
        }
        let what = format!("the lease is lost: its file {} was removed or replaced", self.path.display());
        Err(Error::new(Kind::Superseded, what))
    }

    async fn release(self: Box<Self>) -> Result<()> {
        if is_there(&self.file, &self.path) {
            // Removed while it is locked: whoever opens it later makes a new one.
            std::fs::remove_file(&self.path).map_err(|e| fault(&self.path, "can't be removed", e))?;
        }
        self.file.unlock().map_err(|e| fault(&self.path, "can't be unlocked", e))
    }
}
