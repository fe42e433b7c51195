//! One side of a database: where it is, and where its password comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use url::Url;

use super::address::{Address, EngineKind};
use super::reader::Section;
use super::secret;
use super::units;
use crate::error::{Error, Kind, Result};

/// One side of a database. Shows itself, also for debugging, as its URL without the password.
#[derive(Clone)]
pub struct Endpoint {
    address: Address,
    access: Access,
}

/// How the whole URL comes about.
#[derive(Clone)]
enum Access {
    Url(SecretString),
    UrlFile(PathBuf),
    PasswordFile(Url, PathBuf),
    PasswordCommand(Url, Vec<String>),
}

/// The keys of one side.
pub(super) struct Keys {
    pub(super) url: &'static str,
    url_file: &'static str,
    password_file: &'static str,
    password_command: &'static str,
}

pub(super) const SOURCE: Keys = Keys {
    url: "source",
    url_file: "source_file",
    password_file: "source_password_file",
    password_command: "source_password_command",
};

pub(super) const TARGET: Keys = Keys {
    url: "target",
    url_file: "target_file",
    password_file: "target_password_file",
    password_command: "target_password_command",
};

impl Endpoint {
    /// The endpoint of a whole URL, which may hold a password.
    pub fn from_url(url: &str) -> Result<Endpoint> {
        let address = Address::parse(url).map_err(|what| Error::usage(format!("the URL {what}")))?;
        Ok(Endpoint { address, access: Access::Url(SecretString::from(url)) })
    }

    /// The endpoint of a URL from the command line. A password in it is an error: everybody on the
    /// machine can read command lines.
    pub fn from_command_line(url: &str) -> Result<Endpoint> {
        let endpoint = Endpoint::from_url(url)?;
        if endpoint.address.has_password {
            return Err(Error::usage(format!(
                "the URL {endpoint} was given with a password, which anybody can read on a command line"
            ))
            .remedy("leave it out, and put it into ~/.pgpass or PGPASSWORD, or use a settings file"));
        }
        Ok(endpoint)
    }

    /// The kind of server.
    pub fn engine(&self) -> EngineKind {
        self.address.engine
    }

    /// The whole URL with the password. A secret's file is read and its command run at each call, for
    /// at most 10 s. Errors: the secret can't be had, or the URL in its file has gone bad.
    pub async fn url(&self) -> Result<SecretString> {
        let place = |error: Error| error.at(self);
        match &self.access {
            Access::Url(url) => Ok(url.clone()),
            Access::UrlFile(file) => {
                let url = secret::read_file(file).await.map_err(place)?;
                self.check(&url).map_err(place)?;
                Ok(url)
            }
            Access::PasswordFile(url, file) => {
                Ok(with_password(url, &secret::read_file(file).await.map_err(place)?))
            }
            Access::PasswordCommand(url, command) => {
                Ok(with_password(url, &secret::run(command).await.map_err(place)?))
            }
        }
    }

    /// A URL's file may change its password while highwater runs, but not lead to another database.
    fn check(&self, url: &SecretString) -> Result<()> {
        let now = Address::parse(url.expose_secret())
            .map_err(|what| Error::new(Kind::Unavailable, format!("the URL in its file {what}")))?;
        if now.place != self.address.place {
            return Err(Error::failed(format!("the URL in its file now leads elsewhere, to {}", now.shown))
                .remedy("put the old URL back, or start highwater again with the new one"));
        }
        Ok(())
    }

    /// The same for endpoints of the same database, as far as their URLs tell.
    pub(super) fn place(&self) -> &str {
        &self.address.place
    }

    /// Reads one side's keys; `None` when they don't give a usable endpoint, which is in the report.
    pub(super) fn read(section: &mut Section, keys: &Keys) -> Option<Endpoint> {
        let url = section.optional(keys.url, units::text);
        let url_file = section.optional(keys.url_file, units::path);
        let password_file = section.optional(keys.password_file, units::path);
        let password_command = section.optional(keys.password_command, units::command);
        if !agree(section, keys) {
            return None;
        }
        let (key, url, from_file) = match (url, url_file) {
            (Some(url), None) => (keys.url, SecretString::from(url), None),
            (None, Some(file)) => (keys.url_file, checked(section, keys.url_file, &file)?, Some(file)),
            _ => return None,
        };
        let address = Address::parse(url.expose_secret()).map_err(|what| section.fault(key, what)).ok()?;
        let access = match (from_file, password_file, password_command) {
            (Some(file), ..) => Access::UrlFile(file),
            (None, Some(file), _) => {
                checked(section, keys.password_file, &file)?;
                Access::PasswordFile(bare(section, keys, keys.password_file, &address)?, file)
            }
            (None, None, Some(command)) => {
                Access::PasswordCommand(bare(section, keys, keys.password_command, &address)?, command)
            }
            (None, None, None) => Access::Url(url),
        };
        Some(Endpoint { address, access })
    }
}

