//! What a database's URL says, apart from the password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use url::Url;

use super::faults::nearest;

/// A kind of database server that highwater knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
    /// SQLite.
    Sqlite,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineKind::Postgres => "postgres",
            EngineKind::Mysql => "mysql",
            EngineKind::Sqlite => "sqlite",
        })
    }
}

/// The query parameters that sqlx takes from a PostgreSQL URL. It logs others with their values and
/// goes on without them, which would show a misspelled password and drop a misspelled `sslmode`.
const POSTGRES_PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The query parameters that highwater takes from a MySQL or MariaDB URL, of those that sqlx knows. Session
/// settings such as the time zone are highwater's own.
const MYSQL_PARAMETERS: [&str; 9] =
    ["sslmode", "ssl-mode", "sslca", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key", "socket"];

const FORMS: &str = "postgres://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE or sqlite://FILE";

const ENCODING_HINT: &str = "in a user name or password write %2F %3F %23 %40 %3A %25 for / ? # @ : %";

/// What a URL says that may be shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Address {
    pub(super) engine: EngineKind,
    /// The URL without its password.
    pub(super) shown: String,
    /// The same for URLs of the same database, as far as that can be told from them.
    pub(super) place: String,
    pub(super) has_password: bool,
}

impl Address {
    /// Takes a URL apart; the error says what is wrong with it without showing any of its password.
    pub(super) fn parse(text: &str) -> Result<Address, String> {
        match text.split_once(':') {
            Some(("postgres" | "postgresql", _)) => postgres(text),
            Some(("mysql" | "mariadb", _)) => mysql(text),
            Some(("sqlite", rest)) => sqlite(text, rest),
            Some((scheme, rest)) if rest.starts_with("//") => {
                Err(format!("`{scheme}://` is not supported; write {FORMS}"))
            }
            _ => Err(format!("is not a URL such as {FORMS}")),
        }
    }
}

/// The URL of a server, with no query parameters but the known ones.
fn server_url(text: &str, parameters: &[&'static str]) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}; {ENCODING_HINT}"))?;
    // A raw / ? or # ends the part with the password early; what follows would pass for harmless.
    if url.fragment().is_some() || url.path().contains('@') || url.query().is_some_and(|q| q.contains('@')) {
        return Err(format!("has a # or a late @; {ENCODING_HINT}"));
    }
    check_parameters(&url, parameters)?;
    Ok(url)
}

fn mysql(text: &str) -> Result<Address, String> {
    let mut url = server_url(text, &MYSQL_PARAMETERS)?;
    let options = MySqlConnectOptions::from_str(text).map_err(|error| plain(&error))?;
    let database = options.get_database().ok_or("names no database; write mysql://USER@HOST/DATABASE")?;
    let server = match options.get_socket() {
        Some(socket) => real_path(socket).display().to_string(),
        None => format!("{} {}", options.get_host().to_lowercase(), options.get_port()),
    };
    let place = format!("mysql {server} {database}");
    let has_password = hide_password(&mut url);
    Ok(Address { engine: EngineKind::Mysql, shown: url.into(), place, has_password })
}

fn postgres(text: &str) -> Result<Address, String> {
    let mut url = server_url(text, &POSTGRES_PARAMETERS)?;
    let options = PgConnectOptions::from_str(text).map_err(|error| plain(&error))?;
    let database = options.get_database().ok_or("names no database; write postgres://USER@HOST/DATABASE")?;
    let host = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_lowercase(),
    };
    let place = format!("postgres {host} {} {database}", options.get_port());
    let has_password = hide_password(&mut url);
    Ok(Address { engine: EngineKind::Postgres, shown: url.into(), place, has_password })
}

fn check_parameters(url: &Url, known: &[&'static str]) -> Result<(), String> {
    for (key, _) in url.query_pairs() {
        let is_option = known.contains(&"options") && key.starts_with("options[");
        if !known.contains(&&*key) && !is_option {
            let hint = match nearest(&key, known.iter().copied()) {
                Some(right) => format!("did you mean `{right}`?"),
                None => format!("known: {}", known.join(", ")),
            };
            return Err(format!("has the unknown parameter `{key}`; {hint}"));
        }
    }
    Ok(())
}

/// Takes the password out of `url`, wherever it stands; `true` if there was one.
fn hide_password(url: &mut Url) -> bool {
    let is_password = |key: &str| key == "password";
    let in_query = url.query_pairs().any(|(key, _)| is_password(&key));
    if in_query {
        let rest: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(key, _)| !is_password(key))
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        url.set_query(None);
        if !rest.is_empty() {
            url.query_pairs_mut().extend_pairs(rest);
        }
    }
    let in_authority = url.password().is_some();
    // Fails only for a URL without a host, which has no password there.
    in_authority && url.set_password(None).is_ok() || in_query
}

