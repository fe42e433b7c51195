//! SIGTERM and SIGINT: the first lets what runs be finished, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// What a shell adds to a signal's number to get the exit code of a process that it ended.
const ENDED_BY_SIGNAL: i32 = 128;

/// A token that the first signal cancels. To be called inside the tokio runtime.
///
/// # Errors
/// When signals can't be listened to.
pub(super) fn stop() -> Result<CancellationToken> {
    let listen = |kind| signal(kind).map_err(|e| Error::failed("signals can't be listened to").because(e));
    let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    tokio::spawn(obey(terminate, interrupt, stop.clone()));
    Ok(stop)
}

async fn obey(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    next(&mut terminate, &mut interrupt).await;
    tracing::info!("stopping: what runs is finished first; a second signal stops at once");
    stop.cancel();
    let kind = next(&mut terminate, &mut interrupt).await;
    tracing::warn!("stopped at once; nothing is lost, the next start goes on from the ledger");
    std::process::exit(ENDED_BY_SIGNAL + kind.as_raw_value());
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = terminate.recv() => SignalKind::terminate(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    }
}
