//! Scripts of an upgrade: how they are taken apart, and a session that runs them as the vendor's own
//! client would.

use std::fmt;
use std::io::Seek;
use std::path::Path;
use std::process::Stdio;

use async_trait::async_trait;
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::Arg;
use crate::error::{Error, Result};

/// What a statement is to the session that runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It does something.
    Ordinary,
    /// It begins a transaction.
    Begin,
    /// It ends a transaction and keeps what it did.
    Commit,
    /// It ends a transaction and undoes what it did.
    Rollback,
    /// It only sets the session, and is run again by one that goes on later.
    Session,
    /// The server takes it only outside a transaction, or it may end transactions itself.
    Alone,
}

/// A statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Its text, without the delimiter.
    pub sql: String,
    /// What follows it for the server to read (`COPY .. FROM stdin`).
    pub data: Option<String>,
    /// What it is to the session.
    pub role: Role,
}

/// A script, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Its statements.
    pub statements: Vec<Statement>,
    /// Why it can't be one transaction, if it can't.
    pub obstacle: Option<Unreadable>,
}

/// How what a statement did and the ledger's record of it are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commits {
    /// In one transaction: definitions are part of it.
    Together,
    /// One after the other: definitions commit by themselves.
    Apart,
}

/// What became of a statement that was sent.
#[derive(Debug)]
pub enum Ran {
    /// It has run.
    Done,
    /// The server takes it only outside a transaction, and has done nothing of it.
    OutsideOnly(Error),
}

/// Why a script can't be run, or not in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub line: usize,
    /// What stands there.
    pub what: String,
}

impl Unreadable {
    /// A command that only the engine's own client knows.
    pub(super) fn command(line: usize, command: &str, client: &str) -> Self {
        let what = format!("`{command}` needs {client}: set upgrade.runner = \"client\"");
        Unreadable { line, what }
    }

    /// A statement that begins or ends transactions, or stands in none.
    pub(super) fn transaction(statement: &Statement) -> Self {
        let sql = statement.sql.split_whitespace().take(8).collect::<Vec<_>>().join(" ");
        Unreadable { line: statement.line, what: format!("`{sql}` can't be part of a larger transaction") }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

/// A session of its own for the scripts of an upgrade. Foreign keys and triggers are as the server has
/// them for everybody. Dropped, it is closed, and what it has not committed is undone.
#[async_trait]
pub trait Script: Send {
    /// Takes a script apart as the engine's own client does.
    fn split(&self, text: &str) -> Result<Parsed, Unreadable>;

    /// How statements and their records are committed here.
    fn commits(&self) -> Commits;

    /// Begins a transaction.
    async fn begin(&mut self) -> Result<()>;

    /// Runs one statement, whatever it gives.
    async fn run(&mut self, statement: &Statement) -> Result<Ran>;

    /// Runs a ledger statement (see [`super::Tx`]) in the session, and so in the transaction that is open
    /// there: what it records is true just if what was run before it stays. Where records commit
    /// [`Commits::Together`] a transaction must be open. Returns how many rows it touched.
    async fn record(&mut self, sql: &str, args: &[Arg]) -> Result<u64>;

    /// Commits what is open.
    async fn commit(&mut self) -> Result<()>;

    /// Undoes what is open, if anything is.
    async fn rollback(&mut self) -> Result<()>;
}

/// The engine's own client, ready to run a script.
pub struct Client {
    /// The program with its arguments, told where to connect.
    pub(super) command: Command,
    /// Whether it undoes the whole script when a statement fails.
    pub(super) whole: bool,
    /// Holds the password as long as the program needs it.
    pub(super) _secret: Option<NamedTempFile>,
}

impl Client {
    /// Whether nothing of a script stays that fails.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Runs the script, in its own folder, so that it finds what it includes.
    ///
    /// # Errors
    /// When the program can't be run, or fails: with what it said.
    pub async fn run(mut self, script: &Path) -> Result<()> {
        let failed =
            |e: std::io::Error| Error::failed(format!("{} can't be run", script.display())).because(e);
        let mut file = std::fs::File::open(script).map_err(failed)?;
        file.rewind().map_err(failed)?;
        if let Some(folder) = script.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            self.command.current_dir(folder);
        }
        let program = self.command.as_std().get_program().to_string_lossy().into_owned();
        let output = self
            .command
            .stdin(Stdio::from(file))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|e| Error::failed(format!("{program} could not be run")).because(e))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::failed(format!("{program} failed ({}): {}", output.status, said.trim())))
    }
}

/// Counts lines of a text as one walks through it.
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lines { text, at: 0, line: 1 }
    }

    /// The line of a place at or behind the last one asked for.
    pub(super) fn line(&mut self, at: usize) -> usize {
        let between = self.text.get(self.at..at).unwrap_or_default();
        self.line += between.bytes().filter(|b| *b == b'\n').count();
        self.at = at.max(self.at);
        self.line
    }
}

/// The bare words that a statement begins with, in capitals, comments passed over.
pub(super) fn first_words(sql: &str, count: usize) -> Vec<String> {
    let words = crate::model::sql::words(sql).into_iter();
    let name = |word: crate::model::sql::Word<'_>| match word {
        crate::model::sql::Word::Name(name) => Some(name.to_ascii_uppercase()),
        _ => None,
    };
    words.map_while(|(_, word)| name(word)).take(count).collect()
}

/// The role of a statement by its first words. `session` are words that only set the session.
pub(super) fn role(words: &[String], session: &[&str]) -> Role {
    let word = |n: usize| words.get(n).map_or("", String::as_str);
    match (word(0), word(1)) {
        (
            "BEGIN",
            "" | "WORK" | "TRANSACTION" | "ISOLATION" | "READ" | "IMMEDIATE" | "DEFERRED" | "EXCLUSIVE",
        )
        | ("START", "TRANSACTION") => Role::Begin,
        ("COMMIT" | "END", _) => Role::Commit,
        ("ROLLBACK", "TO") => Role::Ordinary,
        ("ROLLBACK", "WORK" | "TRANSACTION") if word(2) == "TO" => Role::Ordinary,
        ("ROLLBACK" | "ABORT", _) => Role::Rollback,
        ("SET", "GLOBAL" | "PERSIST" | "PASSWORD") => Role::Ordinary,
        (first, _) if session.contains(&first) => Role::Session,
        _ => Role::Ordinary,
    }
}

/// The length of the white space and comments at the beginning; `comment` gives that of one comment, 0 where
/// none begins.
pub(super) fn blank(text: &str, comment: fn(&str) -> usize) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        match comment(trimmed) {
            0 => return at,
            length => at += length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles() {
        let of = |sql: &str| role(&first_words(sql, 3), &["SET"]);
        assert_eq!(of("-- x\nbegin"), Role::Begin);
        assert_eq!(of("START TRANSACTION"), Role::Begin);
        assert_eq!(of("begin work"), Role::Begin);
        assert_eq!(of("END"), Role::Commit);
        assert_eq!(of("rollback to savepoint x"), Role::Ordinary);
        assert_eq!(of("ROLLBACK WORK"), Role::Rollback);
        assert_eq!(of("SET a = 1"), Role::Session);
        assert_eq!(of("SET GLOBAL a = 1"), Role::Ordinary);
        assert_eq!(of("UPDATE t SET a = 1"), Role::Ordinary);
    }
}
