//! The scripts of an upgrade: which of them are to run, from which statement on, and what is refused before
//! anything is touched. `steps` runs their statements.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Progress;
use super::steps::Steps;
use crate::engine::{Lease, Parsed, Role, Script, Statement, Target};
use crate::error::{Error, Kind, Result};
use crate::fault;
use crate::ledger::{self, Ledger, ScriptEntry, ScriptState};
use crate::settings::{UpgradeRunner, UpgradeSettings, UpgradeTransaction};

/// How much of a statement is shown.
const SHOWN: usize = 120;

/// A script that was read.
pub(super) struct ScriptText {
    ordinal: i64,
    path: PathBuf,
    text: String,
    parsed: Parsed,
    /// The checksums of its first statements: of none, of one, and so on.
    checksums: Vec<String>,
}

/// A script that has run.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ScriptDone {
    /// Where it was found.
    pub path: String,
    /// Its statements.
    pub statements: usize,
    /// How many of them ran now; the others had before.
    pub ran: usize,
}

/// What the scripts are run with.
pub(super) struct Running<'a> {
    pub(super) target: &'a dyn Target,
    pub(super) ledger: &'a Ledger,
    pub(super) lease: &'a mut dyn Lease,
    pub(super) runner: UpgradeRunner,
    pub(super) transaction: UpgradeTransaction,
    pub(super) next: Option<usize>,
    pub(super) progress: Progress<'a>,
    pub(super) scripts: &'a [ScriptText],
}

/// Reads all scripts and takes them apart, before anything is touched.
pub(super) fn read(settings: &UpgradeSettings, session: &dyn Script) -> Result<Vec<ScriptText>> {
    let read = |(ordinal, path): (i64, &PathBuf)| {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::refused(format!("script {} can't be read", path.display())).because(e))?;
        let text = text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text);
        let split =
            session.split(&text).map_err(|e| Error::refused(format!("script {}:{e}", path.display())));
        if settings.transaction == UpgradeTransaction::Whole {
            let parsed = split.as_ref().map_err(|e| not_whole(&e.summary()))?;
            if let Some(obstacle) = &parsed.obstacle {
                return Err(not_whole(&format!("script {}:{obstacle}", path.display())));
            }
        }
        let parsed = match settings.runner {
            UpgradeRunner::Highwater => split?,
            // It is the client's to take apart: one step for us.
            UpgradeRunner::Client => {
                let whole = Statement { line: 1, sql: text.clone(), data: None, role: Role::Ordinary };
                Parsed { statements: vec![whole], obstacle: None }
            }
        };
        let checksums = checksums(&parsed.statements);
        Ok(ScriptText { ordinal, path: path.clone(), text, parsed, checksums })
    };
    (1..).zip(&settings.scripts).map(read).collect()
}

fn not_whole(what: &str) -> Error {
    Error::refused(format!("{what}; but upgrade.transaction is \"whole\"")).remedy(
        "set upgrade.transaction = \"statement\": each statement is committed, and a script that fails goes on where \
         it stopped",
    )
}

/// Refuses what the client can't do.
pub(super) async fn check_client(settings: &UpgradeSettings, target: &dyn Target) -> Result<()> {
    let is_whole = settings.transaction == UpgradeTransaction::Whole;
    if settings.runner == UpgradeRunner::Client && is_whole && !target.client(true).await?.is_whole() {
        return Err(not_whole("the engine's own client can't run a script in one transaction"));
    }
    Ok(())
}

fn checksums(statements: &[Statement]) -> Vec<String> {
    let mut digest = Sha256::new();
    let mut all = vec![hex::encode(digest.clone().finalize())];
    for statement in statements {
        digest.update(&statement.sql);
        digest.update([0]);
        all.push(hex::encode(digest.clone().finalize()));
    }
    all
}

