//! `highwater plan`: what would be done with each table, and everything that forbids it.

mod diff;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::{self, Column, Failure, Report, Style};
use super::{ReportArgs, Session};
use crate::advice;
use crate::error::{Error, Kind, Result};
use crate::ledger::Ledger;
use crate::model::{Finding, Plan, Strategy, TablePlan};
use crate::pair;
use crate::plan::{self, TableDiff};
use crate::settings::DatabaseSettings;
use crate::status::SCHEMA_VERSION;

/// Show what would be done with each table, and everything that forbids it; touches nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater plan
  highwater plan --database identity --json
  highwater plan --ddl > capture.sql      what capture will run on the source, for a DBA to read or run
  highwater plan --write rules.toml       rules for what needs one, commented, to be corrected

Exit code 3 if something forbids it.")]
pub(super) struct PlanArgs {
    /// Print the statements that capture will run on the source, and nothing else
    #[arg(long)]
    ddl: bool,
    /// Write proposed rules for the tables that need one into a new file, commented out
    #[arg(long, value_name = "FILE", conflicts_with = "ddl")]
    write: Option<PathBuf>,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

/// The plans of all databases.
#[derive(Debug, Serialize)]
pub(super) struct Plans {
    pub(super) schema_version: u32,
    pub(super) databases: Vec<Planned>,
    pub(super) next_steps: Vec<String>,
}

/// What came out for one database.
#[derive(Debug, Serialize)]
pub(super) struct Planned {
    pub(super) database: String,
    pub(super) source: String,
    pub(super) target: String,
    /// The plan; none where a side can't be reached.
    pub(super) plan: Option<Plan>,
    /// How the schemas differ, table by table.
    pub(super) diff: Vec<TableDiff>,
    /// About how long the copy will take, in seconds.
    pub(super) estimate_seconds: Option<u64>,
    /// What capture will run on the source, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ddl: Option<String>,
    /// Why there is no plan.
    pub(super) error: Option<Failure>,
    #[serde(skip)]
    pub(super) exit_code: u8,
}

pub(super) async fn run(session: &Session, args: &PlanArgs) -> Result<u8> {
    let mut databases = Vec::new();
    for database in &session.settings.databases {
        let decided = decide(session, database, args.ddl).await;
        // Where it is about one database only, the error is the answer.
        if session.settings.databases.len() == 1 {
            databases.push(Planned::new(database, Ok(decided?)));
        } else {
            databases.push(Planned::new(database, decided));
        }
    }
    let code = output::worst(databases.iter().map(|d| d.exit_code));
    if let Some(file) = &args.write {
        let diffs: Vec<(String, &[TableDiff])> =
            databases.iter().map(|d| (d.database.clone(), d.diff.as_slice())).collect();
        let count = diff::write(file, &diffs)?;
        output::note(&format!("{}: proposals for {count} tables\n", file.display()));
    }
    let plans = Plans::new(databases);
    if args.ddl && !session.json {
        output::print(&plans.ddl())?;
        plans.databases.iter().for_each(|database| output::note(&database.what_forbids()));
    } else {
        output::report(&plans, session.json)?;
    }
    Ok(code)
}

fn blocked_code() -> u8 {
    Error::new(Kind::Refused, "").exit_code()
}

async fn decide(session: &Session, database: &DatabaseSettings, ddl: bool) -> Result<Decided> {
    let sides = pair::connect(database, &session.settings).await?;
    let ledger = Ledger::peek(sides.target.clone(), &database.name, session.actor.clone()).await?;
    let mut plan = pair::plan(&sides, database, &session.settings, ledger.as_ref()).await?;
    // A DBA is asked for it when the privilege to run it is missing: that is no reason not to show it.
    if ddl {
        let ddl = Some(sides.source.capture_ddl(&plan).await?);
        return Ok(Decided { plan, diff: Vec::new(), ddl });
    }
    let circumstances = pair::circumstances(&session.settings, ledger.as_ref()).await?;
    plan::foresee(&mut plan, database, &circumstances, (sides.source.as_ref(), sides.target.as_ref()))
        .await?;
    let diff = pair::compare(&sides, database, &plan).await?;
    Ok(Decided { plan, diff, ddl: None })
}

/// What was found out about one database.
pub(super) struct Decided {
    pub(super) plan: Plan,
    pub(super) diff: Vec<TableDiff>,
    pub(super) ddl: Option<String>,
}

impl Plans {
    pub(super) fn new(databases: Vec<Planned>) -> Self {
        let next_steps = match output::worst(databases.iter().map(|d| d.exit_code)) {
            0 => vec![
                "`highwater plan --ddl` shows what will run on the source".to_string(),
                "`highwater run` copies, then replays until stopped".to_string(),
            ],
            _ => vec!["mend what is named, or `exclude` the table, then `highwater plan` again".to_string()],
        };
        Plans { schema_version: SCHEMA_VERSION, databases, next_steps }
    }

