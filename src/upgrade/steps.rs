//! Runs the statements of one script and records how far the script is.
//!
//! Crash story. Where definitions are part of a transaction ([`Commits::Together`]: PostgreSQL, SQLite), each
//! statement is one transaction with its record: whatever dies, the ledger says exactly which statements have
//! taken effect. A transaction of the script's own is one step: the record stands in it, before its COMMIT.
//!
//! Two kinds of statements can't be in one transaction with their record: those that the server takes only
//! outside a transaction (VACUUM, CREATE INDEX CONCURRENTLY, a procedure that commits), and all statements on
//! MySQL and MariaDB, where definitions commit by themselves. `running` is recorded before such a statement, and
//! the count after it. A crash between the two leaves a statement of which it is unknown whether it took
//! effect: then the operator says where to go on.

use super::scripts::{Running, ScriptText};
use crate::engine::{Commits, Ran, Role, Script, Statement};
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::ledger::{Ledger, ScriptEntry, ScriptState};
use crate::model::sql;

/// A script under way, in its session.
pub(super) struct Steps<'a, 'r> {
    script: &'a ScriptText,
    running: &'a mut Running<'r>,
    session: &'a mut dyn Script,
    entry: ScriptEntry,
    block: Block,
}

/// The script's own transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Open,
    Closed,
}

impl<'a, 'r> Steps<'a, 'r> {
    pub(super) fn new(
        script: &'a ScriptText,
        running: &'a mut Running<'r>,
        session: &'a mut dyn Script,
        entry: ScriptEntry,
    ) -> Self {
        Steps { script, running, session, entry, block: Block::Closed }
    }

    /// Runs the rest of the script in one transaction, with the record of it.
    pub(super) async fn whole(&mut self, from: usize) -> Result<()> {
        self.restore_session(from).await?;
        let mut open = false;
        for (n, statement) in self.statements().iter().enumerate().skip(from) {
            self.announce(n).await?;
            // What sets the session before everything else takes effect outside a transaction only.
            if !open && statement.role != Role::Session {
                self.session.begin().await?;
                open = true;
            }
            if let Err(error) = self.run_here(n).await {
                return Err(self.script.failed(
                    n,
                    &error,
                    "nothing of the script stays: it is undone as a whole",
                ));
            }
            fault::point("after_statement").await?;
        }
        let ended = self.script.ended_entry(self.entry.clone());
        if !open {
            return self.record_apart(&ended).await;
        }
        self.record(&ended).await?;
        fault::point("before_script_commit").await?;
        let last = self.statements().len().saturating_sub(1);
        self.session.commit().await.map_err(|e| self.script.failed(last, &e, "nothing of the script stays"))
    }

    /// Runs the rest of the script statement by statement, each committed.
    pub(super) async fn singly(&mut self, from: usize) -> Result<()> {
        self.restore_session(from).await?;
        self.note_apart(ScriptState::Open, from).await?;
        for n in from..self.statements().len() {
            self.announce(n).await?;
            match self.session.commits() {
                Commits::Together => self.with_record(n).await?,
                Commits::Apart => self.beside_record(n).await?,
            }
        }
        let ended = self.script.ended_entry(self.entry.clone());
        match self.block {
            // It is lost with the transaction, which the script has left open.
            Block::Open => self.record(&ended).await,
            Block::Closed => self.record_apart(&ended).await,
        }
    }

