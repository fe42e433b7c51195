//! `highwater verify`: whether the target is as it should be.

use clap::Args;
use serde::Serialize;

use super::output::{self, Column, Failure, Report, Style};
use super::{ReportArgs, Session};
use crate::checkpoint::{self, Outcome};
use crate::error::{Error, Kind, Result};
use crate::pair;
use crate::settings::{DatabaseSettings, Settings};
use crate::status::SCHEMA_VERSION;

/// Check that the target is as it should be; touches nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater verify --checkpoints           what the settings and presets say must hold on the target
  highwater verify --checkpoints --json

Exit code 4 if a checkpoint fails.")]
pub(super) struct VerifyArgs {
    /// Ask the checkpoints of the target
    #[arg(long)]
    checkpoints: bool,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

impl VerifyArgs {
    /// Whether there is something to do.
    ///
    /// # Errors
    /// [`Kind::Usage`] when nothing is asked for.
    pub(super) fn check(&self) -> Result<()> {
        if self.checkpoints {
            return Ok(());
        }
        Err(Error::usage("verify: say what is to be verified; there is --checkpoints")
            .remedy("`highwater verify --checkpoints`"))
    }
}

/// What came out for all databases.
#[derive(Debug, Serialize)]
pub(super) struct Verified {
    pub(super) schema_version: u32,
    /// Whether every checkpoint of every database holds.
    pub(super) holds: bool,
    pub(super) databases: Vec<Checked>,
    pub(super) next_steps: Vec<String>,
}

/// What came out for one database.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    pub(super) database: String,
    pub(super) target: String,
    pub(super) checkpoints: Vec<Outcome>,
    /// Why they could not be asked.
    pub(super) error: Option<Failure>,
    #[serde(skip)]
    pub(super) exit_code: u8,
}

pub(super) async fn run(session: &Session) -> Result<u8> {
    let databases = &session.settings.databases;
    if databases.iter().all(|database| database.checkpoints.is_empty()) {
        return Err(Error::usage("no checkpoint is named")
            .remedy("write [[database.NAME.checkpoint]], or `preset`; docs/settings.md explains them"));
    }
    let mut checked = Vec::with_capacity(databases.len());
    for database in databases {
        let outcomes = Box::pin(ask(&session.settings, database)).await;
        // Where it is about one database only, the error is the answer.
        let outcomes = if databases.len() == 1 { Ok(outcomes?) } else { outcomes };
        checked.push(Checked::new(database, outcomes));
    }
    let code = output::worst(checked.iter().map(|c| c.exit_code));
    output::report(&Verified::new(checked), session.json)?;
    Ok(code)
}

async fn ask(settings: &Settings, database: &DatabaseSettings) -> Result<Vec<Outcome>> {
    let target = pair::target(database, settings).await?;
    checkpoint::run(target.as_ref(), &database.checkpoints).await
}

impl Checked {
    pub(super) fn new(database: &DatabaseSettings, outcomes: Result<Vec<Outcome>>) -> Self {
        let (checkpoints, error, exit_code) = match outcomes {
            Ok(outcomes) if outcomes.iter().all(|o| o.holds) => (outcomes, None, 0),
            Ok(outcomes) => (outcomes, None, Error::new(Kind::NotConverged, "").exit_code()),
            Err(error) => (Vec::new(), Some(Failure::from(&error)), error.exit_code()),
        };
        let (name, target) = (database.name.clone(), database.target.to_string());
        Checked { database: name, target, checkpoints, error, exit_code }
    }
}

impl Verified {
    pub(super) fn new(databases: Vec<Checked>) -> Self {
        let holds = databases.iter().all(|d| d.exit_code == 0);
        let next_steps = if holds {
            Vec::new()
        } else {
            vec!["mend on the target what fails, then run it again".to_string()]
        };
        Verified { schema_version: SCHEMA_VERSION, holds, databases, next_steps }
    }
}

impl Report for Verified {
    fn text(&self, style: Style) -> String {
        let text: String = self.databases.iter().map(|database| one(database, style)).collect();
        let mut text = text + &output::next_steps(&self.next_steps);
        if self.holds {
            text += "every checkpoint holds\n";
        }
        text
    }
}

fn one(database: &Checked, style: Style) -> String {
    let mut text = format!("database {}: {}\n", database.database, database.target);
    if let Some(error) = &database.error {
        return text + &format!("{}\n", error.text());
    }
    if database.checkpoints.is_empty() {
        return text + "no checkpoint is named\n";
    }
    let columns = [Column::Text("checkpoint"), Column::Text("holds"), Column::Text("what is wrong")];
    let rows = database.checkpoints.iter().map(|outcome| {
        let holds = if outcome.holds { "yes" } else { "NO" };
        vec![outcome.name.clone(), holds.to_string(), outcome.what.clone().unwrap_or_default()]
    });
    text += &output::table(&columns, rows, style);
    text
}
