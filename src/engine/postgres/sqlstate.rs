//! What an error of PostgreSQL or of the connection to it means: the one table of SQLSTATEs.

use sqlx::postgres::PgDatabaseError;

use crate::engine::transport;
use crate::error::{Error, Kind};

/// The error of a statement, at `place` ("source postgres://prod/identity").
pub(super) fn classify(error: sqlx::Error, place: &str) -> Error {
    match error {
        sqlx::Error::Database(e) => match e.try_downcast_ref::<PgDatabaseError>() {
            Some(e) => of_server(e, place),
            None => Error::failed(format!("{place}: {e}")),
        },
        other => transport::classify(other, place, "sslmode and sslrootcert"),
    }
}

/// The SQLSTATE of an error, if the server sent it.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

fn of_server(error: &PgDatabaseError, place: &str) -> Error {
    let meaning = meaning(error.code(), error.message());
    let made = Error::new(meaning.0, format!("{place}: {}", describe(error)));
    match meaning.1.or(error.hint()) {
        Some(remedy) => made.remedy(remedy),
        None => made,
    }
}

fn describe(error: &PgDatabaseError) -> String {
    let mut text = error.message().to_string();
    if let Some(detail) = error.detail() {
        text.push_str(&format!(" ({detail})"));
    }
    text.push_str(&format!(" [SQLSTATE {}]", error.code()));
    text
}

/// What a SQLSTATE means and what can be done, where the server's own hint would not say it.
fn meaning(code: &str, message: &str) -> (Kind, Option<&'static str>) {
    match code {
        "28P01" | "28000" => (
            Kind::Refused,
            Some(
                "check user and password of the URL, its password file or command, and the server's pg_hba.conf",
            ),
        ),
        "3D000" => (Kind::Refused, Some("check the database's name in the URL, or create the database")),
        "57P04" => (Kind::Refused, Some("the database was dropped; check the URL")),
        "57P01" | "57P02" | "57P03" | "57P05" => (Kind::Unavailable, Some("wait for the server to be up")),
        "57014" => (Kind::Unavailable, Some("somebody or a timeout cancelled the statement")),
        "53100" => (Kind::Unavailable, Some("make room on the server's disk")),
        "53200" => (Kind::Unavailable, Some("the server is out of memory")),
        "53300" => (
            Kind::Unavailable,
            Some("raise max_connections or the role's connection limit, or lower the number of copy jobs"),
        ),
        "53400" => (Kind::Unavailable, Some("a limit of the server's configuration was reached")),
        "55P03" | "55006" => (Kind::Unavailable, Some("another session holds a lock on the object")),
        "25006" => {
            (Kind::Unavailable, Some("the server is read-only: a standby, or default_transaction_read_only"))
        }
        "25P03" | "25P04" | "58030" => (Kind::Unavailable, None),
        "42501" => (Kind::Table, Some("grant the privilege; `highwater plan` lists what is needed")),
        "42P01" | "3F000" => {
            (Kind::Table, Some("it was dropped or renamed; `highwater plan` shows both sides"))
        }
        "42703" | "42704" | "42883" | "42804" | "42809" | "42846" | "428C9" => {
            (Kind::Table, Some("the table was altered; `highwater plan` shows both sides"))
        }
        "0A000" if message.contains("cached plan") => (Kind::Unavailable, None),
        // A statement that the server forgot, or knows from another client: the session was exchanged.
        "26000" | "42P05" => (Kind::Unavailable, Some("is a transaction pooler in between?")),
        "72000" => (Kind::Unavailable, Some("old_snapshot_threshold is shorter than a read takes")),
        "XX001" | "XX002" => (
            Kind::Failed,
            Some(
                "the server found damaged data: see its log, and check the table and its indexes with pg_amcheck",
            ),
        ),
        _ => (by_class(code.get(..2).unwrap_or_default()), None),
    }
}

fn by_class(class: &str) -> Kind {
    match class {
        // Connection; transaction rollback (serialization, deadlock); resources; operator; system.
        "08" | "40" | "53" | "57" => Kind::Unavailable,
        // Cardinality, data, constraint, triggered change, check option, limits, routines and RAISE.
        "21" | "22" | "23" | "27" | "44" | "54" | "P0" | "38" | "39" => Kind::Data,
        _ => Kind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Policy;

    #[test]
    fn an_unknown_state_stops_a_table_and_is_tried_again_of_a_connection() {
        for code in ["XX000", "0A000", "42601", "42622", "42725", "55000", ""] {
            let error = Error::new(meaning(code, "").0, "");
            assert_eq!(error.policy(), Policy::StopTable, "{code}");
            assert_eq!(error.of_connection().policy(), Policy::Retry, "{code}");
        }
    }

    #[test]
    fn a_row_is_told_from_a_server_and_a_table() {
        assert_eq!(meaning("23505", "").0, Kind::Data);
        assert_eq!(meaning("22P02", "").0, Kind::Data);
        assert_eq!(meaning("54000", "").0, Kind::Data);
        assert_eq!(meaning("40P01", "").0, Kind::Unavailable);
        assert_eq!(meaning("53100", "").0, Kind::Unavailable);
        assert_eq!(meaning("42P01", "").0, Kind::Table);
        assert_eq!(meaning("28P01", "").0, Kind::Refused);
    }
}
