//! Scripts of an upgrade on PostgreSQL, as psql would run them.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::process::Command;

use super::connect::{classify, literal, resolve};
use super::split::{comment, statement_length};
use super::target::Shared;
use super::{pg_dump, tx};
use crate::engine::Arg;
use crate::engine::script::{
    Client, Commits, Lines, Parsed, Ran, Role, Script, Statement, Unreadable, first_words, role,
};
use crate::error::Result;
use crate::model::sql::Word;

/// What `role` is while the session's own user is in force.
const NO_ROLE: &str = "none";

/// What the server says of a statement that has no place in a transaction, or that ends one itself:
/// active_sql_transaction, invalid_transaction_termination.
const OUTSIDE_ONLY: [&str; 2] = ["25001", "2D000"];

/// A session for scripts, set up as the role's and the database's own settings say.
pub(super) struct PgScript {
    shared: Arc<Shared>,
    connection: PgConnection,
}

/// Opens a session for scripts.
pub(super) async fn open(shared: Arc<Shared>) -> Result<PgScript> {
    let how = resolve(&shared.endpoint, &shared.place).await?;
    let connection = PgConnection::connect_with(&how).await.map_err(|e| classify(e, &shared.place))?;
    Ok(PgScript { shared, connection })
}

/// psql, told where to connect.
pub(super) async fn client(shared: &Shared, whole: bool) -> Result<Client> {
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "--no-password", "-f", "-"]);
    command.args(whole.then_some("-1"));
    let secret = pg_dump::enter(&shared.endpoint, &shared.place, &mut command).await?;
    Ok(Client { command, whole, _secret: secret })
}

impl PgScript {
    async fn execute(&mut self, sql: &str) -> Result<()> {
        self.send(sql).await.map_err(|e| classify(e, &self.shared.place))
    }

    async fn send(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_string())).execute(&mut self.connection).await.map(drop)
    }

    /// The role that the script has set; "none" without one.
    async fn role(&mut self) -> Result<String, sqlx::Error> {
        let sql = "SELECT pg_catalog.current_setting('role')";
        sqlx::raw_sql(sql).fetch_one(&mut self.connection).await?.try_get(0)
    }

    /// Sets the role until the transaction ends.
    async fn set_role(&mut self, role: &str) -> Result<(), sqlx::Error> {
        let sql = format!("SELECT pg_catalog.set_config('role', {}, true)", literal(role));
        self.send(&sql).await
    }

    /// Runs a ledger statement as the role that the session was opened by: that of the script need not have
    /// rights on the ledger.
    async fn write(&mut self, sql: String, args: &[Arg]) -> Result<u64, sqlx::Error> {
        let role = self.role().await?;
        let is_set = role != NO_ROLE;
        if is_set {
            self.set_role(NO_ROLE).await?;
        }
        // Not kept in the session: the script may say DISCARD ALL.
        let done = tx::bind(sql, args).persistent(false).execute(&mut self.connection).await?;
        if is_set {
            self.set_role(&role).await?;
        }
        Ok(done.rows_affected())
    }

    async fn copy_in(&mut self, sql: &str, data: &str) -> Result<(), sqlx::Error> {
        let mut copy = self.connection.copy_in_raw(sql).await?;
        copy.send(data.as_bytes()).await?;
        copy.finish().await?;
        Ok(())
    }
}

#[async_trait]
impl Script for PgScript {
    fn split(&self, text: &str) -> Result<Parsed, Unreadable> {
        split(text)
    }

    fn commits(&self) -> Commits {
        Commits::Together
    }

    async fn begin(&mut self) -> Result<()> {
        self.execute("BEGIN").await
    }

    async fn run(&mut self, statement: &Statement) -> Result<Ran> {
        let ran = match &statement.data {
            Some(data) => self.copy_in(&statement.sql, data).await,
            None => self.send(&statement.sql).await,
        };
        let Err(error) = ran else { return Ok(Ran::Done) };
        let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        let outside_only = code.is_some_and(|code| OUTSIDE_ONLY.contains(&code.as_str()));
        let error = classify(error, &self.shared.place);
        if outside_only { Ok(Ran::OutsideOnly(error)) } else { Err(error) }
    }

    async fn record(&mut self, sql: &str, args: &[Arg]) -> Result<u64> {
        let sql = self.shared.ledger_sql(sql);
        self.write(sql, args).await.map_err(|e| classify(e, &self.shared.place))
    }

