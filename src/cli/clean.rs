//! `highwater clean`: removes everything of the migration from both sides.

use std::io::{self, BufRead, IsTerminal};

use clap::Args;
use serde::Serialize;

use super::output::{self, Report, Style};
use super::{ReportArgs, Session};
use crate::clean::{self, Clean};
use crate::error::{Error, Result};
use crate::ledger::Event;
use crate::status::SCHEMA_VERSION;

/// Remove everything of the migration from both sides: triggers first, then the ledger
///
/// Prints the events that are lost with the ledger. Copied rows stay. Refuses while a process holds the
/// lease, and while the fence is up.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater clean                          asks first
  highwater clean --yes > events.txt
  highwater clean --yes --database identity")]
pub(super) struct CleanArgs {
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Remove it even after a cutover, with what keeps a forgotten daemon from beginning anew
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

/// What was removed.
#[derive(Debug, Serialize)]
struct Cleaned {
    schema_version: u32,
    databases: Vec<Lost>,
    next_steps: Vec<String>,
}

/// The events of a database that are lost.
#[derive(Debug, Serialize)]
struct Lost {
    database: String,
    events: Vec<Event>,
}

pub(super) async fn run(session: &Session, args: &CleanArgs) -> Result<u8> {
    // All are looked into before anything is removed from one.
    let mut cleans = Vec::new();
    for database in &session.settings.databases {
        let clean = clean::look(&session.settings, database, &session.actor, args.forget).await?;
        cleans.push((database.name.clone(), clean));
    }
    if !args.yes && !io::stdin().is_terminal() {
        return Err(Error::usage("there is nobody to ask whether to remove it").remedy("say --yes"));
    }
    // Before, and not after: events that can't be printed should not be removed either.
    output::report(&Cleaned::new(&cleans), session.json)?;
    if !args.yes {
        ask(&cleans)?;
    }
    crate::fault::point("after_clean_looked").await?;
    for (_, clean) in cleans {
        if let Err(error) = clean.carry_out().await {
            // The report is out already, and a second one would make the JSON unreadable.
            return Ok(output::fail(&error, false));
        }
    }
    output::note("removed\n");
    Ok(0)
}

fn ask(cleans: &[(String, Clean)]) -> Result<()> {
    let names: Vec<&str> = cleans.iter().map(|(name, _)| name.as_str()).collect();
    output::note(&format!("Remove capture and ledger of {} from both sides? [y/N] ", names.join(", ")));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|e| Error::failed("the answer can't be read").because(e).remedy("say --yes"))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::refused("not removed: the answer was no")),
    }
}

impl Cleaned {
    fn new(cleans: &[(String, Clean)]) -> Self {
        let lost = |(database, clean): &(String, Clean)| Lost {
            database: database.clone(),
            events: clean.events.clone(),
        };
        Cleaned {
            schema_version: SCHEMA_VERSION,
            databases: cleans.iter().map(lost).collect(),
            next_steps: vec!["`highwater plan` begins anew, with empty target tables".to_string()],
        }
    }
}

impl Report for Cleaned {
    fn text(&self, _style: Style) -> String {
        self.databases.iter().map(Lost::text).collect()
    }
}

impl Lost {
    fn text(&self) -> String {
        if self.events.is_empty() {
            return format!("database {}: no events\n", self.database);
        }
        let event = |e: &Event| format!("  {} {}: {}\n", e.at, e.by, output::one_line(&e.what));
        let events: String = self.events.iter().map(event).collect();
        format!("database {}: events that are lost with the ledger:\n{events}", self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_events_are_a_line_each() {
        let event = Event { at: "2026-01-01".into(), by: "me@here".into(), what: "copied anew:\nwhy".into() };
        let text = Lost { database: "main".into(), events: vec![event] }.text();
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("2026-01-01 me@here: copied anew: why"), "{text}");
        assert!(Lost { database: "main".into(), events: Vec::new() }.text().contains("no events"));
    }
}
