//! `highwater final-sync`: brings the target to where the source is, once.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::output::{self, Column, Failure, Report, Style};
use super::{ReportArgs, Session, signals};
use crate::cutover::{self, FinalSync, LoweredFence, Options, Outage, Verdict};
use crate::error::{Error, Kind, Result};
use crate::run;
use crate::status::SCHEMA_VERSION;

/// Bring the target to where the source is, once, and say what that is worth
///
/// Works with and without a running daemon, which hands over for it. Without a fence the result is
/// `drained`: true of one moment. With --fence production can't write any more, and it is `final`. The fence
/// goes up last: first everything is checked that can be checked without it, for all databases.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater final-sync                     a trial: drained, and whether production is still written
  highwater final-sync --fence             the end: production is fenced, and the fence stays up
  highwater final-sync --lower             production may write again
  highwater final-sync --timeout 2m --json

Exit code 4 if something is behind or parked, or production is still written.")]
pub(super) struct FinalSyncArgs {
    /// Raise the fence in the end: production's writers are refused from then on
    #[arg(long)]
    fence: bool,
    /// Lower the fence, and nothing else
    #[arg(long, alias = "lift", conflicts_with_all = ["fence", "allow_writers"])]
    lower: bool,
    /// Without a fence: that production is still written is no failure
    #[arg(long, conflicts_with = "fence")]
    allow_writers: bool,
    /// How long all may take that comes before the fence, and again how long production may be held up
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

/// What came out for all databases.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) schema_version: u32,
    /// What is claimed of every database, if `converged`.
    pub(super) verdict: Verdict,
    /// Whether the claim holds for every database.
    pub(super) converged: bool,
    pub(super) databases: Vec<FinalSync>,
    /// Databases that ended with an error.
    pub(super) failed: Vec<FailedDatabase>,
    pub(super) next_steps: Vec<String>,
}

/// A database that ended with an error.
#[derive(Debug, Serialize)]
pub(super) struct FailedDatabase {
    pub(super) database: String,
    pub(super) error: Failure,
}

