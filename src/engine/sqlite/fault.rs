//! What an error of SQLite means: the one table of result codes.

use crate::error::{Error, Kind};

/// Turns errors of SQLite into highwater's.
pub(super) trait Doing<T> {
    /// Says where it happened and what was being done ("reading the change log of orders").
    fn doing(self, place: &str, what: &str) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, place: &str, what: &str) -> Result<T, Error> {
        self.map_err(|error| classify(error, place, what))
    }
}

/// The error of a statement.
pub(super) fn classify(error: sqlx::Error, place: &str, what: &str) -> Error {
    let (kind, remedy, said) = match error {
        sqlx::Error::Database(e) => {
            let code = e.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(1);
            let (kind, remedy) = meaning(code, e.message());
            (kind, remedy, format!("{} (SQLite result code {code})", e.message()))
        }
        e @ (sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)) => (Kind::Unavailable, None, e.to_string()),
        e @ sqlx::Error::Configuration(_) => {
            (Kind::Usage, Some("write it as sqlite:///path/to/file.db"), e.to_string())
        }
        e => (Kind::Failed, None, e.to_string()),
    };
    let made = Error::new(kind, format!("{place}: {what}: {said}"));
    match remedy {
        Some(remedy) => made.remedy(remedy),
        None => made,
    }
}

/// Whether the statement found the database locked by somebody else.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let code = code.and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

/// Whether the statement would have made something that is there.
pub(super) fn exists_already(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.message().ends_with("already exists"))
}

/// Whether the statement named something that does not exist.
pub(super) fn is_missing(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.message().contains("no such table"))
}

/// Whether the statement named something that only the application defines.
pub(super) fn is_applications(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| names_unknown(e.message()))
}

fn names_unknown(message: &str) -> bool {
    ["no such collation", "no such function", "unknown function"].iter().any(|m| message.contains(m))
}

/// What a result code means and what can be done; the low byte is the primary code.
fn meaning(code: i32, message: &str) -> (Kind, Option<&'static str>) {
    match code & 0xff {
        // SQLITE_ERROR is everything that was found while compiling, too.
        1 if message.contains("no such table") => {
            (Kind::Table, Some("was the table, or one that its triggers write to, dropped or renamed?"))
        }
        1 if message.contains("no such column") || message.contains("has no column") => {
            (Kind::Table, Some("was the column dropped or renamed?"))
        }
        1 if names_unknown(message) => (
            Kind::Table,
            Some("the application defines it and highwater has no such one: add the table to `exclude`"),
        ),
        // BUSY, LOCKED, SCHEMA, INTERRUPT, NOMEM.
        5 | 6 | 17 => (Kind::Unavailable, Some("somebody holds the file's lock; it is tried again")),
        7 | 9 => (Kind::Unavailable, None),
        // READONLY_DBMOVED: the file was moved or removed.
        8 if code == 1032 => (Kind::Unavailable, Some("the file was replaced; it is opened again")),
        8 => (Kind::Refused, Some("let highwater's user write the file and its directory")),
        10 => (Kind::Unavailable, Some("look at the disk and the system's log")),
        13 => (Kind::Unavailable, Some("free some space on the disk; it is tried again")),
        11 => (Kind::Failed, Some("the file is damaged: `PRAGMA integrity_check` shows how; restore it")),
        14 => (Kind::Unavailable, Some("look at the file, its directory and their permissions")),
        23 => (Kind::Refused, None),
        26 => (Kind::Refused, Some("check the path: the file is not a SQLite database, or it is encrypted")),
        // TOOBIG, CONSTRAINT (of every kind), MISMATCH: the row is to blame.
        18..=20 => (Kind::Data, None),
        _ => (Kind::Failed, None),
    }
}
