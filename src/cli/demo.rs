//! `highwater demo`: the whole job before one's eyes, without a server and without settings.

use clap::Args;

use super::signals;
use crate::demo;
use crate::error::Result;

/// Show the whole job on a small production of its own: no server, no settings
///
/// Copies a production that is written to without a break, replays, does the final sync, and compares
/// every row with code that shares nothing with the rest. Exit code 0 only if none differs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater demo
  highwater demo --source postgres://me@localhost/demo_source --target postgres://me@localhost/demo_target")]
pub(super) struct DemoCommand {
    #[command(flatten)]
    args: demo::DemoArgs,
}

pub(super) async fn run(command: &DemoCommand) -> Result<u8> {
    let stop = signals::stop()?;
    Box::pin(demo::run(&command.args, stop)).await.map(|()| 0)
}
