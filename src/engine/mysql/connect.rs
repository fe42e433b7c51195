//! Connections: how they are made, and what every session is set to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySql, MySqlConnection, MySqlPool};

use super::fault::{self, classify};
use super::session::{Session, maybe};
use super::value::literal;
use crate::engine::Options;
use crate::engine::limits::{self, Limit};
use crate::error::{Error, Kind, Result};
use crate::settings::Endpoint;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a server is asked at first.
const GREETING: &str = "SELECT version(), @@max_user_connections, CURRENT_USER()";

/// How long a task waits for one of our own connections to come free.
const POOL_PATIENCE: Duration = Duration::from_secs(600);

/// Which side of the migration a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Where rows come from.
    Source,
    /// Where they go to.
    Target,
}

impl Side {
    /// What every session of this side is set to.
    fn settings(self) -> &'static str {
        match self {
            Side::Source => concat!(
                include_str!("../../../sql/mysql/session.sql"),
                include_str!("../../../sql/mysql/session_source.sql")
            ),
            Side::Target => concat!(
                include_str!("../../../sql/mysql/session.sql"),
                include_str!("../../../sql/mysql/session_target.sql")
            ),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Source => "source",
            Side::Target => "target",
        })
    }
}

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Oracle's MySQL, and what calls itself so.
    Mysql,
    /// MariaDB.
    Mariadb,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flavour::Mysql => "MySQL",
            Flavour::Mariadb => "MariaDB",
        })
    }
}

/// A database on a server.
pub(super) struct Server {
    /// The side and the URL, as errors name it.
    pub(super) place: Arc<str>,
    /// The database's name.
    pub(super) database: String,
    /// Whose server it is.
    pub(super) flavour: Flavour,
    /// The server's version, as it says it.
    pub(super) version: String,
    side: Side,
    endpoint: Endpoint,
    pool: MySqlPool,
    /// How many connections the server grants, where that is fewer than were asked for.
    pub(super) granted: Option<u32>,
    /// The statement that raises the limit to a number that is appended.
    raise: String,
}

impl Server {
    /// Opens a pool of at most `options.connections` connections, after one was made to see that it works.
    ///
    /// # Errors
    /// [`Kind::Refused`] for a wrong user, password or database, for TLS that does not fit, for a connection
    /// limit that is too low and for servers that are too old; [`Kind::Unavailable`] when the server can't be reached.
    pub(super) async fn open(endpoint: &Endpoint, options: &Options, side: Side) -> Result<Self> {
        let place: Arc<str> = format!("{side} {endpoint}").into();
        let how = resolve(endpoint, &place).await?;
        let database = how.get_database().unwrap_or_default().to_string();
        let wanted = options.connections.max(2);
        // Before the server has said who we are to it.
        let raise = "ALTER USER .. WITH MAX_USER_CONNECTIONS";
        let mut first = open(&how, side).await.map_err(|e| refusal(e, &place, &how, (wanted, raise)))?;
        let said = super::session::records(&mut first, GREETING).await.map_err(|e| classify(e, &place))?;
        let word = |column: usize| said.first().and_then(|row| maybe(row, column)).unwrap_or_default();
        let (version, limit) = (word(0).to_string(), limit(word(1), word(2)));
        let size = limit.grant(&place, wanted)?;
        farewell(first).await;
        let pool = MySqlPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(POOL_PATIENCE)
            .max_lifetime(None)
            .after_connect(move |connection, _| Box::pin(prepare(connection, side)))
            .connect_lazy_with(how);
        let flavour = if version.contains("MariaDB") { Flavour::Mariadb } else { Flavour::Mysql };
        let granted = Some(size).filter(|size| *size < wanted);
        let endpoint = endpoint.clone();
        let raise = limit.raise;
        let server = Server { place, database, flavour, version, side, endpoint, pool, granted, raise };
        server.check_version()?;
        Ok(server)
    }

