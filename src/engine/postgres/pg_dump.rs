//! Runs `pg_dump`, PostgreSQL's own tool, which knows how to write down every kind of object.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;

use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use tempfile::NamedTempFile;
use tokio::process::Command;
use url::Url;

use super::source::PostgresSource;
use crate::error::{Error, Result};
use crate::model::TableName;
use crate::settings::Endpoint;

/// Where Debian's packages put a folder for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The definitions of everything in the source except highwater's own schemas and `excluded`, as text.
pub(super) async fn definitions(
    source: &PostgresSource,
    server: u32,
    excluded: &[TableName],
) -> Result<String> {
    let program = find(server / 10_000).await?;
    let mut command = Command::new(&program);
    command
        .args(["--schema-only", "--no-owner", "--no-privileges", "--no-tablespaces", "--no-publications"])
        .args(["--no-subscriptions", "--no-password", "--lock-wait-timeout=30s", "--encoding=UTF8"])
        .args(["--exclude-schema=highwater_capture*", "--exclude-schema=highwater_ledger*"])
        .args(excluded.iter().map(|table| format!("--exclude-table={}", table.sql())));
    let _password = enter(&source.endpoint, source.place.as_ref(), &mut command).await?;
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| Error::failed(format!("{} could not be run", program.display())).because(e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::refused(format!("{}: pg_dump failed: {}", source.place, said.trim())).remedy(
            "grant what it lacks, or make the tables on the target yourself (copy.schema = \"expect\")",
        ));
    }
    String::from_utf8(output.stdout).map_err(|e| Error::failed("pg_dump did not write UTF-8").because(e))
}

/// Tells the command where to connect, the password by a file that only we can read. The file goes with
/// the returned value.
pub(super) async fn enter(
    endpoint: &Endpoint,
    place: &str,
    command: &mut Command,
) -> Result<Option<NamedTempFile>> {
    let url = endpoint.url().await?;
    let fault = |what: String| Error::usage(format!("{place}: the URL can't be used: {what}"));
    let how = PgConnectOptions::from_str(url.expose_secret()).map_err(|e| fault(e.to_string()))?;
    let url = Url::parse(url.expose_secret()).map_err(|e| fault(e.to_string()))?;
    command.env("PGAPPNAME", "highwater").env("PGCONNECT_TIMEOUT", "10");
    command
        .env("PGHOST", host(&how))
        .env("PGPORT", how.get_port().to_string())
        .env("PGUSER", how.get_username());
    command.env("PGDATABASE", how.get_database().unwrap_or(how.get_username()));
    let mut password = url.password().map(decoded).transpose()?;
    for (name, value) in url.query_pairs() {
        let variable = match name.as_ref() {
            "sslmode" | "ssl-mode" => "PGSSLMODE",
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "PGSSLROOTCERT",
            "sslcert" | "ssl-cert" => "PGSSLCERT",
            "sslkey" | "ssl-key" => "PGSSLKEY",
            "password" => {
                password = Some(value.into_owned());
                continue;
            }
            _ => continue,
        };
        command.env(variable, value.as_ref());
    }
    let Some(password) = password.filter(|p| !p.is_empty()) else { return Ok(None) };
    let failed =
        |e: std::io::Error| Error::failed("no file for the password of PostgreSQL's own programs").because(e);
    let mut file = NamedTempFile::new().map_err(failed)?;
    let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
    writeln!(file, "*:*:*:*:{escaped}").map_err(failed)?;
    command.env("PGPASSFILE", file.path()).env_remove("PGPASSWORD");
    Ok(Some(file))
}

fn host(how: &PgConnectOptions) -> OsString {
    how.get_socket().map_or_else(|| OsString::from(how.get_host()), |socket| socket.as_os_str().to_owned())
}

fn decoded(text: &str) -> Result<String> {
    // `+` stands for itself in this part of a URL, unlike in a query.
    let query = text.replace('+', "%2B");
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map(|(password, _)| password.into_owned())
        .ok_or_else(|| Error::usage("the URL's password can't be read"))
}

/// The newest pg_dump that is not older than the server.
async fn find(server: u32) -> Result<PathBuf> {
    let mut newest: Option<(u32, PathBuf)> = None;
    for program in candidates() {
        let Some(version) = version(&program).await else { continue };
        if newest.as_ref().is_none_or(|(known, _)| version > *known) {
            newest = Some((version, program));
        }
    }
    let remedy = format!(
        "install the client programs of PostgreSQL {server} (Debian: postgresql-client-{server}), or make the tables \
         on the target yourself (copy.schema = \"expect\")"
    );
    match newest {
        Some((version, program)) if version >= server => Ok(program),
        Some((version, program)) => Err(Error::refused(format!(
            "{} is of version {version}, older than the source's {server}",
            program.display()
        ))
        .remedy(remedy)),
        None => {
            Err(Error::refused("pg_dump, which writes down the source's tables, is not here").remedy(remedy))
        }
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.into_iter().map(|folder| folder.join("pg_dump")).filter(|program| program.is_file()).collect()
}

/// The major version of a pg_dump: its answer is `pg_dump (PostgreSQL) 15.4 (Debian ..)`.
async fn version(program: &PathBuf) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, number) = text.split_once("(PostgreSQL) ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