/// Whether one side's keys go together; says so in the report if not.
fn agree(section: &mut Section, keys: &Keys) -> bool {
    let has = |key| section.has(key);
    let passwords = [keys.password_file, keys.password_command];
    let fault = if !has(keys.url) && !has(keys.url_file) {
        let Keys { url, url_file, .. } = keys;
        let what = format!("is missing; write {url} = \"postgres://USER@HOST/DATABASE\", or `{url_file}`");
        Some((keys.url, what))
    } else if has(keys.url) && has(keys.url_file) {
        Some((keys.url_file, format!("stands beside `{}`; leave one of them out", keys.url)))
    } else if let Some(key) = passwords.into_iter().find(|key| has(keys.url_file) && has(key)) {
        Some((key, format!("stands beside `{}`, whose URL holds the password", keys.url_file)))
    } else if passwords.into_iter().all(has) {
        Some((
            keys.password_command,
            format!("stands beside `{}`; leave one of them out", keys.password_file),
        ))
    } else {
        None
    };
    match fault {
        Some((key, what)) => {
            section.fault(key, what);
            false
        }
        None => true,
    }
}

fn checked(section: &mut Section, key: &'static str, file: &Path) -> Option<SecretString> {
    secret::check_file(file).map_err(|what| section.fault(key, what)).ok()
}

/// The URL to which the password of `key` is to be added.
fn bare(section: &mut Section, keys: &Keys, key: &'static str, address: &Address) -> Option<Url> {
    if address.engine == EngineKind::Sqlite {
        section.fault(key, "is of no use: SQLite has no passwords");
        return None;
    }
    if address.has_password {
        section.fault(key, format!("stands beside a password in `{}`; leave one of them out", keys.url));
        return None;
    }
    Url::parse(&address.shown).map_err(|error| section.fault(keys.url, format!("is not a URL: {error}"))).ok()
}

fn with_password(url: &Url, password: &SecretString) -> SecretString {
    let encoded = percent_encoded(password.expose_secret());
    let mut url = url.clone();
    // A URL without a host (a socket's folder is in the query) has no place for it before the host.
    if url.set_password(Some(&encoded)).is_err() {
        let query = match url.query() {
            Some(query) if !query.is_empty() => format!("{query}&password={encoded}"),
            _ => format!("password={encoded}"),
        };
        url.set_query(Some(&query));
    }
    SecretString::from(String::from(url))
}

/// `text` in the form that means the same everywhere in a URL, to sqlx and libpq alike.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address.shown)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let endpoint = Endpoint::from_url("postgres://hw:hush@prod/db?password=hush").unwrap();
        let shown = format!("{endpoint} {endpoint:?} {}", serde_json::to_string(&endpoint).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
        assert_eq!(endpoint.engine(), EngineKind::Postgres);
    }

    #[tokio::test]
    async fn the_url_is_passed_on_untouched() {
        for url in
            ["postgres://hw:hush@prod/db?sslmode=verify-full&sslrootcert=/etc/ca.pem", "sqlite://a b.db"]
        {
            let endpoint = Endpoint::from_url(url).unwrap();
            assert_eq!(endpoint.url().await.unwrap().expose_secret(), url);
        }
    }

    #[test]
    fn a_command_line_holds_no_password() {
        for url in ["postgres://hw:hush@prod/db", "postgres://hw@prod/db?password=hush"] {
            let error = Endpoint::from_command_line(url).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        assert!(Endpoint::from_command_line("postgres://hw@prod/db").is_ok());
        assert!(Endpoint::from_command_line("sqlite://a.db").is_ok());
    }

    #[test]
    fn any_password_survives_the_url() {
        let password = "p%41 /?#@:&+=ä\\";
        for url in ["postgres://hw@prod/db?sslmode=require", "postgres:///db?host=/run/pg", "postgres:///db"]
        {
            let whole = with_password(&Url::parse(url).unwrap(), &SecretString::from(password));
            let whole = Url::parse(whole.expose_secret()).unwrap();
            let in_query =
                whole.query_pairs().find(|(key, _)| key == "password").map(|(_, value)| value.into_owned());
            let in_authority = whole.password().map(decoded);
            assert_eq!(in_authority.or(in_query).as_deref(), Some(password), "{url}");
        }
    }

    fn decoded(text: &str) -> String {
        let pair = format!("x={text}");
        url::form_urlencoded::parse(pair.as_bytes()).next().unwrap().1.into_owned()
    }
}
