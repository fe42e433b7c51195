//! Scripts of an upgrade on SQLite, as the `sqlite3` program would run them.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, SqliteConnection};
use tokio::process::Command;

use super::connect::Db;
use super::fault::Doing;
use super::tx::{bind, ledger_sql};
use crate::engine::Arg;
use crate::engine::script::{
    Client, Commits, Lines, Parsed, Ran, Role, Script, Statement, Unreadable, blank, first_words, role,
};
use crate::error::Result;

/// A session for scripts.
pub(super) struct SqliteScript {
    db: Arc<Db>,
    prefix: String,
    connection: SqliteConnection,
}

/// Opens a session for scripts.
pub(super) async fn open(db: Arc<Db>, prefix: String) -> Result<SqliteScript> {
    let connection = db.apart().await?;
    Ok(SqliteScript { db, prefix, connection })
}

/// The `sqlite3` program, told which file.
pub(super) fn client(db: &Db) -> Client {
    let mut command = Command::new("sqlite3");
    command.args(["-bail", "-batch"]).arg(&db.path);
    Client { command, whole: false, _secret: None }
}

impl SqliteScript {
    async fn execute(&mut self, sql: &str) -> Result<()> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_string())).execute(&mut self.connection).await;
        done.map(drop).doing(&self.db.place, "running a script")
    }
}

#[async_trait]
impl Script for SqliteScript {
    fn split(&self, text: &str) -> Result<Parsed, Unreadable> {
        split(text)
    }

    fn commits(&self) -> Commits {
        Commits::Together
    }

    async fn begin(&mut self) -> Result<()> {
        self.execute("BEGIN IMMEDIATE").await
    }

    async fn run(&mut self, statement: &Statement) -> Result<Ran> {
        self.execute(&statement.sql).await.map(|()| Ran::Done)
    }

    async fn record(&mut self, sql: &str, args: &[Arg]) -> Result<u64> {
        let what = "writing the ledger";
        let args = bind(args).doing(&self.db.place, what)?;
        let query = sqlx::query_with(AssertSqlSafe(ledger_sql(sql, &self.prefix)), args).persistent(false);
        let done = query.execute(&mut self.connection).await;
        done.map(|done| done.rows_affected()).doing(&self.db.place, what)
    }

    async fn commit(&mut self) -> Result<()> {
        self.execute("COMMIT").await
    }

    async fn rollback(&mut self) -> Result<()> {
        // SQLite may have rolled back by itself.
        match self.execute("ROLLBACK").await {
            Err(error) if error.summary().contains("no transaction is active") => Ok(()),
            done => done,
        }
    }
}

/// Takes a script apart as `sqlite3_complete` and the program do.
fn split(text: &str) -> Result<Parsed, Unreadable> {
    // As the program reads lines.
    let text = &text.replace("\r\n", "\n");
    let mut lines = Lines::new(text);
    let mut statements: Vec<Statement> = Vec::new();
    let mut at = 0;
    loop {
        at += blank(&text[at..], comment);
        let rest = &text[at..];
        if rest.is_empty() {
            break;
        }
        let line = lines.line(at);
        let starts_line = text[..at].trim_end_matches([' ', '\t']).is_empty() || text[..at].ends_with('\n');
        if rest.starts_with('.') && starts_line {
            let command = rest.lines().next().unwrap_or_default();
            return Err(Unreadable::command(line, command.trim(), "sqlite3"));
        }
        let length = statement_length(rest);
        at += length;
        let sql = rest[..length].trim_end().trim_end_matches(';').trim_end();
        if sql.is_empty() {
            continue;
        }
        let words = first_words(sql, 3);
        let role = match role(&words, &["PRAGMA", "ATTACH", "DETACH"]) {
            Role::Ordinary if words.first().is_some_and(|word| word == "VACUUM") => Role::Alone,
            role => role,
        };
        statements.push(Statement { line, sql: sql.to_string(), data: None, role });
    }
    let obstacle = obstacle(&statements);
    Ok(Parsed { statements, obstacle })
}