    async fn commit(&mut self) -> Result<()> {
        self.execute("COMMIT").await
    }

    async fn rollback(&mut self) -> Result<()> {
        self.execute("ROLLBACK").await
    }
}

/// Takes a script apart as psql does.
fn split(text: &str) -> Result<Parsed, Unreadable> {
    let mut lines = Lines::new(text);
    let mut statements: Vec<Statement> = Vec::new();
    let mut at = 0;
    loop {
        at += blank(&text[at..]);
        let rest = &text[at..];
        if rest.is_empty() {
            break;
        }
        let line = lines.line(at);
        if rest.starts_with('\\') {
            let command = rest.lines().next().unwrap_or_default();
            // pg_dump's, about what psql itself may do.
            if !command.starts_with("\\restrict ") && !command.starts_with("\\unrestrict ") {
                return Err(Unreadable::command(line, command.trim(), "psql"));
            }
            at += command.len();
            continue;
        }
        let length = statement_length(rest);
        let sql = rest[..length].trim_end_matches(';').trim_end();
        if let Some(command) = backslash(sql) {
            return Err(Unreadable::command(line, &command, "psql"));
        }
        at += length;
        if sql.is_empty() {
            continue;
        }
        if without_standard_texts(sql) {
            return Err(Unreadable::command(line, sql, "psql"));
        }
        let words = first_words(sql, 3);
        let mut data = None;
        if copies_from_stdin(sql) {
            let (skipped, lines, behind) = copy_data(&text[at..]);
            let beside = &text[at..at + skipped];
            let is_blank = beside[blank(beside)..].is_empty();
            if !is_blank {
                return Err(Unreadable::command(line, &format!("{}; {}", sql, beside.trim()), "psql"));
            }
            at += skipped + behind;
            data = Some(lines);
        }
        let role = match role(&words, &["SET", "RESET"]) {
            Role::Ordinary if stands_alone(sql) => Role::Alone,
            role => role,
        };
        statements.push(Statement { line, sql: sql.to_string(), data, role });
    }
    let stays = |s: &&Statement| !matches!(s.role, Role::Ordinary | Role::Session);
    let obstacle = statements.iter().find(stays).map(Unreadable::transaction);
    Ok(Parsed { statements, obstacle })
}

/// The length of white space and comments.
fn blank(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if trimmed.starts_with("--") {
            at += trimmed.find('\n').unwrap_or(trimmed.len());
        } else if trimmed.starts_with("/*") {
            at += comment(trimmed);
        } else {
            return at;
        }
    }
}

/// A command of psql in the middle of a statement (`\gexec`): outside quotes SQL has no backslash.
fn backslash(sql: &str) -> Option<String> {
    let bare = super::split::without_quotes(sql);
    let at = bare.find('\\')?;
    Some(bare[at..].split_whitespace().next().unwrap_or_default().to_string())
}

/// Whether a backslash in a text is something else from here on: then only psql knows where a text ends.
fn without_standard_texts(sql: &str) -> bool {
    let words: Vec<_> = crate::model::sql::words(sql).into_iter().map(|(_, word)| word).collect();
    let (first, last) = (words.first(), words.last());
    let is_on = |word: &Word<'_>| word.is("on") || word.is("true") || *word == Word::Text("'on'");
    first.is_some_and(|w| w.is("set"))
        && words.iter().any(|w| w.is("standard_conforming_strings"))
        && !last.is_some_and(is_on)
}

fn copies_from_stdin(sql: &str) -> bool {
    let words: Vec<_> = crate::model::sql::words(sql).into_iter().map(|(_, word)| word).collect();
    words.first().is_some_and(|w| w.is("copy"))
        && words.windows(2).any(|w| w[0].is("from") && w[1].is("stdin"))
}

/// The lines behind a COPY until `\.`: what to skip before them, the lines, and the length with the end.
fn copy_data(text: &str) -> (usize, String, usize) {
    let skipped = text.find('\n').map_or(text.len(), |end| end + 1);
    let lines = &text[skipped..];
    let mut length = 0;
    for line in lines.split_inclusive('\n') {
        if line.trim_end_matches(['\r', '\n']) == "\\." {
            return (skipped, lines[..length].to_string(), length + line.len());
        }
        length += line.len();
    }
    (skipped, lines.to_string(), lines.len())
}

