//! Names of tables.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A table's name as its server spells it. Engines without schemas leave `schema` empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The schema, where the engine has them.
    pub schema: Option<String>,
    /// The name inside the schema.
    pub name: String,
}

impl TableName {
    /// A name inside a schema.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        TableName { schema: Some(schema.into()), name: name.into() }
    }

    /// A name on an engine without schemas.
    pub fn bare(name: impl Into<String>) -> Self {
        TableName { schema: None, name: name.into() }
    }

    /// Reads a name of the settings, `table` or `schema.table`, the way that labels are written: a part
    /// that holds a dot or a quote is in double quotes. Without a schema it is in that of `beside`.
    pub fn read(text: &str, beside: &TableName) -> Self {
        let Some(own) = &beside.schema else { return TableName::bare(text) };
        match part(text) {
            (schema, Some(rest)) => TableName::new(schema, part_alone(rest)),
            (name, None) => TableName::new(own, name),
        }
    }

    /// The name as SQL, each part in double quotes.
    pub fn sql(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.name)),
            None => quote(&self.name),
        }
    }
}

/// The label of a table in the ledger, metrics and output: schema-qualified where the schema is not
/// `public`. No two tables share a label: a part that holds a dot or a quote is quoted.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = self.schema.as_deref().filter(|s| *s != "public") {
            write!(f, "{}.", label(schema))?;
        }
        f.write_str(&label(&self.name))
    }
}

fn label(part: &str) -> String {
    if part.contains(['.', '"']) { quote(part) } else { part.to_string() }
}

/// The first part of a label, and what stands behind its dot.
fn part(text: &str) -> (String, Option<&str>) {
    let plain = || match text.split_once('.') {
        Some((first, rest)) => (first.to_string(), Some(rest)),
        None => (text.to_string(), None),
    };
    let Some(inner) = text.strip_prefix('"') else { return plain() };
    let mut at = 0;
    while let Some(end) = inner[at..].find('"') {
        let after = &inner[at + end + 1..];
        if after.starts_with('"') {
            at += end + 2;
            continue;
        }
        let name = inner[..at + end].replace("\"\"", "\"");
        return match after.strip_prefix('.') {
            Some(rest) => (name, Some(rest)),
            None if after.is_empty() => (name, None),
            None => plain(),
        };
    }
    plain()
}

/// The last part of a label: a dot in it needs no quotes.
fn part_alone(text: &str) -> String {
    match part(text) {
        (name, None) => name,
        (_, Some(_)) => text.to_string(),
    }
}

/// An identifier in the standard's double quotes (PostgreSQL, SQLite).
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_back() {
        let beside = TableName::new("public", "t");
        for name in [
            TableName::new("public", "orders"),
            TableName::new("public", "a.b"),
            TableName::new("app.v1", "Order Items"),
            TableName::new("app", "say \"x\".y"),
            TableName::new("a\"b", "t"),
        ] {
            assert_eq!(TableName::read(&name.to_string(), &beside), name, "{name}");
        }
        assert_eq!(TableName::read("app.a.b", &beside), TableName::new("app", "a.b"));
        assert_eq!(TableName::read("t", &TableName::new("app", "x")), TableName::new("app", "t"));
        assert_eq!(TableName::read("a.b", &TableName::bare("x")), TableName::bare("a.b"));
    }

    #[test]
    fn labels_are_unique_and_short() {
        assert_eq!(TableName::new("public", "orders").to_string(), "orders");
        assert_eq!(TableName::new("app", "orders").to_string(), "app.orders");
        assert_eq!(TableName::new("public", "app.orders").to_string(), "\"app.orders\"");
        assert_eq!(TableName::new("a\"b", "c").sql(), "\"a\"\"b\".\"c\"");
    }
}
