//! What an error of MySQL, of MariaDB or of the connection means: the one table of error numbers.

use sqlx::mysql::MySqlDatabaseError;

use crate::engine::transport;
use crate::error::{Error, Kind};

/// The error of a statement, at `place` ("source mysql://prod/identity").
pub(super) fn classify(error: sqlx::Error, place: &str) -> Error {
    match error {
        sqlx::Error::Database(e) => match e.try_downcast_ref::<MySqlDatabaseError>() {
            Some(e) => of_server(e, place),
            None => Error::failed(format!("{place}: {e}")),
        },
        // The client has no RSA, by which caching_sha2_password keeps a password from being read.
        sqlx::Error::Configuration(e) if e.to_string().contains("RSA") => {
            Error::refused(format!("{place}: this user's password is not sent without TLS"))
                .remedy("use TLS: leave ssl-mode out of the URL, or write ssl-mode=required")
        }
        other => transport::classify(other, place, "ssl-mode and ssl-ca"),
    }
}

/// The server's number of an error, if the server sent it.
pub(super) fn code(error: &sqlx::Error) -> Option<u16> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Whether the server refused the password.
pub(super) fn is_wrong_password(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(1045 | 1698))
}

/// Whether a statement named a database or table that does not exist.
pub(super) fn is_missing(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(1049 | 1146 | 1932))
}

/// Whether a statement made what is there already.
pub(super) fn exists_already(error: &sqlx::Error, sql: &str) -> bool {
    match code(error) {
        // Table, index, trigger, routine, event, foreign key.
        Some(1050 | 1061 | 1304 | 1359 | 1537 | 1826) => true,
        // A duplicate row elsewhere; here the name of a foreign key.
        Some(1005 | 1022) => {
            sql.to_uppercase().contains("FOREIGN KEY")
                && error.to_string().to_lowercase().contains("duplicate key")
        }
        _ => false,
    }
}

/// Whether a privilege is missing.
pub(super) fn is_denied(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(1044 | 1045 | 1142 | 1143 | 1227))
}

/// Whether a list of sessions can't be shown at this moment: MySQL's fail as long as one of them runs a
/// statement with characters that utf8mb3 lacks, such as raw bytes.
pub(super) fn is_garbled(error: &sqlx::Error) -> bool {
    code(error) == Some(3854)
}

/// Whether a statement was ended by KILL QUERY or a timeout, or waited for a lock in vain.
pub(super) fn is_interrupted(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(1205 | 1317 | 1969 | 3024 | 3572))
}

fn of_server(error: &MySqlDatabaseError, place: &str) -> Error {
    let state = error.code().unwrap_or_default();
    let (kind, remedy) = meaning(error.number(), state);
    let made = Error::new(kind, format!("{place}: {} [error {}]", error.message(), error.number()));
    match remedy {
        Some(remedy) => made.remedy(remedy),
        None => made,
    }
}

