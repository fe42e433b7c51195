//! `highwater status`: how everything stands, with and without a running daemon.

mod observe;
mod show;
#[cfg(test)]
mod tests;

use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::output;
use super::{ReportArgs, Session, signals};
use crate::error::Result;
use observe::Observer;
use show::StatusReport;

/// Between two drawings of `--watch`.
const REDRAW: Duration = Duration::from_secs(1);

/// Show how every table stands: state, rows copied, lag, parked rows; and what to do next
///
/// Looks at both sides by itself, whether a daemon runs or not, and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater status
  highwater status --watch
  highwater status --json --database identity

Exit code 1 if a side can't be reached; what the other says is shown all the same.")]
pub(super) struct StatusArgs {
    /// Show it anew every second until Ctrl-C; with --json, a line each time
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

pub(super) async fn run(session: &Session, args: &StatusArgs) -> Result<u8> {
    let databases = session.settings.databases.iter();
    let mut observers: Vec<Observer> = databases.map(|database| Observer::new(session, database)).collect();
    if args.watch {
        return watch(session, &mut observers).await;
    }
    let report = look(session, &mut observers).await;
    output::report(&report, session.json)?;
    Ok(report.exit_code())
}

async fn look(session: &Session, observers: &mut [Observer]) -> StatusReport {
    let observed = join_all(observers.iter_mut().map(Observer::look)).await;
    StatusReport::new(&session.settings, observed)
}

async fn watch(session: &Session, observers: &mut [Observer]) -> Result<u8> {
    let stop = signals::stop()?;
    loop {
        let report = tokio::select! {
            report = look(session, observers) => report,
            () = stop.cancelled() => return Ok(0),
        };
        if session.json {
            output::json_line(&report)?;
        } else {
            output::redraw(&report)?;
        }
        tokio::select! {
            () = sleep(REDRAW) => {}
            () = stop.cancelled() => return Ok(0),
        }
    }
}