/// Whether scripts were added since an upgrade ended, which are a further one then.
///
/// Refuses where a script has changed since it ran, and where the upgrade was done without scripts: those
/// that are named would do again what was done already.
pub(super) async fn is_further(ledger: &Ledger, scripts: &[ScriptText]) -> Result<bool> {
    let known = ledger.scripts().await?;
    if let (true, Some(script)) = (known.is_empty(), scripts.first()) {
        return Err(Error::refused(format!(
            "the schema was upgraded without scripts: script {} was not part of it",
            script.shown()
        ))
        .remedy(
            "if it is to run besides: `highwater upgrade --begin`, run it on the target yourself, `highwater upgrade \
             --done`; else take it out of upgrade.scripts",
        ));
    }
    let mut further = false;
    for script in scripts {
        match known.iter().find(|k| k.ordinal == script.ordinal) {
            Some(entry) => script.check_unchanged(entry)?,
            None => further = true,
        }
    }
    Ok(further)
}

/// Runs what has not run yet.
pub(super) async fn run(mut running: Running<'_>) -> Result<Vec<ScriptDone>> {
    let known = running.ledger.scripts().await?;
    let mut done = Vec::new();
    let mut next = running.next;
    for script in running.scripts {
        let entry = known.iter().find(|k| k.ordinal == script.ordinal);
        if let Some(entry) = entry.filter(|e| e.state == ScriptState::Done) {
            script.check_unchanged(entry)?;
            (running.progress)(&format!("{}: has run already, at {}", script.shown(), ended(entry)));
            done.push(script.done(0));
            continue;
        }
        let from = script.start(entry, next.take())?;
        let entry = entry.cloned().unwrap_or_else(|| script.entry());
        let ran = match running.runner {
            UpgradeRunner::Highwater => script.run(&mut running, entry, from).await?,
            UpgradeRunner::Client => script.run_by_client(&running, entry, from).await?,
        };
        done.push(script.done(ran));
    }
    Ok(done)
}

fn ended(entry: &ScriptEntry) -> &str {
    entry.ended_at.as_deref().unwrap_or("an unknown time")
}

