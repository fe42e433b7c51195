//! Whether a target can take what a plan sends it: privileges, what fires, what is hidden.

use std::collections::BTreeSet;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::catalog::key_columns;
use super::connect::{Side, classify};
use super::selection::{ROLE_PATH, path_note};
use super::target::{Shared, begin};
use crate::engine::{CaptureHere, Survey};
use crate::error::{Policy, Result};
use crate::model::{Finding, Plan, Schema, Strategy, TableName, TablePlan};

/// Blockers and warnings of the target.
pub(super) async fn survey(
    shared: &Shared,
    schema: &Schema,
    plan: &Plan,
    capture: CaptureHere,
) -> Result<Survey> {
    let failed = |e| classify(e, &shared.place);
    let mut survey = Survey::default();
    let mut connection = shared.acquire().await?;
    let whole = sqlx::query(include_str!("../../../sql/postgres/readiness.sql"))
        .bind(&shared.ledger_schema)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    of_server(&mut survey, shared, &whole).map_err(failed)?;
    if let Some(names) = whole.try_get::<Option<String>, _>("event_triggers").map_err(failed)? {
        survey.blockers.extend(refusal(shared, &mut connection, &names).await?);
    }
    let path: String = sqlx::query_scalar(ROLE_PATH).fetch_one(&mut *connection).await.map_err(failed)?;
    survey.notes.push(path_note(&shared.place, &path));
    of_capture(&mut survey, shared, capture);
    let there = targets(plan, schema);
    let names: Vec<String> = there.iter().map(|(_, target)| target.sql()).collect();
    let rows = sqlx::query(include_str!("../../../sql/postgres/readiness_tables.sql"))
        .bind(names)
        .bind(shared.silenced)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    for row in &rows {
        let place: i64 = row.try_get("place").map_err(failed)?;
        let Some((table, target)) = usize::try_from(place - 1).ok().and_then(|n| there.get(n)) else {
            continue;
        };
        of_table(&mut survey, shared, (table, target), row).map_err(failed)?;
        if *target == &table.target {
            of_key(&mut survey, &mut connection, table).await.map_err(failed)?;
        }
    }
    of_sequences(&mut survey, shared, &mut connection).await.map_err(failed)?;
    of_missing_tables(&mut survey, shared, plan, &mut connection).await.map_err(failed)?;
    Ok(survey)
}

/// The target tables that are there, each with the plan that writes it: a table's own, then further ones.
fn targets<'a>(plan: &'a Plan, schema: &Schema) -> Vec<(&'a TablePlan, &'a TableName)> {
    let own = plan.tables.iter().filter(|t| !t.create).map(|t| (t, &t.target));
    let further = plan.tables.iter().flat_map(|t| t.rule.into.iter().map(move |into| (t, &into.target)));
    own.chain(further).filter(|(_, target)| schema.table(target).is_some()).collect()
}

