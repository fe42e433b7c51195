//! The command line: one file per command. stdout is the result, stderr the log and progress.

mod clean;
mod copy;
mod demo;
mod final_sync;
mod logging;
mod output;
mod plan;
mod progress;
mod run;
mod service;
mod signals;
mod status;
#[cfg(test)]
mod tests;
mod upgrade;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use indicatif::MultiProgress;

use crate::error::{Error, Result};
use crate::ledger::Actor;
use crate::settings::Settings;

pub use output::fail;

const ABOUT: &str = "Keeps a staging database in step with production while the software above it is upgraded, \
                     and hands over in seconds.";

const AFTER: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line or the settings are wrong
  3  refused by a gate or blocker, nothing was touched
  4  not converged: behind, parked or different
  5  this side is no longer the source: don't start it again

Examples:
  highwater demo                     see it work, without a server
  highwater plan                     what would be done, and what forbids it
  highwater run                      copy, then replay until stopped
  highwater upgrade                  upgrade the target's schema, and go on
  highwater status --watch           how it stands
  highwater verify --checkpoints     what must hold on staging does
  highwater final-sync --fence       the end: production is fenced, staging equal to it

Settings are read from highwater.toml; config/highwater.toml explains every key.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, about = ABOUT, after_help = AFTER, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
struct Common {
    /// A settings file; can be given several times, later ones over earlier ones
    #[arg(long, short, value_name = "FILE", global = true, default_value = "highwater.toml")]
    config: Vec<PathBuf>,
    /// Only the database of that name
    #[arg(long, value_name = "NAME", global = true)]
    database: Option<String>,
    /// The form of log lines
    #[arg(long, value_name = "FORM", global = true, value_enum, default_value_t = logging::LogFormat::Text)]
    log_format: logging::LogFormat,
    /// What is logged; without it RUST_LOG, else what suits the command
    #[arg(long, value_name = "LEVEL", global = true, value_enum)]
    log_level: Option<logging::LogLevel>,
}

/// What commands that report take.
#[derive(Debug, Args)]
struct ReportArgs {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::PlanArgs),
    Copy(copy::CopyArgs),
    Run(run::RunArgs),
    Upgrade(upgrade::UpgradeArgs),
    FinalSync(final_sync::FinalSyncArgs),
    Status(status::StatusArgs),
    Verify(verify::VerifyArgs),
    Clean(clean::CleanArgs),
    Demo(demo::DemoCommand),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  highwater completions bash > /etc/bash_completion.d/highwater")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// Its name in the ledger's events.
    fn name(&self) -> &'static str {
        match self {
            Command::Plan(_) => "plan",
            Command::Copy(_) => "copy",
            Command::Run(_) => "run",
            Command::Upgrade(_) => "upgrade",
            Command::FinalSync(_) => "final-sync",
            Command::Status(_) => "status",
            Command::Verify(_) => "verify",
            Command::Clean(_) => "clean",
            Command::Demo(_) => "demo",
            Command::Completions { .. } => "completions",
        }
    }

    fn wants_json(&self) -> bool {
        match self {
            Command::Plan(args) => args.report.json,
            Command::Copy(args) => args.report.json,
            Command::Upgrade(args) => args.report.json,
            Command::FinalSync(args) => args.report.json,
            Command::Status(args) => args.report.json,
            Command::Verify(args) => args.report.json,
            Command::Clean(args) => args.report.json,
            Command::Run(_) | Command::Demo(_) | Command::Completions { .. } => false,
        }
    }

    /// Whether its log is what one watches, and not just what went wrong.
    fn is_watched(&self) -> bool {
        matches!(self, Command::Run(_) | Command::Copy(_) | Command::FinalSync(_))
    }
}

/// What a command works with.
struct Session {
    settings: Arc<Settings>,
    actor: Actor,
    /// Where progress is drawn; log lines go around it.
    bars: MultiProgress,
    json: bool,
}

/// Reads the command line. A wrong one ends the process with exit code 2.
pub fn parse() -> Cli {
    Cli::parse()
}

/// Carries out a command, in the tokio runtime. Returns the exit code.
pub async fn run(cli: Cli) -> u8 {
    let json = cli.command.wants_json();
    match Box::pin(carry_out(cli)).await {
        Ok(code) => code,
        Err(error) => fail(&error, json),
    }
}

async fn carry_out(cli: Cli) -> Result<u8> {
    let Cli { common, command } = cli;
    let bars = MultiProgress::new();
    // The demo draws on the terminal, and keeps its log in a file unless one is asked for here.
    if !matches!(command, Command::Demo(_)) || common.log_level.is_some() {
        logging::install(common.log_format, common.log_level, command.is_watched(), &bars)?;
    }
    let (name, json) = (command.name(), command.wants_json());
    let session = || -> Result<Session> {
        let settings = Arc::new(load(&common)?);
        let actor = Actor::here(name, &settings.hash);
        Ok(Session { settings, actor, bars: bars.clone(), json })
    };
    match command {
        Command::Plan(args) => plan::run(&session()?, &args).await,
        Command::Copy(_) => copy::run(&session()?).await,
        Command::Run(_) => run::run(&session()?).await,
        Command::Upgrade(args) => upgrade::run(&session()?, &args).await,
        Command::FinalSync(args) => final_sync::run(&session()?, &args).await,
        Command::Status(args) => status::run(&session()?, &args).await,
        Command::Verify(args) => {
            args.check()?;
            verify::run(&session()?, &args).await
        }
        Command::Clean(args) => clean::run(&session()?, &args).await,
        Command::Demo(args) => demo::run(&args).await,
        Command::Completions { shell } => completions(shell),
    }
}

fn load(common: &Common) -> Result<Settings> {
    // A variable that is not text can't be one of ours: their names and values are.
    let env =
        std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    Settings::load(&common.config, env)?.only(common.database.as_deref())
}

fn completions(shell: Shell) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "highwater", &mut text);
    let text =
        String::from_utf8(text).map_err(|e| Error::failed("the completions can't be printed").because(e))?;
    output::print(&text)?;
    Ok(0)
}
