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

/// An identifier in the standard's double quotes (PostgreSQL, SQLite).
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_short() {
        assert_eq!(TableName::new("public", "orders").to_string(), "orders");
        assert_eq!(TableName::new("app", "orders").to_string(), "app.orders");
        assert_eq!(TableName::new("public", "app.orders").to_string(), "\"app.orders\"");
        assert_eq!(TableName::new("a\"b", "c").sql(), "\"a\"\"b\".\"c\"");
    }
}
