//! Scripts of an upgrade on MySQL and MariaDB, as their command-line clients would run them.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, MySqlConnection};
use tempfile::NamedTempFile;
use tokio::process::Command;
use url::Url;

use super::connect::Flavour;
use super::fault::classify;
use super::statement::ledger_sql;
use super::target::Shared;
use super::value::quote;
use crate::engine::Arg;
use crate::engine::script::{Client, Lines, Parsed, Script, Statement, Unreadable, blank, first_words, role};
use crate::error::{Error, Result};

/// Commands of the client that no server knows.
const COMMANDS: [&str; 19] = [
    "SOURCE",
    "SYSTEM",
    "CONNECT",
    "TEE",
    "NOTEE",
    "PAGER",
    "NOPAGER",
    "CHARSET",
    "PROMPT",
    "REHASH",
    "STATUS",
    "WARNINGS",
    "NOWARNING",
    "EDIT",
    "EGO",
    "GO",
    "PRINT",
    "QUIT",
    "EXIT",
];

/// A session for scripts, with the server's own settings.
pub(super) struct MysqlScript {
    shared: Arc<Shared>,
    connection: MySqlConnection,
    /// While the script holds table locks, the session reaches no other table: records go another way.
    /// They commit by themselves then, as every change of the script does.
    locked: bool,
}

/// Opens a session for scripts.
pub(super) async fn open(shared: Arc<Shared>) -> Result<MysqlScript> {
    let connection = shared.server.bare().await?;
    Ok(MysqlScript { shared, connection, locked: false })
}

impl MysqlScript {
    async fn execute(&mut self, sql: &str) -> Result<u64> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_string())).execute(&mut self.connection).await;
        done.map(|done| done.rows_affected()).map_err(|e| classify(e, &self.shared.server.place))
    }
}

#[async_trait]
impl Script for MysqlScript {
    fn split(&self, text: &str) -> Result<Parsed, Unreadable> {
        split(text)
    }

    async fn begin(&mut self) -> Result<()> {
        self.execute("START TRANSACTION").await.map(drop)
    }

    async fn run(&mut self, statement: &Statement) -> Result<()> {
        self.execute(&statement.sql).await?;
        match first_words(&statement.sql, 2).iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["LOCK", "TABLES" | "TABLE"] => self.locked = true,
            ["UNLOCK", "TABLES" | "TABLE"] => self.locked = false,
            _ => {}
        }
        Ok(())
    }

    async fn record(&mut self, sql: &str, args: &[Arg]) -> Result<u64> {
        // The script may have gone to another database.
        let prefix = format!("{}.{}", quote(&self.shared.server.database), self.shared.prefix);
        let sql = ledger_sql(sql, &prefix, args)?;
        if self.locked {
            let mut session = self.shared.server.session().await?;
            let done = session.execute(sql).await?;
            session.close();
            return Ok(done);
        }
        self.execute(&sql).await
    }

    async fn commit(&mut self) -> Result<()> {
        self.execute("COMMIT").await.map(drop)
    }

    async fn rollback(&mut self) -> Result<()> {
        self.execute("ROLLBACK").await.map(drop)
    }
}

/// The command-line client, told where to connect by a file that only we can read.
pub(super) async fn client(shared: &Shared) -> Result<Client> {
    let program = program(shared.server.flavour);
    let url = shared.server.url().await?;
    let url = Url::parse(url.expose_secret())
        .map_err(|e| Error::usage(format!("{}: the URL can't be used: {e}", shared.server.place)))?;
    let failed = |e: std::io::Error| Error::failed("no file for the password of the client").because(e);
    let mut file = NamedTempFile::new().map_err(failed)?;
    file.write_all(options(&url).as_bytes()).map_err(failed)?;
    let mut command = Command::new(program);
    // The first argument, or it is not taken.
    command.arg(format!("--defaults-extra-file={}", file.path().display()));
    command.args(["--batch", "--default-character-set=utf8mb4", &shared.server.database]);
    Ok(Client { command, whole: false, _secret: Some(file) })
}

/// The section of an options file that says what the URL does.
fn options(url: &Url) -> String {
    let decoded = |text: &str| {
        let text = text.replace('+', "%2B");
        url::form_urlencoded::parse(text.as_bytes())
            .next()
            .map(|(text, _)| text.into_owned())
            .unwrap_or_default()
    };
    let written = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut lines = vec!["[client]".to_string()];
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{name}={}", written(value)));
        }
    };
    add("user", &decoded(url.username()));
    add("password", &decoded(url.password().unwrap_or_default()));
    let mut socket = false;
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "socket" => {
                socket = true;
                add("socket", &value);
            }
            "ssl-ca" => add("ssl-ca", &value),
            "ssl-cert" => add("ssl-cert", &value),
            "ssl-key" => add("ssl-key", &value),
            _ => {}
        }
    }
    if !socket {
        add("host", url.host_str().unwrap_or_default());
        add("port", &url.port().unwrap_or(3306).to_string());
        add("protocol", "tcp");
    }
    lines.join("\n") + "\n"
}

