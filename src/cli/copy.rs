//! `highwater copy`: copies every table, once.

use std::io::IsTerminal;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::output::{self, Column, Report, Style};
use super::{ReportArgs, Session, progress, signals};
use crate::advice;
use crate::error::{Error, Kind, Result};
use crate::run;
use crate::status::{Board, DatabaseStatus, SCHEMA_VERSION};

/// Copy every table, and end
///
/// Capture is installed first, so that what production writes meanwhile is not missed: `run` or
/// `final-sync` replays it. Can be stopped or killed anywhere; the next start goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater copy
  highwater copy --database identity --json")]
pub(super) struct CopyArgs {
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

/// What was copied.
#[derive(Debug, Serialize)]
struct Copied {
    schema_version: u32,
    seconds: f64,
    databases: Vec<DatabaseStatus>,
    next_steps: Vec<String>,
}

pub(super) async fn run(session: &Session) -> Result<u8> {
    let began = Instant::now();
    let stop = signals::stop()?;
    let boards = run::boards(&session.settings);
    let bars = std::io::stderr().is_terminal().then_some(&session.bars);
    let progress = progress::watch(boards.clone(), bars);
    let copying = run::copy(session.settings.clone(), session.actor.clone(), boards.clone(), stop.clone());
    let ended = Box::pin(copying).await;
    progress.finish().await;
    ended?;
    if stop.is_cancelled() {
        return Err(Error::new(Kind::NotConverged, "the copy was stopped before its end")
            .remedy("run it again: it goes on where it stood"));
    }
    let databases: Vec<DatabaseStatus> = boards.iter().map(Board::status).collect();
    let copied = Copied {
        schema_version: SCHEMA_VERSION,
        seconds: began.elapsed().as_secs_f64(),
        databases,
        next_steps: vec![
            "`highwater run` replays what production writes from now on".to_string(),
            "or `highwater final-sync` brings it in step once".to_string(),
        ],
    };
    output::report(&copied, session.json)?;
    Ok(0)
}

impl Report for Copied {
    fn text(&self, style: Style) -> String {
        let columns = [
            Column::Text("table"),
            Column::Text("state"),
            Column::Number("rows"),
            Column::Number("size"),
            Column::Number("parked"),
        ];
        let mut text = String::new();
        for database in &self.databases {
            text += &format!("database {}: copied\n", database.name);
            let rows = database.tables.iter().map(|t| {
                vec![
                    t.table.clone(),
                    t.state.to_string(),
                    output::number(t.rows_copied),
                    output::size(t.bytes_copied),
                    output::number(t.parked),
                ]
            });
            text += &output::table(&columns, rows, style);
        }
        text += &format!("took {}\n", advice::duration(self.seconds));
        text + &output::next_steps(&self.next_steps)
    }
}
