//! `highwater upgrade`: the target's schema is upgraded while production writes on.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::final_sync::FailedDatabase;
use super::output::{self, Failure, Report, Style};
use super::{ReportArgs, Session};
use crate::error::{Error, Result};
use crate::run;
use crate::settings::DatabaseSettings;
use crate::state::Phase;
use crate::status::{Board, SCHEMA_VERSION};
use crate::upgrade::{self, Options, ScriptDone, Step, Upgraded};

/// Upgrade the target's schema: run the scripts, or make way for the vendor's own means
///
/// Replay is paused meanwhile and nothing is purged, so production's changes wait in the change log. With
/// --begin and --done anything may upgrade the target between; without them the scripts of upgrade.scripts
/// are run. Can be stopped or killed anywhere, and given again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater upgrade                  run upgrade.scripts, then replay into the new schema
  highwater upgrade --begin          pause replay: nothing is in flight when it returns
  ./vendor-migration --target staging
  highwater upgrade --done           read the new schema, settle, go on
  highwater upgrade --next 7         go on with statement 7 of a script that was broken off
  highwater upgrade --begin --hold   keep the change log, to be able to restore the target's backup
  highwater upgrade --release        purge it again

Exit code 3 if something forbids it: the database stays as it was, or is still being upgraded.")]
pub(super) struct UpgradeArgs {
    /// Pause replay, and nothing else
    #[arg(long, conflicts_with_all = ["done", "release", "next"])]
    begin: bool,
    /// The upgrade has ended: go on
    #[arg(long, conflicts_with_all = ["release", "next"])]
    done: bool,
    /// Purge nothing from the change log until --release
    #[arg(long)]
    hold: bool,
    /// Purge the change log again
    #[arg(long, conflicts_with_all = ["hold", "next"])]
    release: bool,
    /// The statement with which the script that was broken off goes on
    #[arg(long, value_name = "N")]
    next: Option<usize>,
    /// How long to wait until a running daemon hands over
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Outcome {
    schema_version: u32,
    databases: Vec<Database>,
    /// Databases that ended with an error.
    failed: Vec<FailedDatabase>,
    next_steps: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Database {
    database: String,
    phase: Phase,
    upgraded_at: Option<String>,
    log_held_at: Option<String>,
    scripts: Vec<ScriptDone>,
}

pub(super) async fn run(session: &Session, args: &UpgradeArgs) -> Result<u8> {
    let step = match (args.begin, args.done, args.release) {
        (true, ..) => Step::Begin,
        (_, true, _) => Step::Done,
        (_, _, true) => Step::Release,
        _ => Step::Scripts,
    };
    let options = Options { step, hold: args.hold, next: args.next, timeout: args.timeout };
    let boards = run::boards(&session.settings);
    let ended = match session.settings.databases.as_slice() {
        [database] => vec![(database.name.clone(), Ok(one(session, database, options, &boards[0]).await?))],
        databases => several(session, databases, options, &boards).await,
    };
    let codes: Vec<u8> =
        ended.iter().map(|(_, ended)| ended.as_ref().map_or_else(Error::exit_code, |_| 0)).collect();
    output::report(&Outcome::new(ended), session.json)?;
    Ok(output::worst(codes))
}

async fn one(
    session: &Session,
    database: &DatabaseSettings,
    options: Options,
    board: &Board,
) -> Result<Upgraded> {
    let progress = |line: &str| output::note(&format!("{line}\n"));
    Box::pin(upgrade::upgrade(&session.settings, database, &session.actor, options, board, &progress)).await
}

/// Looks at all databases before the first is touched; then carries every one through, whatever becomes of the
/// others.
async fn several(
    session: &Session,
    databases: &[DatabaseSettings],
    options: Options,
    boards: &[Board],
) -> Vec<(String, Result<Upgraded>)> {
    let mut refused = Vec::new();
    for (database, board) in databases.iter().zip(boards) {
        let look = upgrade::check(&session.settings, database, &session.actor, options.step, board);
        if let Err(error) = Box::pin(look).await {
            refused.push((database.name.clone(), Err(error)));
        }
    }
    if !refused.is_empty() {
        output::note("no database was touched: something forbids it\n");
        return refused;
    }
    let mut ended = Vec::new();
    for (database, board) in databases.iter().zip(boards) {
        ended.push((database.name.clone(), one(session, database, options, board).await));
    }
    ended
}

impl From<Upgraded> for Database {
    fn from(done: Upgraded) -> Self {
        Database {
            database: done.database,
            phase: done.phase,
            upgraded_at: done.upgraded_at,
            log_held_at: done.log_held_at,
            scripts: done.scripts,
        }
    }
}

impl Outcome {
    fn new(ended: Vec<(String, Result<Upgraded>)>) -> Self {
        let (mut databases, mut failed, mut next_steps) = (Vec::new(), Vec::new(), Vec::new());
        for (database, ended) in ended {
            match ended {
                Ok(upgraded) => databases.push(Database::from(upgraded)),
                Err(error) => failed.push(FailedDatabase { database, error: Failure::from(&error) }),
            }
        }
        if databases.iter().any(|d| d.phase == Phase::Upgrading) {
            next_steps.push("upgrade the target; then `highwater upgrade --done`".to_string());
        }
        if databases.iter().any(|d| d.phase == Phase::Replaying) {
            next_steps.push("`highwater run` replays into the upgraded schema".to_string());
        }
        if databases.iter().any(|d| d.phase == Phase::Copying) {
            next_steps.push("`highwater run` copies into the upgraded schema".to_string());
        }
        if databases.iter().any(|d| d.log_held_at.is_some()) {
            next_steps.push(
                "the change log grows until `highwater upgrade --release`: when no backup is needed any more"
                    .to_string(),
            );
        }
        Outcome { schema_version: SCHEMA_VERSION, databases, failed, next_steps }
    }
}

impl Report for Outcome {
    fn text(&self, _style: Style) -> String {
        let mut text = String::new();
        for database in &self.databases {
            text += &match &database.upgraded_at {
                Some(at) => format!("database {}: {}, upgraded at {at}\n", database.database, database.phase),
                None => format!("database {}: {}\n", database.database, database.phase),
            };
            for script in &database.scripts {
                text += &format!("  {}: {} statements, {} now\n", script.path, script.statements, script.ran);
            }
        }
        for failed in &self.failed {
            text += &format!("database {}: {}\n", failed.database, failed.error.text());
        }
        text + &output::next_steps(&self.next_steps)
    }
}
