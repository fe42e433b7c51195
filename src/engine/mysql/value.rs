//! Names and values as SQL, and values as arguments.

use std::fmt::Write;

use sqlx::Arguments;
use sqlx::mysql::MySqlArguments;

use crate::error::{Error, Result};
use crate::model::Value;

/// An identifier in back-ticks.
pub(super) fn quote(identifier: &str) -> String {
    format!("`{}`", identifier.replace('`', "``"))
}

/// A text as an SQL literal, in the session's utf8mb4 (NO_BACKSLASH_ESCAPES is off in every session).
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\0', "\\0"))
}

/// `parts` with `separator` between.
pub(super) fn join(parts: impl IntoIterator<Item = String>, separator: &str) -> String {
    let mut joined = String::new();
    for (i, part) in parts.into_iter().enumerate() {
        // Writing to a String can't fail.
        let _ = write!(joined, "{}{part}", if i == 0 { "" } else { separator });
    }
    joined
}

/// `k1, k2`, each with `before` in front.
pub(super) fn key_names(before: &str, count: usize) -> String {
    join((1..=count).map(|n| format!("{before}k{n}")), ", ")
}

/// Binds a value: text as utf8mb4, a blob as bytes, which a column of characters takes as they are.
///
/// # Errors
/// When a text is not UTF-8.
pub(super) fn bind(args: &mut MySqlArguments, value: &Value) -> Result<()> {
    match value {
        Value::Null => args.add(Option::<&str>::None),
        Value::Integer(number) => args.add(*number),
        Value::Real(number) => args.add(*number),
        Value::Text(bytes) => {
            let text = std::str::from_utf8(bytes);
            args.add(text.map_err(|e| Error::failed("a text on its way is not UTF-8").because(e))?)
        }
        Value::Blob(bytes) => args.add(bytes.as_slice()),
    }
    .map_err(|e| Error::failed("a value can't be bound").because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_can_hold_anything() {
        assert_eq!(quote("a`b"), "`a``b`");
        assert_eq!(literal("it's a \\ \0"), "'it\\'s a \\\\ \\0'");
    }
}
