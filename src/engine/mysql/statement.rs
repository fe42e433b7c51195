//! The ledger's portable statements in MySQL's words.

use super::value::literal;
use crate::engine::Arg;
use crate::engine::template::fill;
use crate::error::{Error, Result};

/// The statement with its arguments in it: the text protocol gives every value as text.
///
/// # Errors
/// When it names an argument that there is not.
pub(super) fn ledger_sql(sql: &str, prefix: &str, args: &[Arg]) -> Result<String> {
    let words = [
        ("l", prefix),
        ("bigint", "SIGNED"),
        ("for update", " FOR UPDATE"),
        ("for share", " LOCK IN SHARE MODE"),
    ];
    put_in(&fill(sql, &words), args)
}

/// The statement that makes a table of the ledger, where it is missing.
pub(super) fn ledger_table(sql: &str, prefix: &str) -> String {
    let sql = fill(sql, &[("l", prefix), ("text", "LONGTEXT")]);
    let sql = sql.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1);
    // Labels of tables may differ in nothing but case.
    format!("{sql} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
}

/// The name of the table that a statement of [`ledger_table`] makes.
pub(super) fn made_table<'a>(sql: &'a str, prefix: &str) -> Option<&'a str> {
    let start = sql.find(prefix)?;
    sql[start..].split(|c: char| c.is_whitespace() || c == '(').next()
}

fn put_in(sql: &str, args: &[Arg]) -> Result<String> {
    let mut whole = String::with_capacity(sql.len() + 64);
    let mut quoted = false;
    let mut rest = sql;
    while let Some(at) = rest.find(['?', '\'']) {
        whole.push_str(&rest[..at]);
        let digits = rest[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
        if rest[at..].starts_with('\'') {
            quoted = !quoted;
        }
        if quoted || digits == 0 {
            whole.push_str(&rest[at..=at]);
            rest = &rest[at + 1..];
            continue;
        }
        let number: usize = rest[at + 1..at + 1 + digits].parse().unwrap_or_default();
        let arg = number.checked_sub(1).and_then(|n| args.get(n));
        whole.push_str(&written(arg.ok_or_else(|| Error::failed("a ledger statement lacks an argument"))?));
        rest = &rest[at + 1 + digits..];
    }
    whole.push_str(rest);
    Ok(whole)
}

fn written(arg: &Arg) -> String {
    match arg {
        Arg::Text(Some(text)) => literal(text),
        Arg::Text(None) => "NULL".to_string(),
        Arg::Integer(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_where_they_are_named() {
        let sql = "UPDATE {l}t SET a = ?2, b = '?1', c = CAST(?1 AS {bigint}) WHERE a <> ?2{for share}";
        let args = [Arg::Integer(7), "it's {l} ?1 \\".into()];
        assert_eq!(
            ledger_sql(sql, "hw_", &args).unwrap(),
            "UPDATE hw_t SET a = 'it\\'s {l} ?1 \\\\', b = '?1', c = CAST(7 AS SIGNED) \
             WHERE a <> 'it\\'s {l} ?1 \\\\' LOCK IN SHARE MODE"
        );
        assert!(ledger_sql("SELECT ?3", "", &args).is_err());
        assert_eq!(ledger_sql("SELECT ?1", "", &[Arg::Text(None)]).unwrap(), "SELECT NULL");
    }

    #[test]
    fn every_table_of_the_ledger_can_be_made_again_and_has_a_key() {
        for sql in crate::ledger::tables() {
            let sql = ledger_table(&sql, "highwater_ledger_");
            assert!(sql.contains("IF NOT EXISTS highwater_ledger_") && sql.contains("PRIMARY KEY"), "{sql}");
            assert!(!sql.contains('{'), "{sql}");
        }
        let sql = ledger_table("CREATE TABLE {l}chunks (a {text} PRIMARY KEY)", "highwater_ledger_");
        assert_eq!(made_table(&sql, "highwater_ledger_"), Some("highwater_ledger_chunks"));
    }
}
