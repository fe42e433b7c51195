//! What systemd is told, where it asked: READY, STATUS, WATCHDOG, STOPPING.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::advice;
use crate::state::TableState;
use crate::status::{Board, DatabaseStatus, Role};

/// Between two reports of the status.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// Between two looks whether the page is served yet.
const LOOK: Duration = Duration::from_millis(50);

/// Tells systemd how the daemon does, until `stop`. `listen` is where the page will be served.
///
/// Ready is who serves, whether the databases are reached or not: a source that is down is waited for,
/// and the service manager must not give up on us meanwhile.
pub(super) async fn notify(listen: Option<SocketAddr>, boards: Vec<Board>, stop: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let telling = async {
        serving(listen).await;
        tell(&[NotifyState::Ready]);
        tokio::join!(keep_status(&boards), keep_watchdog());
    };
    tokio::select! {
        () = telling => {}
        () = stop.cancelled() => {}
    }
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what runs")]);
}

async fn serving(listen: Option<SocketAddr>) {
    let Some(listen) = listen else { return };
    while TcpStream::connect(reachable(listen)).await.is_err() {
        sleep(LOOK).await;
    }
}

/// Where one connects to what listens on that address, which may stand for all.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

async fn keep_status(boards: &[Board]) {
    loop {
        let statuses: Vec<DatabaseStatus> = boards.iter().map(Board::status).collect();
        tell(&[NotifyState::Status(&summary(&statuses))]);
        sleep(STATUS_EVERY).await;
    }
}

async fn keep_watchdog() {
    let mut microseconds = 0;
    if !sd_notify::watchdog_enabled(false, &mut microseconds) {
        return;
    }
    loop {
        tell(&[NotifyState::Watchdog]);
        sleep(Duration::from_micros(microseconds / 3)).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "the service manager can't be told");
    }
}

/// How the databases stand, in one line.
fn summary(databases: &[DatabaseStatus]) -> String {
    let roles = [(Role::Active, "at work"), (Role::Standby, "standing by"), (Role::Connecting, "connecting")];
    let databases_by_role = roles.iter().filter_map(|(role, name)| {
        let count = databases.iter().filter(|d| d.role == *role).count();
        (count > 0).then(|| format!("{count} {name}"))
    });
    let mut parts = vec![format!("databases: {}", databases_by_role.collect::<Vec<_>>().join(", "))];
    let tables: Vec<_> = databases.iter().flat_map(|d| &d.tables).collect();
    let replaying = tables.iter().filter(|t| t.state == TableState::Replaying).count();
    parts.push(format!("{replaying} of {} tables replaying", tables.len()));
    let lags: Option<Vec<f64>> = tables.iter().map(|t| t.lag_seconds).collect();
    if let Some(lag) = lags.and_then(|lags| lags.into_iter().reduce(f64::max)) {
        parts.push(format!("lag {}", advice::duration(lag)));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_one_line() {
        let one = DatabaseStatus::unknown("a", &"x", &"y", Role::Active);
        let two = DatabaseStatus::unknown("b", &"x", &"y", Role::Connecting);
        assert_eq!(summary(&[one, two]), "databases: 1 at work, 1 connecting; 0 of 0 tables replaying");
    }

    #[test]
    fn an_address_for_all_is_reached_locally() {
        assert_eq!(reachable("0.0.0.0:9187".parse().unwrap()), "127.0.0.1:9187".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:80".parse().unwrap()), "10.0.0.1:80".parse().unwrap());
    }
}
