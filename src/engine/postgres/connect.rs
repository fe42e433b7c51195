//! Connections: how they are made, and what every session is set to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres, Row};

use super::sqlstate;
pub(super) use super::sqlstate::classify;
use crate::engine::Options;
use crate::engine::limits::{self, Limit};
use crate::error::{Error, Kind, Result};
use crate::model::quote;
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
/// [`Kind::Refused`] for a wrong user, password or database, for TLS that does not fit and for a connection
/// limit that is too low, [`Kind::Unavailable`] when the server can't be reached or is starting or full.
pub(super) async fn connect(
    endpoint: &Endpoint,
    options: &Options,
    side: Side,
) -> Result<(PgPool, Option<u32>)> {
    let place = place(endpoint, side);
    let how = resolve(endpoint, &place).await?;
    let wanted = options.connections.max(1);
    let mut first = open(&how).await.map_err(|e| refusal(e, &place, &how, wanted))?;
    let limit = limit(&mut first).await.map_err(|e| classify(e, &place))?;
    let size = limit.grant(&place, wanted)?;
    first.close().await.map_err(|e| classify(e, &place))?;
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(PATIENCE)
        .max_lifetime(None)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .connect_lazy_with(how);
    Ok((pool, Some(size).filter(|size| *size < wanted)))
}

/// The lower of the limits of the role and of the database, neither of which holds for a superuser.
async fn limit(connection: &mut PgConnection) -> Result<Limit, sqlx::Error> {
    let row = sqlx::query(
        "SELECT r.rolconnlimit, d.datconnlimit, pg_catalog.quote_ident(r.rolname), pg_catalog.quote_ident(d.datname)
         FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
         WHERE r.rolname = session_user AND d.datname = pg_catalog.current_database() AND NOT r.rolsuper",
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(Limit { most: None, raise: String::new() }) };
    let number = |column: usize| Ok::<_, sqlx::Error>(u32::try_from(row.try_get::<i32, _>(column)?).ok());
    let (role, database) = (number(0)?, number(1)?);
    let raise = match (role, database) {
        (Some(role), Some(database)) if database < role => ("DATABASE", 3),
        (None, Some(_)) => ("DATABASE", 3),
        _ => ("ROLE", 2),
    };
    let name: String = row.try_get(raise.1)?;
    let most = role.into_iter().chain(database).min();
    Ok(Limit { most, raise: format!("ALTER {} {name} CONNECTION LIMIT", raise.0) })
}

/// A connection of the pool. A password that has changed since the pool was made is asked for anew.
pub(super) async fn acquire(
    pool: &PgPool,
    endpoint: &Endpoint,
    place: &str,
) -> Result<PoolConnection<Postgres>> {
    let size = pool.options().get_max_connections();
    match pool.acquire().await {
        Err(error) if is_wrong_password(&error) => {
            let how = resolve(endpoint, place).await?;
            pool.set_connect_options(how.clone());
            pool.acquire().await.map_err(|e| refusal(e, place, &how, size))
        }
        // The pool tries for as long as the server says that it is full or starting, and then says nothing of it.
        Err(sqlx::Error::PoolTimedOut) => {
            let how = resolve(endpoint, place).await?;
            match open(&how).await {
                Err(error @ sqlx::Error::Database(_)) => Err(refusal(error, place, &how, size)),
                _ => Err(classify(sqlx::Error::PoolTimedOut, place)),
            }
        }
        Err(error) => Err(refusal(error, place, &pool.connect_options(), size)),
        Ok(connection) => Ok(connection),
    }
}

/// A connection of its own, outside the pool, to the place that errors name.
pub(super) async fn apart(endpoint: &Endpoint, place: &str) -> Result<PgConnection> {
    let how = resolve(endpoint, place).await?;
    open(&how).await.map_err(|e| refusal(e, place, &how, 1))
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

/// Why no connection was made, of a pool of that size. What is unknown here is about the connection, so that
/// it is tried again: no table is to blame.
fn refusal(error: sqlx::Error, place: &str, how: &PgConnectOptions, size: u32) -> Error {
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
        _ => match sqlstate::code(&error).as_deref() {
            Some("42501") => {
                let said = classify(error, place).summary();
                Error::refused(said).remedy("grant CONNECT on the database to the user of the URL")
            }
            Some("53300") => {
                let raise = format!("ALTER ROLE {} CONNECTION LIMIT", quote(how.get_username()));
                classify(error, place).remedy(limits::exhausted(size, &raise))
            }
            _ => classify(error, place).of_connection(),
        },
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