/// The flavour's own program, else the other's, which speaks the same.
fn program(flavour: Flavour) -> PathBuf {
    let names = match flavour {
        Flavour::Mysql => ["mysql", "mariadb"],
        Flavour::Mariadb => ["mariadb", "mysql"],
    };
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let found = names.iter().find(|name| folders.iter().any(|folder| folder.join(name).is_file()));
    PathBuf::from(found.unwrap_or(&names[0]))
}

/// Takes a script apart as the client does.
fn split(text: &str) -> Result<Parsed, Unreadable> {
    let mut lines = Lines::new(text);
    let mut statements: Vec<Statement> = Vec::new();
    let mut delimiter = ";".to_string();
    let mut at = 0;
    loop {
        at += blank(&text[at..], comment);
        let rest = &text[at..];
        if rest.is_empty() {
            break;
        }
        let line = lines.line(at);
        if rest.starts_with(delimiter.as_str()) {
            at += delimiter.len();
            continue;
        }
        let first_line = rest.lines().next().unwrap_or_default();
        let first_word = first_line.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        if first_word.eq_ignore_ascii_case("delimiter") {
            let named = first_line[first_word.len()..].split_whitespace().next();
            let Some(named) = named else {
                return Err(Unreadable { line, what: "DELIMITER names none".to_string() });
            };
            delimiter = named.to_string();
            at += first_line.len();
            continue;
        }
        if rest.starts_with('\\') || COMMANDS.iter().any(|c| c.eq_ignore_ascii_case(first_word)) {
            return Err(Unreadable::command(line, first_line.trim(), "the client"));
        }
        let (length, end) = statement_length(rest, &delimiter)
            .map_err(|command| Unreadable::command(line, &command, "the client"))?;
        at += length + end;
        let sql = rest[..length].trim_end();
        let role = role(&first_words(sql, 3), &["SET", "USE"]);
        statements.push(Statement { line, sql: sql.to_string(), data: None, role });
    }
    // Every definition commits by itself here.
    Ok(Parsed { statements, one_transaction: false })
}

/// The length of the comment that begins here; 0 when none does. Two dashes need a space behind them; what
/// stands in `/*! */` is run.
fn comment(rest: &str) -> usize {
    let dashes = rest.strip_prefix("--").is_some_and(|r| r.is_empty() || r.starts_with(char::is_whitespace));
    if dashes || rest.starts_with('#') {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") && !rest.starts_with("/*!") && !rest.starts_with("/*M!") {
        rest[2..].find("*/").map_or(rest.len(), |end| end + 4)
    } else {
        0
    }
}

/// How long the statement at the beginning is, and what ends it; or the client's command in it.
fn statement_length(text: &str, delimiter: &str) -> Result<(usize, usize), String> {
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if rest.starts_with(delimiter) {
            return Ok((at, delimiter.len()));
        }
        at += match first {
            '\'' | '"' => quoted(rest, first),
            '`' => rest[1..].find('`').map_or(rest.len(), |end| end + 2),
            // The only thing of SQL with a backslash is \N.
            '\\' if !rest.starts_with("\\N") => return Err(rest.chars().take(2).collect()),
            _ => match comment(rest) {
                0 => first.len_utf8(),
                length => length,
            },
        };
    }
    Ok((text.len(), 0))
}

/// The length of a quoted text with backslashes. A doubled quote is two texts side by side.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        split(text).unwrap().statements.into_iter().map(|s| (s.line, s.sql)).collect()
    }

    #[test]
    fn statements_end_where_the_client_ends_them() {
        let script = "# a;\n-- b;\nINSERT INTO t VALUES ('\\';', \"a;\", 5--1); /* ; */ SELECT `;`;\n\
                      DELIMITER //\nCREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW BEGIN\n SELECT 1;\nEND//\n\
                      delimiter ;\n/*!40000 ALTER TABLE t DISABLE KEYS */;\nSELECT \\N";
        let found = texts(script);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 3, 5, 9, 10], "{found:?}");
        assert!(found[2].1.ends_with("END"), "{found:?}");
        assert!(found[3].1.starts_with("/*!40000"), "{found:?}");
    }

    #[test]
    fn commands_of_the_client_are_refused() {
        for (script, line) in [("SELECT 1;\nsource other.sql\n", 2), ("\\. a.sql", 1), ("SELECT 1\\G", 1)] {
            let refused = split(script).unwrap_err();
            assert_eq!(refused.line, line, "{script}");
            assert!(refused.what.contains("needs the client"), "{refused}");
        }
    }

    #[test]
    fn a_password_goes_into_the_file_only() {
        let url = Url::parse("mysql://me:p%22w@host:3307/db").unwrap();
        let expected =
            "[client]\nuser=\"me\"\npassword=\"p\\\"w\"\nhost=\"host\"\nport=\"3307\"\nprotocol=\"tcp\"\n";
        assert_eq!(options(&url), expected);
    }
}