impl ScriptText {
    pub(super) fn statements(&self) -> &[Statement] {
        &self.parsed.statements
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn done(&self, ran: usize) -> ScriptDone {
        ScriptDone { path: self.shown(), statements: self.parsed.statements.len(), ran }
    }

    fn entry(&self) -> ScriptEntry {
        ScriptEntry {
            ordinal: self.ordinal,
            path: self.shown(),
            checksum: self.checksum(0).to_string(),
            state: ScriptState::Open,
            statements: 0,
            begun_at: ledger::now(),
            ended_at: None,
        }
    }

    /// The checksum of the first statements; of all of them where `count` is more.
    fn checksum(&self, count: usize) -> &str {
        self.checksums.get(count).or(self.checksums.last()).map_or("", String::as_str)
    }

    fn check_unchanged(&self, entry: &ScriptEntry) -> Result<()> {
        if entry.checksum == ScriptEntry::checksum_of(&self.text) {
            return Ok(());
        }
        Err(Error::refused(format!(
            "script {} has run at {}, and is another one now",
            self.shown(),
            ended(entry)
        ))
        .remedy("put it back as it was; what is to be run besides belongs into a script of its own"))
    }

    /// With which statement (from 0) to go on.
    fn start(&self, entry: Option<&ScriptEntry>, next: Option<usize>) -> Result<usize> {
        let count = self.parsed.statements.len();
        if let Some(next) = next {
            if next == 0 || next > count + 1 {
                return Err(Error::usage(format!("--next {next}: {} has {count} statements", self.shown())));
            }
            return Ok(next - 1);
        }
        let Some(entry) = entry else { return Ok(0) };
        let done = usize::try_from(entry.statements).unwrap_or(usize::MAX);
        if entry.state == ScriptState::Running {
            return Err(Error::refused(format!(
                "script {} was broken off: {} may or may not have taken effect",
                self.shown(),
                self.place(done)
            ))
            .remedy(format!(
                "look at the target: `highwater upgrade --next {}` goes on behind it, `--next {}` runs it again",
                done + 2,
                done + 1
            )));
        }
        if done > count || entry.checksum != self.checksum(done) {
            return Err(Error::refused(format!(
                "script {}: its first {done} statements have run, and are others now",
                self.shown()
            ))
            .remedy("put them back as they were; what comes behind them may be mended"));
        }
        Ok(done)
    }

    /// The statement with that number (from 0), for people.
    pub(super) fn place(&self, n: usize) -> String {
        match self.parsed.statements.get(n) {
            Some(s) => format!(
                "statement {} of {} ({}:{}, `{}`)",
                n + 1,
                self.parsed.statements.len(),
                self.shown(),
                s.line,
                shortened(&s.sql)
            ),
            None => format!("{} as a whole", self.shown()),
        }
    }

    async fn run(&self, running: &mut Running<'_>, entry: ScriptEntry, from: usize) -> Result<usize> {
        let mut session = running.target.script().await?;
        let transaction = running.transaction;
        let mut steps = Steps::new(self, running, session.as_mut(), entry);
        let outcome = match transaction {
            UpgradeTransaction::Whole => steps.whole(from).await,
            UpgradeTransaction::Statement => steps.singly(from).await,
        };
        drop(session);
        outcome?;
        self.check_recorded(running.ledger).await?;
        fault::point("after_script").await?;
        Ok(self.parsed.statements.len() - from)
    }

    /// A script that leaves its transaction open has lost what it did there.
    async fn check_recorded(&self, ledger: &Ledger) -> Result<()> {
        let known = ledger.scripts().await?;
        let entry = known.into_iter().find(|k| k.ordinal == self.ordinal);
        if entry.as_ref().is_some_and(|e| e.state == ScriptState::Done) {
            return Ok(());
        }
        let n = entry.as_ref().map_or(0, |e| usize::try_from(e.statements).unwrap_or_default());
        let count = self.parsed.statements.len();
        if let Some(entry) = entry.filter(|e| e.state == ScriptState::Open && n == count) {
            // With autocommit off only its end was left in a transaction.
            return ledger.record_script(&self.ended_entry(entry)).await;
        }
        Err(Error::failed(format!(
            "script {} ends in the middle of a transaction, which is undone; next is {}",
            self.shown(),
            self.place(n)
        ))
        .remedy("end it with COMMIT; then `highwater upgrade` again"))
    }

    async fn run_by_client(
        &self,
        running: &Running<'_>,
        mut entry: ScriptEntry,
        from: usize,
    ) -> Result<usize> {
        if from > 0 {
            running.ledger.record_script(&self.ended_entry(entry)).await?;
            return Ok(0);
        }
        let client = running.target.client(running.transaction == UpgradeTransaction::Whole).await?;
        let is_whole = client.is_whole();
        self.mark(&mut entry, ScriptState::Running, 0);
        running.ledger.record_script(&entry).await?;
        (running.progress)(&format!("{}: run by the client", self.shown()));
        fault::point("before_statement").await?;
        let ran = client.run(&self.path).await;
        fault::point("after_statement").await?;
        if let Err(error) = ran {
            if is_whole {
                entry.state = ScriptState::Open;
                running.ledger.record_script(&entry).await?;
                return Err(error.at(format!("script {}", self.shown())).remedy("it is undone as a whole"));
            }
            return Err(error.at(format!("script {}", self.shown())).remedy(
                "see how far it came and mend the target; `highwater upgrade --next 1` runs it again, \
                 with `--next 2` it counts as done",
            ));
        }
        running.ledger.record_script(&self.ended_entry(entry)).await?;
        Ok(self.parsed.statements.len())
    }

    pub(super) fn mark(&self, entry: &mut ScriptEntry, state: ScriptState, done: usize) {
        entry.state = state;
        entry.path = self.shown();
        entry.statements = i64::try_from(done).unwrap_or(i64::MAX);
        entry.checksum = self.checksum(done).to_string();
    }

    pub(super) fn ended_entry(&self, mut entry: ScriptEntry) -> ScriptEntry {
        self.mark(&mut entry, ScriptState::Done, self.parsed.statements.len());
        entry.checksum = ScriptEntry::checksum_of(&self.text);
        entry.ended_at = Some(ledger::now());
        entry
    }

    pub(super) fn failed(&self, n: usize, error: &Error, state: &str) -> Error {
        let kind = if error.kind() == Kind::Unavailable { Kind::Unavailable } else { Kind::Failed };
        Error::new(kind, format!("{} failed: {}; {state}", self.place(n), error.summary()))
            .remedy(
            "mend what it says, then `highwater upgrade` again; or restore the target's backup first. The database \
             is still being upgraded, and the change log is kept",
        )
    }
}

fn shortened(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ..", &line[..end]),
        None => line,
    }
}
