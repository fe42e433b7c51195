//! The names of capture's objects on a source.

use sha2::{Digest, Sha256};

use super::connect::Flavour;
use super::value::{literal, quote};
use crate::engine::template::fill;

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
    /// Which server it is: the fence is lowered by a row of MySQL, by a sequence of MariaDB.
    pub(super) flavour: Flavour,
}

/// Where a query reads which attempts of the fence are lowered, as the only row of `l`.
pub(super) struct Lowered {
    /// Every attempt below this is lowered.
    pub(super) stamp: &'static str,
    /// The table or sequence, with its alias.
    pub(super) from: String,
    /// The condition for the row of this database.
    pub(super) only: String,
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

    /// The name of the table in capture's own database that DDL of the fence is tried on.
    pub(super) fn canary_name(&self) -> String {
        format!("canary_{}", self.tag())
    }

    /// The name of the table that notes writes whose log was gone.
    pub(super) fn missed_name(&self) -> String {
        format!("missed_{}", self.tag())
    }

    /// The statement that notes such a write.
    pub(super) fn note_missed(&self, table: &str) -> String {
        format!(
            "INSERT INTO {} (log, missed_at) VALUES ({}, UTC_TIMESTAMP(6));",
            self.own(&self.missed_name()),
            literal(&self.log_name(table))
        )
    }

    /// The statement by which a trigger takes a writer's `insert_id` away before it writes to a log: the first
    /// INSERT into a table with AUTO_INCREMENT takes that number. This one keeps no row, as its slot is taken. The
    /// table is one that the triggers name anyway, so a writer opens no further one for it.
    pub(super) fn discard_insert_id(&self) -> String {
        let pairs = [("missed", &*self.own(&self.missed_name()))];
        fill(include_str!("../../../sql/mysql/capture_insert_id.sql"), &pairs)
    }

    /// The sequence of MariaDB by which the fence is lowered, as SQL.
    pub(super) fn lowered_sequence(&self) -> String {
        self.own(&format!("lowered_{}", self.tag()))
    }

    /// Where it is read which attempts are lowered.
    pub(super) fn lowered(&self) -> Lowered {
        match self.flavour {
            Flavour::Mysql => Lowered {
                stamp: "l.stamp",
                from: format!("{} AS l", self.own("lowered")),
                only: format!("l.database_name = {}", self.database_literal()),
            },
            Flavour::Mariadb => Lowered {
                stamp: "l.next_not_cached_value",
                from: format!("{} AS l", self.lowered_sequence()),
                only: "TRUE".to_string(),
            },
        }
    }

    /// The name of the fence's trigger of an attempt on a table of capture's own.
    pub(super) fn fence_name(&self, attempt: &str, table: &str) -> String {
        format!("fence_{attempt}_{}_{}", self.tag(), hex::encode(&Sha256::digest(table)[..6]))
    }

    /// The attempt of a trigger of the fence by its name; nothing for other triggers and other databases'.
    pub(super) fn attempt_of(&self, trigger: &str) -> Option<i64> {
        let (attempt, rest) = trigger.strip_prefix("fence_")?.split_once('_')?;
        rest.starts_with(&format!("{}_", self.tag())).then(|| attempt.parse().ok()).flatten()
    }

    /// Tells the captured databases of a server apart in names.
    fn tag(&self) -> String {
        hex::encode(&Sha256::digest(&self.database)[..8])
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

    fn of(capture: &str, database: &str) -> Names {
        Names { capture: capture.into(), database: database.into(), flavour: Flavour::Mysql }
    }

    #[test]
    fn an_attempt_is_read_from_the_name_of_its_trigger() {
        let (one, other) = (of("c", "identity"), of("c", "apim"));
        let name = one.fence_name(&i64::MAX.to_string(), &one.log_name("um_user"));
        assert!(name.len() <= LONGEST, "{name}");
        assert_eq!((one.attempt_of(&name), other.attempt_of(&name)), (Some(i64::MAX), None));
        assert_eq!(one.attempt_of(&one.fence_name("try", "canary")), None);
    }

    #[test]
    fn names_fit_and_stay_apart() {
        let names = of("highwater_capture", "identity");
        assert_eq!(names.log("um_user"), "`highwater_capture`.`identity.um_user`");
        let (one, other) = ("x".repeat(63) + "a", "x".repeat(63) + "b");
        assert!(names.log_name(&one).chars().count() <= LONGEST);
        assert_ne!(names.log_name(&one), names.log_name(&other));
        assert!(names.trigger_name("insert", &one).chars().count() <= LONGEST);
        assert_ne!(names.trigger_name("insert", &one), names.trigger_name("insert", &other));
        let dotted = |database: &str, table: &str| of("c", database).log_name(table);
        assert_ne!(dotted("a.b", "c"), dotted("a", "b.c"));
    }
}
