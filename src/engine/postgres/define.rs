//! Runs one definition of the schema on the target.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::connect::classify;
use super::selection::user_path;
use super::sqlstate;
use super::target::Shared;
use crate::engine::Definition;
use crate::error::{Error, Result};
use crate::model::Finding;

/// Runs the definition in a transaction of its own. What is there already is done. A foreign key that
/// existing rows break is made without checking them; the text says so.
pub(super) async fn define(shared: &Shared, definition: &Definition) -> Result<Option<String>> {
    let place = match &definition.table {
        Some(table) => format!("{}, table {table}", shared.place),
        None => shared.place.clone(),
    };
    let mut connection = shared.acquire().await?;
    let Err(error) = attempt(&mut connection, &definition.sql).await else { return Ok(None) };
    match sqlstate::code(&error).as_deref() {
        Some(code) if is_there_already(code) => Ok(None),
        Some("23503") => {
            let said = error.to_string();
            let unchecked = format!("{} NOT VALID", definition.sql.trim_end().trim_end_matches(';'));
            attempt(&mut connection, &unchecked).await.map_err(|e| explain(e, &place, definition))?;
            Ok(Some(format!(
                "made without checking existing rows, which break it ({said}); mend them, then VALIDATE \
                 CONSTRAINT: {}",
                one_line(&definition.sql)
            )))
        }
        _ => Err(explain(error, &place, definition)),
    }
}

/// Runs the definitions in one transaction that is rolled back, up to the first that fails: what comes after may
/// fail for want of it. Extensions are tried one by one.
pub(super) async fn attempt_all(shared: &Shared, definitions: &[Definition]) -> Result<Vec<Finding>> {
    let failed = |e| classify(e, &shared.place);
    let mut connection = shared.acquire().await?;
    let mut transaction = connection.begin().await.map_err(failed)?;
    let settings = format!("{}; SET LOCAL lock_timeout = '2s'", in_force());
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut *transaction).await.map_err(failed)?;
    let mut found = Vec::new();
    for definition in definitions {
        let mut part = transaction.begin().await.map_err(failed)?;
        let sql = AssertSqlSafe(definition.sql.clone());
        let Err(error) = sqlx::raw_sql(sql).execute(&mut *part).await else {
            part.commit().await.map_err(failed)?;
            continue;
        };
        part.rollback().await.map_err(failed)?;
        match sqlstate::code(&error).as_deref() {
            Some(code) if is_there_already(code) => {}
            // Not about the definition: a lock that another session holds, a lost connection.
            None | Some("55P03" | "57014") => break,
            Some(_) => {
                found.push(refusal(&explain(error, &shared.place, definition)));
                if !definition.sql.starts_with("CREATE EXTENSION") {
                    break;
                }
            }
        }
    }
    transaction.rollback().await.map_err(failed)?;
    Ok(found)
}

fn refusal(error: &Error) -> Finding {
    Finding::general(
        error.summary(),
        "install what is missing on the target's server or grant the right, or make the tables there yourself \
         (copy.schema = \"expect\")",
    )
}

/// Relation, schema, function, other object, column, and "multiple primary keys".
fn is_there_already(code: &str) -> bool {
    matches!(code, "42P07" | "42P06" | "42723" | "42710" | "42701" | "42P16")
}

/// The settings that definitions are run under.
fn in_force() -> String {
    format!("SET LOCAL check_function_bodies = off; {}", user_path("pg_catalog"))
}

async fn attempt(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    let sql = sql.trim_end().trim_end_matches(';');
    let all = format!("BEGIN; {}; {sql}\n; COMMIT", in_force());
    let Err(error) = sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut *connection).await else { return Ok(()) };
    sqlx::raw_sql("ROLLBACK").execute(connection).await?;
    Err(error)
}

fn explain(error: sqlx::Error, place: &str, definition: &Definition) -> Error {
    classify(error, place).at(format!("`{}` failed", one_line(&definition.sql)))
}

fn one_line(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{} ..", &line[..end]),
        None => line,
    }
}
