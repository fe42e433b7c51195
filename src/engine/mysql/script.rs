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
use super::session::{maybe, records};
use super::statement::ledger_sql;
use super::target::Shared;
use super::value::quote;
use crate::engine::Arg;
use crate::engine::script::{
    Client, Commits, Lines, Parsed, Ran, Script, Statement, Unreadable, blank, first_words, role,
};
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

/// The mode in which a backslash in a text stands for itself.
const PLAIN_TEXTS: &str = "NO_BACKSLASH_ESCAPES";

/// A session for scripts, with the server's own settings.
pub(super) struct MysqlScript {
    shared: Arc<Shared>,
    connection: MySqlConnection,
    /// Whether a backslash in a text stands for itself as the session begins.
    plain_texts: bool,
}

/// Opens a session for scripts.
pub(super) async fn open(shared: Arc<Shared>) -> Result<MysqlScript> {
    let mut connection = shared.server.bare().await?;
    let mode = records(&mut connection, "SELECT @@sql_mode").await;
    let mode = mode.map_err(|e| classify(e, &shared.server.place))?;
    let plain_texts =
        mode.first().is_some_and(|row| maybe(row, 0).is_some_and(|mode| mode.contains(PLAIN_TEXTS)));
    Ok(MysqlScript { shared, connection, plain_texts })
}

impl MysqlScript {
    async fn execute(&mut self, sql: &str) -> Result<u64> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_string())).execute(&mut self.connection).await;
        done.map(|done| done.rows_affected()).map_err(|e| classify(e, &self.shared.server.place))
    }

    /// What the ledger's tables begin with: the script may have gone to another database.
    fn prefix(&self) -> String {
        format!("{}.{}", quote(&self.shared.server.database), self.shared.prefix)
    }
}

#[async_trait]
impl Script for MysqlScript {
    fn split(&self, text: &str) -> Result<Parsed, Unreadable> {
        split(text, self.plain_texts)
    }

    fn commits(&self) -> Commits {
        Commits::Apart
    }

    async fn begin(&mut self) -> Result<()> {
        self.execute("START TRANSACTION").await.map(drop)
    }

    async fn run(&mut self, statement: &Statement) -> Result<Ran> {
        let ran = match table_locks(&statement.sql) {
            // Else the session would not reach the ledger any more. Recorded in another one, a statement
            // would count as done that is undone with its transaction.
            Some(at) => {
                let (verb, tables) = statement.sql.split_at(at);
                self.execute(&format!("{verb} {}scripts WRITE, {tables}", self.prefix())).await
            }
            None => self.execute(&statement.sql).await,
        };
        ran.map(|_| Ran::Done)
    }

    async fn record(&mut self, sql: &str, args: &[Arg]) -> Result<u64> {
        let sql = ledger_sql(sql, &self.prefix(), args)?;
        self.execute(&sql).await
    }

    async fn commit(&mut self) -> Result<()> {
        self.execute("COMMIT").await.map(drop)
    }

