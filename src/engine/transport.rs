//! What an error of the connection to a server means, whoever's server it is.

use crate::error::{Error, Kind};

/// The error of a connection at `place` ("source postgres://prod/identity"), other than what the server
/// itself said. `tls` names the URL's parameters about TLS.
pub(super) fn classify(error: sqlx::Error, place: &str, tls: &str) -> Error {
    match error {
        sqlx::Error::Io(e) => Error::new(Kind::Unavailable, format!("{place}: the connection was lost: {e}"))
            .remedy("see whether the server runs and what its log says"),
        sqlx::Error::Tls(e) => Error::new(Kind::Unavailable, format!("{place}: TLS failed: {e}"))
            .remedy(format!("compare {tls} of the URL with the server's certificate")),
        sqlx::Error::PoolTimedOut => {
            Error::new(Kind::Unavailable, format!("{place}: no connection could be had in time"))
                .remedy("see whether the server can be reached and has connections to spare")
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Error::new(Kind::Unavailable, format!("{place}: the connection is closed"))
        }
        sqlx::Error::Protocol(e) => {
            Error::new(Kind::Unavailable, format!("{place}: the connection is out of step: {e}"))
        }
        sqlx::Error::Configuration(e) => Error::usage(format!("{place}: the URL can't be used: {e}")),
        other => Error::failed(format!("{place}: {other}")),
    }
}