fn sqlite(text: &str, rest: &str) -> Result<Address, String> {
    let options = SqliteConnectOptions::from_str(text).map_err(|error| plain(&error))?;
    let (file, query) = rest.split_once('?').unwrap_or((rest, ""));
    if file.ends_with(":memory:") || query.contains("mode=memory") {
        return Err("is a database in memory, which nobody else can reach; name a file".to_owned());
    }
    if file.trim_start_matches("//").is_empty() {
        return Err("names no file; write sqlite://relative/path.db or sqlite:///absolute/path.db".to_owned());
    }
    let place = format!("sqlite {}", real_path(options.get_filename()).display());
    Ok(Address { engine: EngineKind::Sqlite, shown: text.to_owned(), place, has_password: false })
}

/// The path of a file without links, the same before the file exists and after.
fn real_path(file: &Path) -> PathBuf {
    let of_folder = || {
        let file = std::path::absolute(file).ok()?;
        let folder = std::fs::canonicalize(file.parent()?).ok()?;
        Some(folder.join(file.file_name()?))
    };
    std::fs::canonicalize(file).ok().or_else(of_folder).unwrap_or_else(|| file.to_owned())
}

/// What sqlx has against a URL, without the layers of "error with configuration" around it.
fn plain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(cause) => match cause.downcast_ref() {
            Some(inner) => plain(inner),
            None => format!("can't be used: {cause}"),
        },
        other => format!("can't be used: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(url: &str) -> String {
        let what = Address::parse(url).unwrap_err();
        assert!(!what.contains("hush"), "{what}");
        what
    }

    #[test]
    fn a_password_is_hidden_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://hw:hush@prod/identity", "postgres://hw@prod/identity"),
            ("postgres://hw@prod/identity?password=hush", "postgres://hw@prod/identity"),
            (
                "postgres://prod/identity?user=hw&password=hush&sslmode=require",
                "postgres://prod/identity?user=hw&sslmode=require",
            ),
            ("postgres:///identity?host=/run/pg&password=hush", "postgres:///identity?host=%2Frun%2Fpg"),
            ("mysql://hw:hush@prod/identity?ssl-mode=required", "mysql://hw@prod/identity?ssl-mode=required"),
        ] {
            let address = Address::parse(url).unwrap();
            assert!(address.has_password, "{url}");
            assert_eq!(address.shown, shown);
        }
        assert!(!Address::parse("postgres://hw@prod/identity").unwrap().has_password);
    }

    #[test]
    fn a_password_that_breaks_the_url_is_not_shown_either() {
        for url in [
            "postgres://hw:12#hush@prod/identity",
            "postgres://hw:12/hush@prod/identity",
            "postgres://hw:12?hush@prod/identity",
            "postgres://hw:hush/x@prod/identity",
            "hw:hush@prod/identity",
            "hush",
            "postgres://hw@prod/identity?pasword=hush",
            "mysql://hw:12#hush@prod/identity",
            "mysql://hw@prod/identity?password=hush",
        ] {
            fault(url);
        }
    }

    #[test]
    fn what_sqlx_would_refuse_or_ignore_is_told() {
        assert!(fault("postgres://hw@prod/identity?sslmode=verify").contains("ssl_mode"));
        assert!(fault("postgres://hw@prod/identity?sslmod=require").contains("did you mean `sslmode`?"));
        assert!(fault("oracle://hw@prod/identity").contains("`oracle://` is not supported"));
        assert!(fault("mysql://hw@prod").contains("names no database"));
        assert!(fault("mysql://hw@prod/identity?sslmod=required").contains("did you mean `sslmode`?"));
        assert!(fault("postgres://hw@prod:port/identity").contains("invalid port"));
        assert!(fault("sqlite://a.db?mode=maybe").contains("mode"));
        assert!(fault("sqlite::memory:").contains("in memory"));
        assert!(fault("sqlite://a.db?mode=memory").contains("in memory"));
        assert!(fault("sqlite://").contains("names no file"));
    }

    #[test]
    fn tls_options_pass() {
        let url =
            "postgres://hw@prod/x?sslmode=verify-full&sslrootcert=/etc/ca.pem&sslcert=c.pem&sslkey=k.pem";
        assert_eq!(Address::parse(url).unwrap().shown, url);
    }

    #[test]
    fn the_same_database_is_the_same_place() {
        let place = |url: &str| Address::parse(url).unwrap().place;
        assert_eq!(place("postgres://a@Prod/db"), place("postgresql://b:x@prod:5432/db?sslmode=require"));
        assert_ne!(place("postgres://a@prod/db"), place("postgres://a@prod:5433/db"));
        assert_eq!(place("mysql://a@Prod/db"), place("mariadb://b:x@prod:3306/db?ssl-mode=required"));
        assert_ne!(place("mysql://a@prod/db"), place("mysql://a@prod/other"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            place("sqlite://src/a.db"),
            place(&format!("sqlite://{}/src/a.db?mode=ro", here.display()))
        );
        assert_eq!(place("sqlite:a.db"), place("sqlite://a.db"));
    }
}
