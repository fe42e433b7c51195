//! The names of capture's objects on a source.

use sha2::{Digest, Sha256};

use super::value::{literal, quote};

/// The longest name that the servers take, in characters.
const LONGEST: usize = 64;

/// The names of one migration's objects for one of the server's databases.
///
/// Logs and fence stand in a database of their own, which all captured databases of the server share;
/// triggers stand beside their tables.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// Capture's own database, and what the names of triggers begin with.
    pub(super) capture: String,
    /// Production's database.
    pub(super) database: String,
}

impl Names {
    /// A table of capture's own database, as SQL.
    pub(super) fn own(&self, table: &str) -> String {
        format!("{}.{}", quote(&self.capture), quote(table))
    }

    /// The name of a table's change log in capture's own database.
    pub(super) fn log_name(&self, table: &str) -> String {
        let name = format!("{}.{table}", self.database);
        // With further dots two tables could come to the same name.
        if self.database.contains('.') || table.contains('.') {
            return hashed(&name, &format!("{}\0{table}", self.database));
        }
        shortened(&name)
    }

    /// A table's change log, as SQL.
    pub(super) fn log(&self, table: &str) -> String {
        self.own(&self.log_name(table))
    }

    /// A table of production's, as SQL.
    pub(super) fn table(&self, table: &str) -> String {
        format!("{}.{}", quote(&self.database), quote(table))
    }

    /// The name of a trigger of `kind` on a table.
    pub(super) fn trigger_name(&self, kind: &str, table: &str) -> String {
        shortened(&format!("{}_{kind}_{table}", self.capture))
    }

    /// The name of the table in capture's own database that the fence is proved on.
    pub(super) fn canary_name(&self) -> String {
        format!("canary_{}", hex::encode(&Sha256::digest(&self.database)[..8]))
    }

    /// Production's database as a literal: the key of its rows in capture's own tables.
    pub(super) fn database_literal(&self) -> String {
        literal(&self.database)
    }
}

/// The name, if the servers take it, else as much as they take of it and a hash of the whole.
fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST { name.to_string() } else { hashed(name, name) }
}

fn hashed(name: &str, whole: &str) -> String {
    let digest = hex::encode(&Sha256::digest(whole)[..5]);
    let kept: String = name.chars().take(LONGEST - 1 - digest.len()).collect();
    format!("{kept}_{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_stay_apart() {
        let names = Names { capture: "highwater_capture".into(), database: "identity".into() };
        assert_eq!(names.log("um_user"), "`highwater_capture`.`identity.um_user`");
        let (one, other) = ("x".repeat(63) + "a", "x".repeat(63) + "b");
        assert!(names.log_name(&one).chars().count() <= LONGEST);
        assert_ne!(names.log_name(&one), names.log_name(&other));
        assert!(names.trigger_name("insert", &one).chars().count() <= LONGEST);
        assert_ne!(names.trigger_name("insert", &one), names.trigger_name("insert", &other));
        let dotted = |database: &str, table: &str| {
            Names { capture: "c".into(), database: database.into() }.log_name(table)
        };
        assert_ne!(dotted("a.b", "c"), dotted("a", "b.c"));
    }
}