/// What an error number means and what can be done.
fn meaning(number: u16, state: &str) -> (Kind, Option<&'static str>) {
    match number {
        1045 | 1698 => (
            Kind::Refused,
            Some(
                "check user and password of the URL, its password file or command, and from which hosts the user may come",
            ),
        ),
        1251 | 2059 => (
            Kind::Refused,
            Some(
                "the user's authentication plugin is not supported: use caching_sha2_password (with TLS), mysql_native_password or a socket",
            ),
        ),
        // The account is locked; its password has expired; its host may not come, or came too often.
        1129 | 1130 | 1820 | 1862 | 3118 | 3955 | 4151 => (
            Kind::Refused,
            Some("let the user of the URL in: unlock it, renew its password, or admit this host"),
        ),
        1044 | 1142 | 1143 | 1227 | 1370 | 1410 => {
            (Kind::Table, Some("grant the privilege; `highwater plan` lists what is needed"))
        }
        1419 => {
            (Kind::Refused, Some("SET GLOBAL log_bin_trust_function_creators = 1, as binary logging is on"))
        }
        1049 => (Kind::Refused, Some("check the database's name in the URL, or create the database")),
        // Gone, starting, shutting down, too many connections, out of resources, disk full.
        1040 | 1203 | 1226 => (
            Kind::Unavailable,
            Some("raise max_connections or the user's limit, or lower the number of copy jobs"),
        ),
        1053 | 1077 | 1078 | 1079 | 1152 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 => {
            (Kind::Unavailable, Some("wait for the server to be up"))
        }
        1021 | 1026 | 1030 | 1114 | 1041 | 1037 | 1038 | 3 | 28 => {
            (Kind::Unavailable, Some("make room on the server's disk or in its memory; it is tried again"))
        }
        // Locks, deadlocks, KILL, timeouts, a table whose definition has just changed.
        1020 | 1205 | 1213 | 1317 | 1969 | 3024 | 3572 => (
            Kind::Unavailable,
            Some("another session holds a lock, or ended the statement; it is tried again"),
        ),
        // MySQL's lists of sessions fail as long as one of them runs a statement with such characters.
        3854 => (Kind::Unavailable, None),
        1412 | 1615 => (Kind::Unavailable, None),
        1290 | 1836 => (Kind::Unavailable, Some("the server is read-only")),
        1792 => (Kind::Table, Some("transactions are read-only: SET GLOBAL transaction_read_only = OFF")),
        1665 => (
            Kind::Table,
            Some("SET GLOBAL binlog_format = 'ROW', as the statement can't be logged otherwise"),
        ),
        3750 => {
            (Kind::Table, Some("give the table a primary key, or SET GLOBAL sql_require_primary_key = OFF"))
        }
        1146 | 1932 => (Kind::Table, Some("it was dropped or renamed; `highwater plan` shows both sides")),
        1054 | 1091 | 1072 | 1176 => {
            (Kind::Table, Some("the table was altered; `highwater plan` shows both sides"))
        }
        // NULL, duplicates, foreign keys, ranges, lengths, wrong values, checks, packets.
        1048 | 1062 | 1169 | 1586 | 1022 | 1216 | 1217 | 1451 | 1452 | 1761 | 1762 => (Kind::Data, None),
        // 3988: a character that the column's set lacks, in an argument.
        3988 | 1264 | 1265 | 1292 | 1364 | 1365 | 1366 | 1367 | 1406 | 1411 | 1416 | 1441 | 1525 | 1526
        | 1690 | 1748 => (Kind::Data, None),
        3140 | 3141 | 3156 | 3157 | 3819 | 3820 | 4025 | 4078 | 4079 | 1118 | 1153 | 1301 => {
            (Kind::Data, None)
        }
        3643 | 3664 | 3668 | 3732 | 3733 | 3616 | 3617 | 1906 | 1977 | 3105 => (Kind::Data, None),
        _ => (by_state(state), None),
    }
}

fn by_state(state: &str) -> Kind {
    match state.get(..2).unwrap_or_default() {
        "08" | "40" => Kind::Unavailable,
        "21" | "22" | "23" | "44" | "45" => Kind::Data,
        _ => Kind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Policy;

    #[test]
    fn an_unknown_error_stops_a_table_and_is_tried_again_of_a_connection() {
        for (number, state) in [(1064, "42000"), (1291, "HY000"), (9999, "HY000")] {
            let error = Error::new(meaning(number, state).0, "");
            assert_eq!(error.policy(), Policy::StopTable, "{number}");
            assert_eq!(error.of_connection().policy(), Policy::Retry, "{number}");
        }
    }

    #[test]
    fn a_row_is_told_from_a_server_and_a_table() {
        assert_eq!(meaning(1062, "23000").0, Kind::Data);
        assert_eq!(meaning(9998, "22007").0, Kind::Data);
        assert_eq!(meaning(1213, "40001").0, Kind::Unavailable);
        assert_eq!(meaning(1146, "42S02").0, Kind::Table);
        assert_eq!(meaning(1045, "28000").0, Kind::Refused);
    }
}