    fn statements(&self) -> &'a [Statement] {
        self.script.statements()
    }

    async fn announce(&mut self, n: usize) -> Result<()> {
        self.running.lease.check().await?;
        (self.running.progress)(&self.script.place(n));
        Ok(())
    }

    /// Runs again what only set the session that is gone.
    async fn restore_session(&mut self, from: usize) -> Result<()> {
        for (n, statement) in self.statements().iter().enumerate().take(from) {
            if statement.role == Role::Session {
                let place = || format!("{}:{}", self.script.shown(), statement.line);
                self.run_here(n).await.map_err(|e| e.at(place()))?;
            }
        }
        Ok(())
    }

    /// A statement where definitions are part of a transaction.
    async fn with_record(&mut self, n: usize) -> Result<()> {
        let statement = &self.statements()[n];
        match (statement.role, self.block) {
            (Role::Begin, _) => {
                self.run(n).await?;
                self.block = Block::Open;
                Ok(())
            }
            (Role::Commit, Block::Open) => {
                self.note(ScriptState::Open, n + 1).await?;
                self.run(n).await?;
                self.block = after_end(statement);
                Ok(())
            }
            (Role::Rollback, Block::Open) => {
                self.run(n).await?;
                self.block = after_end(statement);
                match self.block {
                    Block::Open => self.note(ScriptState::Open, n + 1).await,
                    Block::Closed => self.note_apart(ScriptState::Open, n + 1).await,
                }
            }
            (_, Block::Open) => self.run(n).await,
            (Role::Alone, Block::Closed) => self.alone(n).await,
            // Run again, they do the same.
            (Role::Session | Role::Commit | Role::Rollback, Block::Closed) => {
                self.run(n).await?;
                self.note_apart(ScriptState::Open, n + 1).await
            }
            (Role::Ordinary, Block::Closed) => self.ordinary(n).await,
        }
    }

    /// One transaction of statement and record.
    async fn ordinary(&mut self, n: usize) -> Result<()> {
        self.session.begin().await?;
        fault::point("before_statement").await?;
        match self.session.run(&self.statements()[n]).await {
            Ok(Ran::Done) => {}
            Ok(Ran::OutsideOnly(_)) => {
                self.session.rollback().await?;
                return self.alone(n).await;
            }
            Err(error) => return Err(self.broken(n, error).await),
        }
        fault::point("after_statement").await?;
        self.note(ScriptState::Open, n + 1).await?;
        fault::point("before_statement_commit").await?;
        if let Err(error) = self.session.commit().await {
            return Err(self.broken(n, error).await);
        }
        fault::point("after_statement_commit").await
    }

    /// A statement that can't be in one transaction with its record.
    async fn alone(&mut self, n: usize) -> Result<()> {
        self.note_apart(ScriptState::Running, n).await?;
        self.run(n).await?;
        self.note_apart(ScriptState::Open, n + 1).await
    }

    /// A statement where definitions commit by themselves. In a transaction of the script's own the records are
    /// part of it, and are undone with it.
    async fn beside_record(&mut self, n: usize) -> Result<()> {
        let role = self.statements()[n].role;
        match role {
            Role::Begin | Role::Rollback => {}
            // In the transaction that it commits.
            Role::Commit => self.note(ScriptState::Open, n + 1).await?,
            Role::Ordinary | Role::Session | Role::Alone => self.note(ScriptState::Running, n).await?,
        }
        self.run(n).await?;
        if role == Role::Commit { Ok(()) } else { self.note(ScriptState::Open, n + 1).await }
    }

    /// Runs a statement where it is; if it fails, says what stands in the ledger then.
    async fn run(&mut self, n: usize) -> Result<()> {
        fault::point("before_statement").await?;
        if let Err(error) = self.run_here(n).await {
            return Err(self.broken(n, error).await);
        }
        fault::point("after_statement").await
    }

    async fn run_here(&mut self, n: usize) -> Result<()> {
        match self.session.run(&self.statements()[n]).await? {
            Ran::Done => Ok(()),
            Ran::OutsideOnly(error) => Err(error),
        }
    }

    /// Records how far the script is, in the transaction that is open (on MySQL and MariaDB: if one is).
    async fn note(&mut self, state: ScriptState, done: usize) -> Result<()> {
        self.script.mark(&mut self.entry, state, done);
        let entry = self.entry.clone();
        self.record(&entry).await
    }

    /// As [`Steps::note`], where no transaction is open.
    async fn note_apart(&mut self, state: ScriptState, done: usize) -> Result<()> {
        self.script.mark(&mut self.entry, state, done);
        let entry = self.entry.clone();
        self.record_apart(&entry).await
    }

    async fn record_apart(&mut self, entry: &ScriptEntry) -> Result<()> {
        if self.session.commits() == Commits::Apart {
            return self.record(entry).await;
        }
        self.session.begin().await?;
        self.record(entry).await?;
        self.session.commit().await
    }

    async fn record(&mut self, entry: &ScriptEntry) -> Result<()> {
        self.running.ledger.record_script_in(self.session, entry).await.map_err(|e| {
            let place = format!(
                "script {}: the ledger can't be written in the session of the script",
                self.script.shown()
            );
            e.at(place).remedy("does it make the session read-only? set upgrade.runner = \"client\"")
        })
    }

    /// What stands in the ledger after a statement failed, and the error that says so.
    async fn broken(&mut self, n: usize, error: Error) -> Error {
        let (script, ledger) = (self.script, self.running.ledger);
        if error.kind() == Kind::Unavailable || self.session.rollback().await.is_err() {
            // The record of `running`, where there is one, says so at the next start.
            return script.failed(n, &error, "it may or may not have taken effect");
        }
        match self.reopen(ledger, n).await {
            Ok(next) if next == n && self.is_partial(n) => script.failed(
                n,
                &error,
                "it is next; it ran outside a transaction, and part of it may have stayed",
            ),
            Ok(next) if next == n => {
                script.failed(n, &error, "it is next: correct it, then `highwater upgrade` again")
            }
            Ok(next) => {
                let state = format!("its transaction is undone; next is {}", script.place(next));
                script.failed(n, &error, &state)
            }
            Err(other) => {
                script.failed(n, &error, &format!("that could not be recorded: {}", other.summary()))
            }
        }
    }

    /// Whether the statement ran outside a transaction, though there are some here.
    fn is_partial(&self, n: usize) -> bool {
        self.session.commits() == Commits::Together
            && self.entry.state == ScriptState::Running
            && usize::try_from(self.entry.statements).is_ok_and(|done| done == n)
    }

    /// The statement that the server refused has not taken effect: it is next, unless more was undone.
    /// Then what was running when the ledger was committed last, by the definition that it was, has run
    /// to its end, and what came behind it is undone.
    async fn reopen(&self, ledger: &Ledger, n: usize) -> Result<usize> {
        let known = ledger.scripts().await?;
        let Some(mut entry) = known.into_iter().find(|k| k.ordinal == self.entry.ordinal) else {
            return Ok(0);
        };
        if entry.state == ScriptState::Running {
            let committed = usize::try_from(entry.statements).unwrap_or_default();
            self.script.mark(&mut entry, ScriptState::Open, n.min(committed + 1));
            ledger.record_script(&entry).await?;
        }
        Ok(usize::try_from(entry.statements).unwrap_or_default())
    }
}

/// What a statement that ends a transaction leaves: `AND CHAIN` begins the next.
fn after_end(statement: &Statement) -> Block {
    let words = sql::words(&statement.sql);
    let is_no = |at: usize| at > 0 && words[at - 1].1.is("no");
    let chain = words.iter().position(|(_, word)| word.is("chain"));
    if chain.is_some_and(|at| !is_no(at)) { Block::Open } else { Block::Closed }
}