/// Why it can't be one transaction, if it can't: settings of the session take effect outside of one only, so
/// they must stand before everything or behind it, where they don't matter any more.
fn obstacle(statements: &[Statement]) -> Option<Unreadable> {
    let is_session = |s: &&Statement| s.role == Role::Session;
    let before = statements.iter().take_while(is_session).count();
    let behind = statements[before..].iter().rev().take_while(is_session).count();
    let middle = &statements[before..statements.len() - behind];
    middle.iter().find(|s| s.role != Role::Ordinary).map(Unreadable::transaction)
}

/// The length of the comment that begins here; 0 when none does.
fn comment(rest: &str) -> usize {
    if rest.starts_with("--") {
        rest.find('\n').unwrap_or(rest.len())
    } else if let Some(inside) = rest.strip_prefix("/*") {
        inside.find("*/").map_or(rest.len(), |end| end + 4)
    } else {
        0
    }
}

/// How long the statement at the beginning is, its semicolon included. A trigger ends at `; END;`.
fn statement_length(text: &str) -> usize {
    let words = first_words(text, 4);
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|w| *w != "EXPLAIN").collect();
    let is_trigger = matches!(
        words.as_slice(),
        ["CREATE", "TRIGGER", ..] | ["CREATE", "TEMP" | "TEMPORARY", "TRIGGER", ..]
    );
    let mut at = 0;
    // What stood between the last semicolon and here, in a trigger.
    let mut since: Option<Vec<String>> = None;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        at += match first {
            ';' if !is_trigger => return at + 1,
            ';' if since.as_ref().is_some_and(|s| s.len() == 1 && s[0] == "END") => return at + 1,
            ';' => {
                since = Some(Vec::new());
                1
            }
            '\'' | '"' | '`' => {
                note(&mut since, "'");
                quoted(rest, first)
            }
            '[' => {
                note(&mut since, "[");
                rest.find(']').map_or(rest.len(), |end| end + 1)
            }
            '-' | '/' if comment(rest) > 0 => comment(rest),
            c if c.is_alphanumeric() || c == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                note(&mut since, &rest[..length]);
                length
            }
            c => {
                if !c.is_whitespace() {
                    note(&mut since, "?");
                }
                c.len_utf8()
            }
        };
    }
    text.len()
}

fn note(since: &mut Option<Vec<String>>, word: &str) {
    if let Some(words) = since {
        words.push(word.to_ascii_uppercase());
    }
}

fn quoted(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        split(text).unwrap().statements.into_iter().map(|s| (s.line, s.sql)).collect()
    }

    #[test]
    fn statements_end_where_sqlite3_ends_them() {
        let script = "-- a;\nINSERT INTO t VALUES (';', \"a;\", [b;], `c;`); /* ; */ SELECT 1;\n\
                      CREATE TRIGGER x AFTER INSERT ON t BEGIN\n  UPDATE t SET a = CASE WHEN 1 THEN 2 END;\n\
                        DELETE FROM t;\nEND;\nSELECT 2";
        let found = texts(script);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 2, 3, 7], "{found:?}");
        assert!(found[2].1.ends_with("END"), "{found:?}");
    }

    #[test]
    fn commands_of_sqlite3_are_refused() {
        let refused = split("SELECT 1;\n.read other.sql\n").unwrap_err();
        assert_eq!(refused.line, 2);
        assert!(refused.what.contains("needs sqlite3"), "{refused}");
        assert!(split("SELECT 1\n.5;").is_ok());
    }

    #[test]
    fn what_is_no_transaction_is_known() {
        let one = |script: &str| split(script).unwrap().obstacle.is_none();
        assert!(one("ATTACH 'other.db' AS other; UPDATE t SET a = 1; DETACH other"));
        assert!(one("PRAGMA foreign_keys = OFF; UPDATE t SET a = 1; PRAGMA foreign_key_check"));
        assert!(!one("UPDATE t SET a = 1; PRAGMA foreign_keys = OFF; UPDATE t SET a = 2"));
        assert!(!one("VACUUM"));
        assert!(!one("BEGIN; SELECT 1; COMMIT"));
    }
}