fn of_server(survey: &mut Survey, shared: &Shared, row: &PgRow) -> Result<(), sqlx::Error> {
    let Shared { place, user, .. } = shared;
    let database: String = row.try_get("database")?;
    let mut block = |what: String, remedy: String| survey.blockers.push(Finding::general(what, remedy));
    if row.try_get("standby")? {
        block(format!("{place} is a standby: it can't be written"), "name the primary as target".into());
    } else if row.try_get("read_only")? {
        block(
            format!("{place} is read-only"),
            format!("ALTER DATABASE {database} SET default_transaction_read_only = off; (or for the role)"),
        );
    }
    let version: i32 = row.try_get("version")?;
    if version < 130_000 {
        block(format!("{place} is older than PostgreSQL 13"), "use PostgreSQL 13 or later".into());
    }
    if !row.try_get::<bool, _>("may_create")? && !row.try_get::<bool, _>("has_ledger_schema")? {
        block(
            format!("{place}: no right to make the ledger's schema"),
            format!("GRANT CREATE ON DATABASE {database} TO {user};"),
        );
    }
    if !row.try_get::<bool, _>("may_temporary")? {
        block(
            format!("{place}: no right to make temporary tables, where batches are staged"),
            format!("GRANT TEMPORARY ON DATABASE {database} TO {user};"),
        );
    }
    let mut warn = |what: String, remedy: String| survey.warnings.push(Finding::general(what, remedy));
    let encoding: String = row.try_get("encoding")?;
    if encoding != "UTF8" {
        warn(
            format!("{place} has the encoding {encoding}: text that it can't hold stops its table"),
            "create the target database with ENCODING 'UTF8', or make sure that the source has the same encoding"
                .into(),
        );
    }
    if row.try_get::<Option<bool>, _>("collation_changed")?.unwrap_or_default() {
        warn(
            format!(
                "{place}: the operating system's collation changed since the database was made; text is ordered differently and indexes may be wrong"
            ),
            format!("REINDEX DATABASE {database}; ALTER DATABASE {database} REFRESH COLLATION VERSION;"),
        );
    }
    if !shared.silenced {
        warn(
            format!(
                "{place}: triggers and foreign keys can't be silenced: triggers run for every row a second time, \
                 foreign keys are checked (tables wait for those that they refer to), and rows that swap a unique \
                 value stay parked"
            ),
            if version >= 150_000 {
                format!("GRANT SET ON PARAMETER session_replication_role TO {user};")
            } else {
                "connect as a superuser".into()
            },
        );
    }
    Ok(())
}

/// Whether event triggers refuse the temporary tables that batches are staged in.
async fn refusal(shared: &Shared, connection: &mut PgConnection, names: &str) -> Result<Option<Finding>> {
    let begin = begin(&shared.migration, shared.silenced);
    let sql = format!("{begin}; CREATE TEMP TABLE hw_tried (one integer); ROLLBACK");
    let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await else {
        return Ok(None);
    };
    sqlx::raw_sql("ROLLBACK").execute(connection).await.map_err(|e| classify(e, &shared.place))?;
    let error = classify(error, &shared.place);
    if error.policy() == Policy::Retry {
        return Err(error);
    }
    let silence = if shared.silenced {
        "let temporary tables pass there".to_string()
    } else {
        format!(
            "GRANT SET ON PARAMETER session_replication_role TO {}, as they do not fire then, or let temporary tables pass \
             there",
            shared.user
        )
    };
    Ok(Some(Finding::general(
        format!("temporary tables are refused, event triggers fire on DDL ({names}): {}", error.summary()),
        silence,
    )))
}

fn of_capture(survey: &mut Survey, shared: &Shared, capture: CaptureHere) {
    let Shared { place, capture_schema, migration, .. } = shared;
    match capture {
        CaptureHere::None => {}
        CaptureHere::Foreign => survey.warnings.push(Finding::general(
            format!("{place} holds capture ({capture_schema}) that came with a dump of another database"),
            "nothing: it is removed before the copy",
        )),
        CaptureHere::Own => survey.blockers.push(Finding::general(
            format!("{place} is itself the source of the migration `{migration}`"),
            format!("check that {} and {} are not swapped in the settings", Side::Source, Side::Target),
        )),
    }
}