/// Whether the server takes it only outside a transaction, as far as its text tells. Of what procedures and DO
/// blocks do, and of some statements on partitioned tables, the server tells.
fn stands_alone(sql: &str) -> bool {
    let words = first_words(sql, 5);
    let word = |n: usize| words.get(n).map_or("", String::as_str);
    let has = |wanted: &str| words.iter().any(|w| w == wanted);
    match (word(0), word(1)) {
        ("VACUUM", _) | ("ALTER", "SYSTEM") | ("DISCARD", "ALL") | ("CLUSTER", "") => true,
        ("CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION") => true,
        ("CREATE" | "DROP", "INDEX" | "UNIQUE") => has("CONCURRENTLY"),
        ("REINDEX", kind) => has("CONCURRENTLY") || matches!(kind, "DATABASE" | "SYSTEM" | "SCHEMA" | ""),
        ("ALTER", "TABLE") => {
            let all = crate::model::sql::words(sql);
            all.iter().any(|(_, w)| w.is("detach")) && all.iter().any(|(_, w)| w.is("concurrently"))
        }
        // An added value can't be used before it is committed.
        ("ALTER", "TYPE") => {
            crate::model::sql::words(sql).windows(2).any(|w| w[0].1.is("add") && w[1].1.is("value"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        split(text).unwrap().statements.into_iter().map(|s| (s.line, s.sql)).collect()
    }

    #[test]
    fn statements_end_where_psql_ends_them() {
        let script = "-- one; two\nSELECT 1; /* ; /* ; */ */\nSELECT $x$;$x$, E'\\';', ';' -- ;\n;\n\
                      CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;\n;;\nSELECT 3";
        let found = texts(script);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 5, 7]);
        assert!(found[2].1.ends_with("END"), "{found:?}");
        assert!(split(script).unwrap().obstacle.is_none());
    }

    #[test]
    fn names_that_begin_no_body() {
        let script = "CREATE FUNCTION f(begin int, \"end\" int) RETURNS int LANGUAGE sql AS 'SELECT $1';\n\
                      COMMENT ON FUNCTION begin IS 'x';\nSELECT E'a\n  \\';b', 'c\\';\nSELECT 4";
        assert_eq!(texts(script).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 3, 5]);
    }

    #[test]
    fn data_of_a_copy_goes_with_it() {
        let script = "COPY t (a, b) FROM stdin;\n1\tx;\n2\t\\N\n\\.\nSELECT 1;";
        let found = split(script).unwrap().statements;
        assert_eq!(found[0].data.as_deref(), Some("1\tx;\n2\t\\N\n"));
        assert_eq!((found[1].line, found[1].sql.as_str()), (5, "SELECT 1"));
    }

    #[test]
    fn commands_of_psql_are_refused() {
        for (script, line) in [
            ("SELECT 1;\n\\i other.sql\n", 2),
            ("\\set x 1", 1),
            ("SELECT 'a\\b';\nSELECT 1 \\gexec\n", 2),
            ("COPY t FROM stdin; SELECT 1;\n1\n\\.\n", 1),
            ("SET standard_conforming_strings = off;\nSELECT 'a\\'';", 1),
        ] {
            let refused = split(script).unwrap_err();
            assert_eq!(refused.line, line, "{script}");
            assert!(refused.what.contains("needs psql"), "{refused}");
        }
        for script in [
            "\\restrict abc\nSELECT 1;\n\\unrestrict abc\n",
            "SET standard_conforming_strings = on;",
            "COPY t FROM stdin; -- ;\n1\n\\.\n",
        ] {
            assert!(split(script).is_ok(), "{script}");
        }
    }

    #[test]
    fn what_is_no_transaction_is_known() {
        for alone in [
            "BEGIN; SELECT 1; COMMIT;",
            "VACUUM t",
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
            "ALTER TYPE e ADD VALUE 'x'",
            "REINDEX TABLE CONCURRENTLY t",
        ] {
            assert!(split(alone).unwrap().obstacle.is_some(), "{alone}");
        }
        for whole in ["CREATE INDEX i ON t (a)", "DO $$ BEGIN NULL; END $$", "ALTER TYPE e RENAME TO f"] {
            assert!(split(whole).unwrap().obstacle.is_none(), "{whole}");
        }
    }
}
