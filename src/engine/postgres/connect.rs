//! Connections: how they are made, and what every session is set to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres};

use super::sqlstate;
pub(super) use super::sqlstate::classify;
use crate::engine::Options;
use crate::error::{Error, Kind, Result};
use crate::settings::Endpoint;

/// How long a connection may take to be made or to come free.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which side of the migration a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Where rows come from.
    Source,
    /// Where they go to.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Source => "source",
            Side::Target => "target",
        })
    }
}

/// The place that errors name: the side and the URL without its password.
pub(super) fn place(endpoint: &Endpoint, side: Side) -> String {
    format!("{side} {endpoint}")
}

/// Opens a pool of at most `options.connections` connections, after one was made to see that it works.
///
/// # Errors
/// [`Kind::Refused`] for a wrong user, password or database and for TLS that does not fit,
/// [`Kind::Unavailable`] when the server can't be reached or is starting or full.
pub(super) async fn connect(endpoint: &Endpoint, options: &Options, side: Side) -> Result<PgPool> {
    let place = place(endpoint, side);
    let how = resolve(endpoint, &place).await?;
    let first = open(&how).await.map_err(|e| refusal(e, &place, &how))?;
    first.close().await.map_err(|e| classify(e, &place))?;
    Ok(PgPoolOptions::new()
        .max_connections(options.connections.max(1))
        .acquire_timeout(PATIENCE)
        .max_lifetime(None)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .connect_lazy_with(how))
}

/// A connection of the pool. A password that has changed since the pool was made is asked for anew.
pub(super) async fn acquire(
    pool: &PgPool,
    endpoint: &Endpoint,
    place: &str,
) -> Result<PoolConnection<Postgres>> {
    match pool.acquire().await {
        Err(error) if is_wrong_password(&error) => {
            pool.set_connect_options(resolve(endpoint, place).await?);
            pool.acquire().await.map_err(|e| classify(e, place))
        }
        outcome => outcome.map_err(|e| classify(e, place)),
    }
}

fn is_wrong_password(error: &sqlx::Error) -> bool {
    sqlstate::code(error).is_some_and(|code| code == "28P01" || code == "28000")
}

/// How to connect, with the password as it is now.
pub(super) async fn resolve(endpoint: &Endpoint, place: &str) -> Result<PgConnectOptions> {
    let url = endpoint.url().await?;
    // Statements are ours to log, and may be long.
    let how = PgConnectOptions::from_str(url.expose_secret())
        .map_err(|e| Error::usage(format!("{place}: the URL can't be used: {e}")))?;
    Ok(how.application_name("highwater").disable_statement_logging())
}

/// One connection of its own, outside any pool.
pub(super) async fn open(how: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connecting = async {
        let mut connection = PgConnection::connect_with(how).await?;
        prepare(&mut connection).await?;
        Ok(connection)
    };
    tokio::time::timeout(PATIENCE, connecting).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Sets a new session up.
async fn prepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(include_str!("../../../sql/postgres/session.sql")).execute(connection).await?;
    Ok(())
}

/// Why a first connection failed.
fn refusal(error: sqlx::Error, place: &str, how: &PgConnectOptions) -> Error {
    let server = format!("{}:{}", how.get_host(), how.get_port());
    match &error {
        sqlx::Error::Io(e) if is_unknown_host(e) => {
            Error::new(Kind::Unavailable, format!("{place}: the host `{}` is not known: {e}", how.get_host()))
                .remedy("check the host's name in the URL and this machine's name service")
        }
        sqlx::Error::Io(e) => {
            Error::new(Kind::Unavailable, format!("{place}: {server} can't be reached: {e}")).remedy(
                "check host and port in the URL, that the server runs and listens there, and firewalls",
            )
        }
        sqlx::Error::PoolTimedOut => Error::new(
            Kind::Unavailable,
            format!("{place}: {server} did not answer within {} s", PATIENCE.as_secs()),
        )
        .remedy("check host and port in the URL, and firewalls"),
        sqlx::Error::Tls(e) => Error::refused(format!("{place}: TLS failed: {e}"))
            .remedy("compare sslmode and sslrootcert of the URL with the server's certificate"),
        _ if sqlstate::code(&error).as_deref() == Some("42501") => {
            let said = classify(error, place).summary();
            Error::refused(said).remedy("grant CONNECT on the database to the user of the URL")
        }
        _ => classify(error, place),
    }
}

fn is_unknown_host(error: &std::io::Error) -> bool {
    // The resolver's failures have no kind of their own.
    error.to_string().contains("lookup address")
}

/// A text as an SQL literal (`standard_conforming_strings` is on in every session).
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