    async fn rollback(&mut self) -> Result<()> {
        // Of the locks one may be on the ledger, which others are about to read.
        self.execute("ROLLBACK; UNLOCK TABLES").await.map(drop)
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

/// Where the tables begin that a statement locks.
fn table_locks(sql: &str) -> Option<usize> {
    match crate::model::sql::words(sql).as_slice() {
        [(_, lock), (at, tables), ..] if lock.is("LOCK") && (tables.is("TABLES") || tables.is("TABLE")) => {
            Some(at + tables.name()?.len())
        }
        _ => None,
    }
}

/// Takes a script apart as the client does. Where a backslash in a text may stand for itself
/// (`plain_texts`, or the script speaks of that mode), only the client knows where the text ends.
fn split(text: &str, mut plain_texts: bool) -> Result<Parsed, Unreadable> {
    // As the client reads lines.
    let text = &text.replace("\r\n", "\n");
    let mut lines = Lines::new(text);
    let mut statements: Vec<Statement> = Vec::new();
    let mut delimiter = ";".to_string();
    let mut at = 0;
    loop {
        at += blank(&text[at..], leading_comment);
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
            delimiter = named.trim_matches(['\'', '"', '`']).to_string();
            at += first_line.len();
            continue;
        }
        if rest.starts_with('\\') || COMMANDS.iter().any(|c| c.eq_ignore_ascii_case(first_word)) {
            return Err(Unreadable::command(line, first_line.trim(), "the client"));
        }
        // The client's USE needs no delimiter.
        let is_use = first_word.eq_ignore_ascii_case("use") && !first_line.contains(&delimiter);
        let measured = match is_use {
            true => Ok((first_line.len(), 0)),
            false => statement_length(rest, &delimiter, plain_texts),
        };
        let (length, end) = measured.map_err(|what| Unreadable::command(line, &what, "the client"))?;
        at += length + end;
        let sql = rest[..length].trim_end();
        plain_texts |= sql.to_ascii_uppercase().contains(PLAIN_TEXTS);
        let role = role(&first_words(sql, 3), &["SET", "USE"]);
        statements.push(Statement { line, sql: sql.to_string(), data: None, role });
    }
    let what = "definitions commit by themselves on MySQL and MariaDB".to_string();
    Ok(Parsed { statements, obstacle: Some(Unreadable { line: 1, what }) })
}

/// The length of the comment that begins here, before a statement: two dashes alone make one there. The
/// first line of MariaDB's dumps, which forbids the client its commands, is for nobody else.
fn leading_comment(rest: &str) -> usize {
    if rest.starts_with("--") || rest.starts_with("/*!999999\\-") || rest.starts_with("/*M!999999\\-") {
        rest.find('\n').unwrap_or(rest.len())
    } else {
        comment(rest)
    }
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

/// How long the statement at the beginning is, and what ends it; or what only the client understands.
fn statement_length(text: &str, delimiter: &str, plain_texts: bool) -> Result<(usize, usize), String> {
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if rest.starts_with(delimiter) {
            return Ok((at, delimiter.len()));
        }
        at += match first {
            '\'' | '"' => {
                let length = quoted(rest, first);
                if plain_texts && rest[..length].contains('\\') {
                    return Err(format!("{first}..\\..{first} under {PLAIN_TEXTS}"));
                }
                length
            }
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
        split(text, false).unwrap().statements.into_iter().map(|s| (s.line, s.sql)).collect()
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
        for (script, line) in [
            ("SELECT 1;\nsource other.sql\n", 2),
            ("\\. a.sql", 1),
            ("SELECT 1\\G", 1),
            ("SET sql_mode = 'no_backslash_escapes';\nSELECT 'a', 'b\\';\n", 2),
        ] {
            let refused = split(script, false).unwrap_err();
            assert_eq!(refused.line, line, "{script}");
            assert!(refused.what.contains("needs the client"), "{refused}");
        }
        assert!(split("SELECT 'a', '';", true).is_ok());
        assert!(split("SELECT 'a\\n';", true).is_err());
    }

    #[test]
    fn comments_before_a_statement_are_the_clients() {
        let script = "/*M!999999\\- enable the sandbox mode */ \n--;\nSELECT 1;--two;\nuse other\nDELIMITER '//'\nSELECT 3;//";
        let found = texts(script);
        let expected = [(3, "SELECT 1"), (4, "use other"), (6, "SELECT 3;")].map(|(n, s)| (n, s.to_string()));
        assert_eq!(found, expected);
    }

    #[test]
    fn locks_are_found() {
        let sql = "LOCK /* x */ TABLES `a b` READ, c WRITE";
        assert_eq!(
            table_locks(sql).map(|at| sql.split_at(at)),
            Some(("LOCK /* x */ TABLES", " `a b` READ, c WRITE"))
        );
        assert_eq!(table_locks("UNLOCK TABLES"), None);
        assert_eq!(table_locks("LOCK INSTANCE FOR BACKUP"), None);
    }

    #[test]
    fn a_password_goes_into_the_file_only() {
        let url = Url::parse("mysql://me:p%22w@host:3307/db").unwrap();
        let expected =
            "[client]\nuser=\"me\"\npassword=\"p\\\"w\"\nhost=\"host\"\nport=\"3307\"\nprotocol=\"tcp\"\n";
        assert_eq!(options(&url), expected);
    }
}
