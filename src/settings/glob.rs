//! Patterns that choose tables.

use std::fmt;

use serde::{Serialize, Serializer};
use wildmatch::WildMatch;

/// The schema of a table that has none of its own (SQLite).
const ONLY_SCHEMA: &str = "main";

/// A pattern of table names, `table` (in any schema) or `schema.table`, where `*` stands for any
/// characters and `?` for one. Upper and lower case are the same.
#[derive(Clone, PartialEq)]
pub struct Glob {
    text: String,
    schema: Option<WildMatch>,
    table: WildMatch,
}

impl Glob {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Glob, String> {
        let (schema, table) = match text.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, text),
        };
        if table.is_empty() || schema == Some("") {
            return Err(format!(
                "{text:?} is not a glob; write \"table\" or \"schema.table\", such as \"um_*\""
            ));
        }
        if table.contains('.') {
            return Err(format!("{text:?} has two dots; write ? for a dot that is part of a name"));
        }
        let pattern = WildMatch::new_case_insensitive;
        Ok(Glob { text: text.to_owned(), schema: schema.map(pattern), table: pattern(table) })
    }

    /// The pattern of all tables.
    pub fn any() -> Glob {
        Glob { text: "*".to_owned(), schema: None, table: WildMatch::new_case_insensitive("*") }
    }

    /// Whether the pattern chooses `table`; `schema` is `None` where the engine has no schemas.
    pub fn matches(&self, schema: Option<&str>, table: &str) -> bool {
        let in_schema = self.schema.as_ref().is_none_or(|glob| glob.matches(schema.unwrap_or(ONLY_SCHEMA)));
        in_schema && self.table.matches(table)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, schema: Option<&str>, table: &str) -> bool {
        Glob::parse(glob).unwrap().matches(schema, table)
    }

    #[test]
    fn without_a_dot_any_schema_matches() {
        assert!(matches("um_*", Some("public"), "um_user"));
        assert!(matches("UM_*", Some("other"), "um_user"));
        assert!(matches("um_user?", None, "um_user2"));
        assert!(!matches("um_*", Some("um_x"), "reg_log"));
    }

    #[test]
    fn with_a_dot_the_schema_counts() {
        assert!(matches("public.um_*", Some("public"), "um_user"));
        assert!(!matches("public.um_*", Some("other"), "um_user"));
        assert!(matches("main.t", None, "t"));
        assert!(!matches("public.t", None, "t"));
        assert!(matches("*.t", Some("x"), "t"));
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        for text in ["", ".", "a.", ".a", "a.b.c"] {
            assert!(Glob::parse(text).is_err(), "{text}");
        }
    }
}