    /// The numbers of the server's version.
    pub(super) fn version_numbers(&self) -> (u32, u32, u32) {
        let mut numbers = self.version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next())
    }

    fn check_version(&self) -> Result<()> {
        let oldest = match self.flavour {
            Flavour::Mysql => (8, 0, 0),
            Flavour::Mariadb => (10, 6, 0),
        };
        if self.version_numbers() >= oldest {
            return Ok(());
        }
        let (major, minor, _) = oldest;
        Err(Error::refused(format!("{}: {} {} is too old", self.place, self.flavour, self.version))
            .remedy(format!("highwater serves {} from {major}.{minor} on", self.flavour)))
    }

    /// A connection on which several statements belong together.
    pub(super) async fn session(&self) -> Result<Session> {
        Ok(Session::new(self.acquire().await?, self.place.clone()))
    }

    /// A connection of its own, outside the pool.
    pub(super) async fn apart(&self) -> Result<MySqlConnection> {
        let how = resolve(&self.endpoint, &self.place).await?;
        open(&how, self.side).await.map_err(|e| self.refusal(e, &how))
    }

    /// A connection of its own that is set as everybody's is, but for the text's character set.
    pub(super) async fn bare(&self) -> Result<MySqlConnection> {
        let failed = |e| classify(e, &self.place);
        let how = resolve(&self.endpoint, &self.place).await?;
        let mut connection = MySqlConnection::connect_with(&how).await.map_err(failed)?;
        sqlx::raw_sql("SET NAMES utf8mb4").execute(&mut connection).await.map_err(failed)?;
        Ok(connection)
    }

    /// The whole URL, with the password as it is now.
    pub(super) async fn url(&self) -> Result<SecretString> {
        self.endpoint.url().await
    }

    /// A password that has changed since the pool was made is asked for anew.
    async fn acquire(&self) -> Result<PoolConnection<MySql>> {
        match self.pool.acquire().await {
            Err(error) if fault::is_wrong_password(&error) => {
                let how = resolve(&self.endpoint, &self.place).await?;
                self.pool.set_connect_options(how.clone());
                self.pool.acquire().await.map_err(|e| self.refusal(e, &how))
            }
            outcome => outcome.map_err(|e| match e {
                sqlx::Error::PoolTimedOut => classify(e, &self.place),
                e => self.refusal(e, &self.pool.connect_options()),
            }),
        }
    }

    /// Why no connection was made.
    fn refusal(&self, error: sqlx::Error, how: &MySqlConnectOptions) -> Error {
        refusal(error, &self.place, how, (self.pool.options().get_max_connections(), &self.raise))
    }
}

/// What limits our connections: the user's own limit, else the server's. No limit is 0, on MariaDB also -1.
fn limit(most: &str, user: &str) -> Limit {
    let most = most.parse().ok().filter(|most| *most > 0);
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    let user = format!("{}@{}", literal(name), literal(host));
    Limit { most, raise: format!("ALTER USER {user} WITH MAX_USER_CONNECTIONS") }
}

/// Closes a connection. Whether the server hears of it does not matter: by socket and TLS it has often hung
/// up before the last word, which then fails.
pub(super) async fn farewell(connection: MySqlConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection was closed by the server first");
    }
}

/// How to connect, with the password as it is now.
async fn resolve(endpoint: &Endpoint, place: &str) -> Result<MySqlConnectOptions> {
    let url = endpoint.url().await?;
    // Session settings are ours (see `prepare`); statements are ours to log, and may be long.
    let how = MySqlConnectOptions::from_str(url.expose_secret())
        .map_err(|e| Error::usage(format!("{place}: the URL can't be used: {e}")))?;
    Ok(how
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        .statement_cache_capacity(200)
        .disable_statement_logging())
}

async fn open(how: &MySqlConnectOptions, side: Side) -> Result<MySqlConnection, sqlx::Error> {
    let connecting = async {
        let mut connection = MySqlConnection::connect_with(how).await?;
        prepare(&mut connection, side).await?;
        Ok(connection)
    };
    tokio::time::timeout(PATIENCE, connecting).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Sets a new session up.
async fn prepare(connection: &mut MySqlConnection, side: Side) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(side.settings())).execute(connection).await?;
    Ok(())
}

/// Why no connection was made; with the size of its pool, and the statement that raises the user's limit. What
/// is unknown here is about the connection, so that it is tried again: no table is to blame.
fn refusal(error: sqlx::Error, place: &str, how: &MySqlConnectOptions, (size, raise): (u32, &str)) -> Error {
    let server = match how.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", how.get_host(), how.get_port()),
    };
    match &error {
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
            .remedy("compare ssl-mode and ssl-ca of the URL with the server's certificate"),
        // Too many connections: of all, of the user, of the user in its limits.
        _ if matches!(fault::code(&error), Some(1040 | 1203 | 1226)) => {
            classify(error, place).remedy(limits::exhausted(size, raise))
        }
        _ => classify(error, place).of_connection(),
    }
}