    /// All statements as one script.
    fn ddl(&self) -> String {
        let script = |d: &Planned| {
            d.ddl
                .as_ref()
                .map(|ddl| format!("-- database {}, on {}\n\n{}\n", d.database, d.source, ddl.trim_end()))
        };
        self.databases.iter().filter_map(script).collect::<Vec<_>>().join("\n")
    }
}

impl Report for Plans {
    fn text(&self, style: Style) -> String {
        let databases: String = self.databases.iter().map(|database| database.text(style) + "\n").collect();
        databases + &output::next_steps(&self.next_steps)
    }
}

impl Planned {
    fn new(database: &DatabaseSettings, decided: Result<Decided>) -> Self {
        let mut planned = Planned {
            database: database.name.clone(),
            source: database.source.to_string(),
            target: database.target.to_string(),
            plan: None,
            diff: Vec::new(),
            estimate_seconds: None,
            ddl: None,
            error: None,
            exit_code: 0,
        };
        match decided {
            Ok(Decided { plan, diff, ddl }) => {
                planned.exit_code = if plan.blockers.is_empty() { 0 } else { blocked_code() };
                planned.estimate_seconds = Some(plan::estimate(&plan).as_secs());
                planned.plan = Some(plan);
                planned.diff = diff;
                planned.ddl = ddl;
            }
            Err(error) => {
                planned.exit_code = error.exit_code();
                planned.error = Some(Failure::from(&error));
            }
        }
        planned
    }

    fn text(&self, style: Style) -> String {
        let mut text = format!("database {}: {} -> {}\n", self.database, self.source, self.target);
        if let Some(plan) = &self.plan {
            text += &tables(plan, style);
            text += &excluded(plan);
            text += &diff::text(&self.database, &self.diff);
            text += &plan.notes.iter().map(|note| format!("{note}\n")).collect::<String>();
            text += &findings("warnings", &plan.warnings);
        }
        text += &self.what_forbids();
        if let Some((plan, seconds)) = self.plan.as_ref().zip(self.estimate_seconds) {
            text += &totals(plan, seconds);
        }
        text
    }

    /// Blockers, or the error.
    fn what_forbids(&self) -> String {
        let blockers =
            self.plan.as_ref().map(|plan| findings("blockers", &plan.blockers)).unwrap_or_default();
        blockers + &self.error.as_ref().map(Failure::text).unwrap_or_default()
    }
}

fn tables(plan: &Plan, style: Style) -> String {
    let columns = [
        Column::Text("source table"),
        Column::Text("target table"),
        Column::Text("key"),
        Column::Number("rows, about"),
        Column::Number("size, about"),
        Column::Text("how"),
    ];
    let row = |t: &TablePlan| {
        vec![
            t.label(),
            t.target.to_string(),
            if t.key.is_empty() { "(none)".to_string() } else { t.key.join(", ") },
            output::number(t.rows),
            output::size(t.bytes),
            how(t),
        ]
    };
    output::table(&columns, plan.tables.iter().map(row), style)
}

fn how(table: &TablePlan) -> String {
    let strategy = match table.strategy {
        Strategy::Keyed => "by key",
        Strategy::Whole => "as a whole",
    };
    if table.create { format!("{strategy}, made on the target") } else { strategy.to_string() }
}

fn excluded(plan: &Plan) -> String {
    if plan.excluded.is_empty() {
        return String::new();
    }
    let names: Vec<String> = plan.excluded.iter().map(ToString::to_string).collect();
    format!("not carried: {}\n", names.join(", "))
}

fn findings(title: &str, findings: &[Finding]) -> String {
    let lines: Vec<String> = findings
        .iter()
        .map(|f| {
            let table = f.table.as_ref().map(|table| format!("{table}: ")).unwrap_or_default();
            format!("{table}{}\n    to do: {}", f.what, f.remedy)
        })
        .collect();
    output::list(&format!("{title} ({})", lines.len()), &lines)
}

#[expect(clippy::cast_precision_loss, reason = "a guess in whole seconds")]
fn totals(plan: &Plan, seconds: u64) -> String {
    let sum = |of: fn(&TablePlan) -> u64| plan.tables.iter().map(of).sum::<u64>();
    format!(
        "{} {}, about {} rows, {}; the copy takes about {} (a guess from sizes)\nplan {}\n",
        plan.tables.len(),
        if plan.tables.len() == 1 { "table" } else { "tables" },
        output::number(sum(|t| t.rows)),
        output::size(sum(|t| t.bytes)),
        advice::duration(seconds as f64),
        plan.hash
    )
}