/// What `--lower` did.
#[derive(Debug, Serialize)]
struct Lowerings {
    schema_version: u32,
    databases: Vec<Lowering>,
    /// Databases that ended with an error.
    failed: Vec<FailedDatabase>,
    next_steps: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Lowering {
    database: String,
    #[serde(flatten)]
    fence: LoweredFence,
}

pub(super) async fn run(session: &Session, args: &FinalSyncArgs) -> Result<u8> {
    if args.lower {
        Box::pin(lower(session, args.timeout)).await
    } else {
        Box::pin(sync(session, args)).await
    }
}

async fn sync(session: &Session, args: &FinalSyncArgs) -> Result<u8> {
    let options = Options { fence: args.fence, allow_writers: args.allow_writers, timeout: args.timeout };
    let stop = signals::stop()?;
    let databases: Vec<_> =
        session.settings.databases.iter().cloned().zip(run::boards(&session.settings)).collect();
    let syncing = cutover::final_sync(&session.settings, &databases, &session.actor, options, &stop);
    let mut ended = syncing.await;
    if databases.len() == 1
        && let Some(Err(error)) = ended.pop_if(|ended| ended.is_err())
    {
        return Err(error);
    }
    let codes: Vec<u8> = ended.iter().map(exit_code).collect();
    let verdict = if args.fence { Verdict::Final } else { Verdict::Drained };
    let names = databases.iter().map(|(d, _)| d.name.clone());
    output::report(&Outcome::new(verdict, names.zip(ended)), session.json)?;
    Ok(output::worst(codes))
}

fn exit_code(ended: &Result<FinalSync>) -> u8 {
    match ended {
        Ok(report) if report.converged => 0,
        Ok(_) => Error::new(Kind::NotConverged, "").exit_code(),
        Err(error) => error.exit_code(),
    }
}

impl Outcome {
    pub(super) fn new(verdict: Verdict, ended: impl Iterator<Item = (String, Result<FinalSync>)>) -> Self {
        let (mut databases, mut failed, mut next_steps) = (Vec::new(), Vec::new(), Vec::new());
        for (database, ended) in ended {
            match ended {
                Ok(report) => {
                    add_missing(&mut next_steps, &report.next_steps);
                    databases.push(report);
                }
                Err(error) => {
                    add_missing(&mut next_steps, error.remedy_text().map(str::to_string).as_slice());
                    failed.push(FailedDatabase { database, error: Failure::from(&error) });
                }
            }
        }
        let converged = failed.is_empty() && databases.iter().all(|d| d.converged);
        if !converged && databases.iter().any(|d| d.converged && d.verdict == Verdict::Final) {
            next_steps.push(
                "some databases are final and stay fenced: end the others too, or `highwater final-sync --lower`"
                    .to_string(),
            );
        }
        Outcome { schema_version: SCHEMA_VERSION, verdict, converged, databases, failed, next_steps }
    }
}

fn add_missing(steps: &mut Vec<String>, more: &[String]) {
    for step in more {
        if !steps.contains(step) {
            steps.push(step.clone());
        }
    }
}

impl Report for Outcome {
    fn text(&self, style: Style) -> String {
        let mut text: String = self.databases.iter().map(|database| one(database, style) + "\n").collect();
        for failed in &self.failed {
            text += &format!("database {}: {}\n", failed.database, failed.error.text());
        }
        text + &output::next_steps(&self.next_steps)
    }
}

fn one(report: &FinalSync, style: Style) -> String {
    let claim = report.claim();
    let claim = if report.converged { claim.to_string() } else { format!("not {claim}") };
    let mut text = format!("database {}: {claim}\n", report.database);
    text += &tables(report, style);
    if report.sequences_moved.is_empty() {
        text += "sequences: none had to be moved\n";
    } else {
        text += &format!("sequences moved: {}\n", report.sequences_moved.join(", "));
    }
    if !report.checkpoints.is_empty() {
        let hold = report.checkpoints.iter().filter(|checkpoint| checkpoint.holds).count();
        text += &format!("checkpoints: {hold} of {} hold\n", report.checkpoints.len());
    }
    if let Some(at) = &report.consistent_at {
        let held = report.replay_held_seconds.unwrap_or_default();
        text += &format!("consistent point: equal to production at {at}; replay was held for {held:.1} s\n");
    }
    if let Some(outage) = &report.outage {
        text += &outage_line(outage);
    }
    let exempt = report.tables.iter().filter_map(|t| t.exempt.line(&t.table));
    text += &output::list("exempt from replay", &exempt.collect::<Vec<_>>());
    text += &output::list("production is still written", &report.writers);
    text += &output::list("remarks", &report.remarks);
    text + &output::list("reasons", &report.reasons)
}

fn outage_line(outage: &Outage) -> String {
    format!(
        "outage: {:.2} s (raise {:.2}, prove {:.2}, drain {:.2}, sequences {:.2}, check {:.2})\n",
        outage.seconds, outage.raise, outage.prove, outage.drain, outage.sequences, outage.check
    )
}

fn tables(report: &FinalSync, style: Style) -> String {
    let columns = [
        Column::Text("source table"),
        Column::Text("target table"),
        Column::Text("state"),
        Column::Number("source rows"),
        Column::Number("target rows"),
        Column::Number("parked"),
    ];
    let counted = |rows: Option<u64>| rows.map_or_else(|| "not counted".to_string(), output::number);
    let rows = report.tables.iter().map(|t| {
        vec![
            t.table.clone(),
            t.target.clone(),
            t.state.clone(),
            counted(t.source_rows),
            counted(t.target_rows),
            output::number(t.parked),
        ]
    });
    output::table(&columns, rows, style)
}

async fn lower(session: &Session, timeout: Duration) -> Result<u8> {
    let (mut databases, mut failed, mut codes) = (Vec::new(), Vec::new(), vec![0]);
    let only = session.settings.databases.len() == 1;
    for database in &session.settings.databases {
        let lowered = Box::pin(cutover::lower(&session.settings, database, &session.actor, timeout)).await;
        let database = database.name.clone();
        match lowered {
            Ok(fence) => {
                if fence.left_alone.is_some() {
                    codes.push(Error::new(Kind::NotConverged, "").exit_code());
                }
                databases.push(Lowering { database, fence });
            }
            Err(error) if only => return Err(error),
            Err(error) => {
                codes.push(error.exit_code());
                failed.push(FailedDatabase { database, error: Failure::from(&error) });
            }
        }
    }
    let mut next_steps = vec!["a running daemon goes on replaying; else start `highwater run`".to_string()];
    next_steps.extend(failed.iter().filter_map(|f: &FailedDatabase| f.error.remedy.clone()));
    output::report(
        &Lowerings { schema_version: SCHEMA_VERSION, databases, failed, next_steps },
        session.json,
    )?;
    Ok(output::worst(codes))
}

impl Report for Lowerings {
    fn text(&self, _style: Style) -> String {
        let line = |d: &Lowering| {
            let what = match (&d.fence.left_alone, d.fence.lowered) {
                (Some(stamp), _) => {
                    format!("the fence of attempt {stamp}, which began later, is up and was left alone")
                }
                (None, true) => "the fence is lowered: production writes again".to_string(),
                (None, false) => "the fence was down".to_string(),
            };
            format!("database {}: {what}\n", d.database)
        };
        let failed = |f: &FailedDatabase| format!("database {}: {}\n", f.database, f.error.text());
        let lines = self.databases.iter().map(line).chain(self.failed.iter().map(failed));
        lines.collect::<String>() + &output::next_steps(&self.next_steps)
    }
}