fn of_table(
    survey: &mut Survey,
    shared: &Shared,
    (table, name): (&TablePlan, &TableName),
    row: &PgRow,
) -> Result<(), sqlx::Error> {
    let target = name.sql();
    let mut block = |what: String, remedy: String| {
        survey.blockers.push(Finding::of(&table.source, format!("target {target} {what}"), remedy));
    };
    let kind: String = row.try_get("kind")?;
    if !matches!(kind.as_str(), "r" | "p") {
        block("is not a table of this database".into(), "name a table, or exclude this one".into());
    }
    let user = &shared.user;
    if !row.try_get::<bool, _>("may_use")? {
        let schema: String = row.try_get("schema")?;
        block(
            "lies in a schema that we may not use".into(),
            format!("GRANT USAGE ON SCHEMA {schema} TO {user};"),
        );
    }
    let missing = missing_rights(row)?;
    if !missing.is_empty() {
        block(format!("lacks the rights {missing}"), format!("GRANT {missing} ON {target} TO {user};"));
    }
    for (column, sequence) in closed_sequences(row)? {
        if !is_written(table, name, &column) {
            block(
                format!("gives new rows their {column} from {sequence}, which we may not use"),
                format!("GRANT SELECT, UPDATE ON SEQUENCE {sequence} TO {user};"),
            );
        }
    }
    if row.try_get("row_security")? {
        block(
            "hides rows from us by row-level security".into(),
            format!("ALTER ROLE {user} BYPASSRLS; or ALTER TABLE {target} DISABLE ROW LEVEL SECURITY;"),
        );
    }
    if row.try_get("unlogged")? {
        block(
            "is unlogged: a crash would empty it while the ledger says that it is filled".into(),
            format!("ALTER TABLE {target} SET LOGGED;"),
        );
    }
    let published = list(row, "published")?;
    if !published.is_empty() {
        block(
            format!(
                "has no primary key and is published ({published}): the server refuses updates and deletes"
            ),
            format!("ALTER TABLE {target} REPLICA IDENTITY FULL;"),
        );
    }
    let deferrable = list(row, "deferrable")?;
    if shared.silenced && !deferrable.is_empty() && name != &table.target {
        block(
            format!(
                "has deferrable constraints ({deferrable}), which the server leaves unchecked where triggers are silenced"
            ),
            "make them NOT DEFERRABLE".into(),
        );
    }
    let rules = list(row, "rules")?;
    if !rules.is_empty() {
        block(
            format!("has rules that rewrite writes: {rules}"),
            format!("ALTER TABLE {target} DISABLE RULE ..;"),
        );
    }
    let mut warn = |what: String, remedy: String| {
        survey.warnings.push(Finding::of(&table.source, format!("target {target} {what}"), remedy));
    };
    let always = list(row, "always")?;
    if !always.is_empty() {
        warn(
            format!("has triggers that fire on replay too (ENABLE ALWAYS or REPLICA): {always}"),
            format!("ALTER TABLE {target} ENABLE TRIGGER ..; makes them fire for the application only"),
        );
    }
    if !shared.silenced {
        let firing = list(row, "triggers")?;
        if !firing.is_empty() {
            warn(
                format!("has triggers that will run for every row: {firing}"),
                format!("ALTER TABLE {target} DISABLE TRIGGER ..; until cutover, or let us silence them"),
            );
        }
        let foreign_keys = list(row, "foreign_keys")?;
        if !foreign_keys.is_empty() {
            warn(
                format!("has foreign keys that will be checked: {foreign_keys}"),
                "rows wait parked for those that they refer to".into(),
            );
        }
    } else if !deferrable.is_empty() && name == &table.target {
        warn(
            format!(
                "has deferrable constraints ({deferrable}), which the server leaves unchecked where triggers are silenced: \
                 highwater checks them itself, and the copy goes row by key"
            ),
            "nothing, or make them NOT DEFERRABLE for a faster copy".into(),
        );
    }
    Ok(())
}

fn missing_rights(row: &PgRow) -> Result<String, sqlx::Error> {
    let mut missing = Vec::new();
    for (column, right) in [
        ("may_select", "SELECT"),
        ("may_insert", "INSERT"),
        ("may_update", "UPDATE"),
        ("may_delete", "DELETE"),
    ] {
        if !row.try_get::<bool, _>(column)? {
            missing.push(right);
        }
    }
    Ok(missing.join(", "))
}

/// The columns whose defaults take numbers from sequences that we may not use, with these.
fn closed_sequences(row: &PgRow) -> Result<Vec<(String, String)>, sqlx::Error> {
    let closed: Vec<String> = row.try_get("closed_sequences")?;
    Ok(closed.iter().filter_map(|line| line.split_once('\n')).map(|(c, s)| (c.into(), s.into())).collect())
}

/// Whether rows are written with a value for the column, so that its default is not asked.
fn is_written(table: &TablePlan, target: &TableName, column: &str) -> bool {
    if target == &table.target {
        return table.columns.iter().any(|c| c.target == column)
            || table.rule.lookups.iter().any(|l| l.target == column);
    }
    let into = table.rule.into.iter().find(|into| &into.target == target);
    into.is_some_and(|into| into.columns.iter().any(|c| c.name == column))
}

