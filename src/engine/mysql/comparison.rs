//! How a unique index compares the values of a column, where SQL's operators do not in every session.
//!
//! Identity is what the key's index takes for equal, and a changed key is what it takes for another one. For most
//! types `<=>` says just that, by the column's own collation. Two are not like that:
//!
//! - A TIMESTAMP is kept in UTC, and everything in SQL sees it in the session's time zone. When clocks go back
//!   one hour comes twice: two keys are the same time. Triggers run in the writer's time zone, and on MySQL
//!   even `INSERT .. (OLD.k)` into another TIMESTAMP, or a look-up by an index, goes by way of it and ends in the
//!   first of the two hours. UNIX_TIMESTAMP alone gives what is kept. So a change log has DATETIME columns in
//!   UTC, which is the time zone of all of highwater's own sessions.
//! - An ENUM or a SET is kept as a number, and compares as its label. Number 0 (what an invalid label became)
//!   has the same label as a member that is the empty text.

use super::types::Kind;

/// How the values of a column compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// As the operators have it.
    Plain,
    /// TIMESTAMP.
    InUtc,
    /// ENUM and SET.
    ByNumber,
}

impl Comparison {
    /// Of the values of that type.
    pub(super) fn of(type_name: &str) -> Self {
        if type_name.starts_with("timestamp") {
            return Comparison::InUtc;
        }
        Comparison::of_kind(&Kind::of(type_name))
    }

    /// Of values of that kind, in a session in UTC.
    pub(super) fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::Enum(_) | Kind::Set(_) => Comparison::ByNumber,
            _ => Comparison::Plain,
        }
    }

    /// What the index compares, in every session.
    fn compared(self, column: &str) -> String {
        match self {
            Comparison::Plain => column.to_string(),
            Comparison::InUtc => format!("UNIX_TIMESTAMP({column})"),
            // Adding 0 would round the number of a SET with 64 members.
            Comparison::ByNumber => format!("CAST({column} AS UNSIGNED)"),
        }
    }

    /// That the index takes one for another value than the other.
    pub(super) fn differs(self, one: &str, other: &str) -> String {
        format!("NOT ({} <=> {})", self.compared(one), self.compared(other))
    }

    /// That a column is the one of a trigger's row.
    pub(super) fn is_of_row(self, column: &str, row: &str) -> String {
        match self {
            // Labels that differ have numbers that differ: too many rows at most.
            Comparison::Plain | Comparison::ByNumber => format!("{column} = {row}"),
            Comparison::InUtc => format!("{} = {}", self.compared(column), self.compared(row)),
        }
    }

    /// That columns of two tables are the same, in a session in UTC.
    pub(super) fn same(self, one: &str, other: &str) -> String {
        match self {
            Comparison::Plain | Comparison::InUtc => format!("{one} = {other}"),
            // The first is what an index is used for.
            Comparison::ByNumber => {
                format!("{one} = {other} AND {} = {}", self.compared(one), self.compared(other))
            }
        }
    }

    /// The type that a column of `type_name` has in a change log.
    pub(super) fn logged_type(self, type_name: &str) -> String {
        match self {
            Comparison::Plain | Comparison::ByNumber => type_name.to_string(),
            Comparison::InUtc => type_name.replacen("timestamp", "datetime", 1),
        }
    }

    /// What a trigger logs of a column.
    pub(super) fn logged(self, column: &str) -> String {
        match self {
            Comparison::Plain | Comparison::ByNumber => column.to_string(),
            Comparison::InUtc => {
                let kept = self.compared(column);
                format!(
                    "IF({kept} > 0, TIMESTAMP'1970-01-01 00:00:00' + INTERVAL {kept} SECOND, '0000-00-00 00:00:00')"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_compare_otherwise_than_they_are_kept() {
        assert_eq!(Comparison::of("timestamp(3)"), Comparison::InUtc);
        assert_eq!(Comparison::InUtc.logged_type("timestamp(3)"), "datetime(3)");
        assert_eq!(Comparison::of("set('a') CHARACTER SET latin1 COLLATE latin1_bin"), Comparison::ByNumber);
        for plain in ["datetime(6)", "time", "varchar(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "double"]
        {
            assert_eq!(Comparison::of(plain), Comparison::Plain, "{plain}");
        }
    }
}
