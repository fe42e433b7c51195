//! `highwater verify`: whether the target is as it should be.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::output::{self, Column, Failure, Report, Style};
use super::{ReportArgs, Session, signals};
use crate::checkpoint::{self, Asked, Outcome, Rows};
use crate::cutover;
use crate::error::{Error, Kind, Result};
use crate::ledger::Ledger;
use crate::pair;
use crate::run;
use crate::settings::DatabaseSettings;
use crate::status::{Board, SCHEMA_VERSION};

/// Check that the target is as it should be
///
/// Checkpoints are asked at a consistent point: the target is brought to one instant of production's, and replay is
/// held while they are answered. A running daemon hands over for it. Where no point can be made they are asked all
/// the same, and what then fails is shown as not decided.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater verify --checkpoints           what the settings and presets say must hold on the target
  highwater verify --checkpoints --json

Exit code 4 if a checkpoint fails, or is not decided.")]
pub(super) struct VerifyArgs {
    /// Ask the checkpoints of the target
    #[arg(long)]
    checkpoints: bool,
    /// How long to wait until a running daemon hands over, and until everything is applied
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,
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
    /// The instant of production's that the target was equal to while they were asked.
    pub(super) consistent_at: Option<String>,
    /// Why it was equal to none, where rows were being replayed.
    pub(super) no_point: Option<String>,
    /// Why they could not be asked.
    pub(super) error: Option<Failure>,
    #[serde(skip)]
    pub(super) exit_code: u8,
}

pub(super) async fn run(session: &Session, args: &VerifyArgs) -> Result<u8> {
    let databases = &session.settings.databases;
    if databases.iter().all(|database| database.checkpoints.is_empty()) {
        return Err(Error::usage("no checkpoint is named")
            .remedy("write [[database.NAME.checkpoint]], or `preset`; docs/settings.md explains them"));
    }
    let stop = signals::stop()?;
    let mut checked = Vec::with_capacity(databases.len());
    for (database, board) in databases.iter().zip(run::boards(&session.settings)) {
        let asked = Box::pin(ask(session, database, &board, args.timeout, &stop)).await;
        // Where it is about one database only, the error is the answer.
        let asked = if databases.len() == 1 { Ok(asked?) } else { asked };
        checked.push(Checked::new(database, asked));
    }
    let code = output::worst(checked.iter().map(|c| c.exit_code));
    output::report(&Verified::new(checked), session.json)?;
    Ok(code)
}

/// Asks the checkpoints of one database: at a consistent point where its rows are replayed, else as they are.
async fn ask(
    session: &Session,
    database: &DatabaseSettings,
    board: &Board,
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<Asked> {
    let settings = &session.settings;
    let target = pair::target(database, settings).await?;
    let known = Ledger::peek(target.clone(), &database.name, session.actor.clone()).await?;
    let moving = match &known {
        Some(ledger) => {
            let entry = ledger.read().await?;
            entry.standing().writes_rows() && entry.tables.iter().any(|t| t.watermark.is_some())
        }
        None => false,
    };
    let ledger = match known.filter(|_| moving && !database.checkpoints.is_empty()) {
        Some(ledger) => ledger,
        None => {
            let rows = Rows::AtRest;
            let outcomes = checkpoint::run(target.as_ref(), &database.checkpoints, &rows).await?;
            return Ok(Asked { outcomes, rows });
        }
    };
    match at_point(session, database, &ledger, board, (Instant::now() + timeout, stop)).await {
        Ok(asked) => Ok(asked),
        // The source may be out of reach, or another process may keep the lease: the target can be asked.
        Err(error) => {
            checkpoint::without_point(target.as_ref(), &database.checkpoints, error.summary()).await
        }
    }
}

async fn at_point(
    session: &Session,
    database: &DatabaseSettings,
    ledger: &Ledger,
    board: &Board,
    (until, stop): (Instant, &CancellationToken),
) -> Result<Asked> {
    let settings = &session.settings;
    let sides = pair::connect(database, settings).await?;
    let mut lease = cutover::take_lease(&sides, ledger, until, stop).await?;
    let ledger = &pair::take_term(&sides, ledger).await?;
    let all = (&sides, database, settings);
    let asked = checkpoint::under_lease(all, ledger, board, lease.as_mut(), (until, stop)).await;
    let released = lease.release().await;
    let asked = asked?;
    released?;
    Ok(asked)
}

impl Checked {
    pub(super) fn new(database: &DatabaseSettings, asked: Result<Asked>) -> Self {
        let (name, target) = (database.name.clone(), database.target.to_string());
        let mut checked = Checked {
            database: name,
            target,
            checkpoints: Vec::new(),
            consistent_at: None,
            no_point: None,
            error: None,
            exit_code: 0,
        };
        match asked {
            Ok(asked) => {
                if !asked.outcomes.iter().all(|o| o.holds) {
                    checked.exit_code = Error::new(Kind::NotConverged, "").exit_code();
                }
                checked.checkpoints = asked.outcomes;
                match asked.rows {
                    Rows::At(at) => checked.consistent_at = Some(at),
                    Rows::Moving(why) => checked.no_point = Some(why),
                    Rows::AtRest => {}
                }
            }
            Err(error) => {
                checked.exit_code = error.exit_code();
                checked.error = Some(Failure::from(&error));
            }
        }
        checked
    }
}

impl Verified {
    pub(super) fn new(databases: Vec<Checked>) -> Self {
        let holds = databases.iter().all(|d| d.exit_code == 0);
        let next_steps = if holds {
            Vec::new()
        } else {
            vec!["correct on the target what fails; what is not decided: run it again".to_string()]
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
        let holds = match (outcome.holds, outcome.decided) {
            (true, _) => "yes",
            (false, true) => "NO",
            (false, false) => "not decided",
        };
        vec![outcome.name.clone(), holds.to_string(), outcome.what.clone().unwrap_or_default()]
    });
    text += &output::table(&columns, rows, style);
    if let Some(at) = &database.consistent_at {
        text += &format!("asked at a consistent point: production at {at}\n");
    }
    if let Some(why) = &database.no_point {
        text += &format!("asked without a consistent point: {why}\n");
    }
    text
}