async fn of_key(
    survey: &mut Survey,
    connection: &mut PgConnection,
    table: &TablePlan,
) -> Result<(), sqlx::Error> {
    if table.strategy != Strategy::Keyed {
        return Ok(());
    }
    let names: Vec<String> = table.matched().map(|(pair, _)| pair.target.clone()).collect();
    let key = key_columns(connection, &table.target, &names).await?;
    if key.iter().any(|column| !column.indexed) {
        let target = table.target.sql();
        let columns: Vec<String> = names.iter().map(|name| crate::model::quote(name)).collect();
        let columns = columns.join(", ");
        survey.warnings.push(Finding::of(
            &table.source,
            format!(
                "target {target} has no unique index over the key ({columns}): every batch reads all of it"
            ),
            format!("CREATE UNIQUE INDEX ON {target} ({columns});"),
        ));
    }
    Ok(())
}

async fn of_sequences(
    survey: &mut Survey,
    shared: &Shared,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let names: Vec<String> =
        sqlx::query_scalar(include_str!("../../../sql/postgres/readiness_sequences.sql"))
            .bind(&shared.own_schemas)
            .fetch_all(connection)
            .await?;
    if !names.is_empty() {
        let names = names.join(", ");
        survey.warnings.push(Finding::general(
            format!("{}: no right to move the sequences {names}", shared.place),
            format!("GRANT SELECT, UPDATE ON SEQUENCE {names} TO {};", shared.user),
        ));
    }
    Ok(())
}

/// Whether the tables that are missing may be made.
async fn of_missing_tables(
    survey: &mut Survey,
    shared: &Shared,
    plan: &Plan,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let schemas: BTreeSet<String> =
        plan.tables.iter().filter(|t| t.create).filter_map(|t| t.target.schema.clone()).collect();
    let closed: Vec<String> = sqlx::query_scalar(
        "SELECT quote_ident(nspname) FROM pg_catalog.pg_namespace
          WHERE nspname = ANY ($1) AND NOT has_schema_privilege(oid, 'CREATE') ORDER BY 1",
    )
    .bind(Vec::from_iter(schemas))
    .fetch_all(connection)
    .await?;
    for schema in closed {
        survey.blockers.push(Finding::general(
            format!("{}: no right to make tables in the schema {schema}", shared.place),
            format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {};", shared.user),
        ));
    }
    Ok(())
}

/// As [`Target::script_rights`](crate::engine::Target::script_rights): what alters a table takes its owner.
pub(super) async fn script_rights(shared: &Shared, plan: &Plan) -> Result<Vec<Finding>> {
    let there = plan.tables.iter().filter(|table| !table.create);
    let names: Vec<String> = there.map(|table| table.target.sql()).collect();
    let mut connection = shared.acquire().await?;
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),
                string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid::regclass::text)
           FROM pg_catalog.pg_class c
          WHERE c.oid = ANY (SELECT pg_catalog.to_regclass(name) FROM unnest($1::text[]) AS name)
            AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
          GROUP BY c.relowner ORDER BY 1",
    )
    .bind(names)
    .fetch_all(&mut *connection)
    .await
    .map_err(|e| classify(e, &shared.place))?;
    let finding = |(owner, tables): (String, String)| {
        Finding::general(
            format!(
                "{}: {} does not own {}: a script of the upgrade that alters them is refused",
                shared.place,
                shared.user,
                shortened(&tables)
            ),
            format!("GRANT {owner} TO {};", shared.user),
        )
    };
    Ok(rows.into_iter().map(finding).collect())
}

/// The first few names of a list.
fn shortened(list: &str) -> String {
    let names: Vec<&str> = list.split(", ").collect();
    let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn list(row: &PgRow, column: &str) -> Result<String, sqlx::Error> {
    Ok(row.try_get::<Vec<String>, _>(column)?.join(", "))
}
