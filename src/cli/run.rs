//! `highwater run`: copies if needed, then replays until stopped.

use clap::Args;

use super::{Session, progress, service, signals};
use crate::error::Result;
use crate::run;

/// Copy if needed, then replay what production writes until stopped
///
/// Serves metrics and a status page at http.listen. SIGTERM or Ctrl-C finishes the batch; a second one
/// stops at once. Another instance with the same settings stands by and takes over.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  highwater run
  highwater run --config /etc/highwater/highwater.toml --log-format json
  HIGHWATER__HTTP__LISTEN=0.0.0.0:9187 highwater run")]
pub(super) struct RunArgs {}

pub(super) async fn run(session: &Session) -> Result<u8> {
    let stop = signals::stop()?;
    let boards = run::boards(&session.settings);
    let telling = tokio::spawn(service::notify(session.settings.http.listen, boards.clone(), stop.clone()));
    let progress = progress::watch(boards.clone(), None);
    let ended =
        Box::pin(run::daemon(session.settings.clone(), session.actor.clone(), boards, stop.clone())).await;
    progress.finish().await;
    stop.cancel();
    if telling.await.is_err() {
        tracing::debug!("the task that tells the service manager died");
    }
    ended.map(|()| 0)
}
