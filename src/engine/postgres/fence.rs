//! The fence, and who may still write.
//!
//! The flag is a row that every writer's trigger reads, so a session whose snapshot is older than the
//! flag does not see it: the fence holds once every such session is gone.

use sqlx::AssertSqlSafe;

use super::connect::{classify, literal};
use super::session::{Session, flag, number, query, text};
use super::source::PostgresSource;
use super::sqlstate::code;
use crate::engine::template::fill;
use crate::engine::{Fence, Stamp, Writer};
use crate::error::{Error, Kind, Result};
use crate::model::{Plan, quote};

/// What the fence's triggers raise.
const REFUSED: &str = "HW001";

/// As [`Source::fence`](crate::engine::Source::fence).
pub(super) async fn standing(source: &PostgresSource) -> Result<Fence> {
    let mut session = source.session().await?;
    let fence = if source.standing(&mut session).await?.installed {
        read(source, &mut session).await?
    } else {
        Fence { raised: false, stamp: Stamp { epoch: 0, attempt: 0 } }
    };
    session.close();
    Ok(fence)
}

async fn read(source: &PostgresSource, session: &mut Session) -> Result<Fence> {
    let row =
        session.row(format!("SELECT raised, epoch, attempt FROM {}.fence", quote(&source.schema))).await?;
    Ok(Fence { raised: flag(&row, 0), stamp: Stamp { epoch: number(&row, 1)?, attempt: number(&row, 2)? } })
}

/// As [`Source::raise_fence`](crate::engine::Source::raise_fence).
pub(super) async fn raise(source: &PostgresSource, stamp: Stamp) -> Result<()> {
    let Stamp { epoch, attempt } = stamp;
    let raised = change(
        source,
        &format!("raised = true, epoch = {epoch}, attempt = {attempt}, xid = pg_current_xact_id()"),
        &format!("(epoch, attempt) < ({epoch}, {attempt})"),
    )
    .await?;
    if raised {
        return Ok(());
    }
    let found = standing(source).await?;
    Err(Error::new(
        Kind::Superseded,
        format!("{}: attempt {stamp} can't raise the fence, it has seen {}", source.place, found.stamp),
    ))
}

/// As [`Source::lift_fence`](crate::engine::Source::lift_fence).
pub(super) async fn lift(source: &PostgresSource, stamp: Stamp) -> Result<bool> {
    let Stamp { epoch, attempt } = stamp;
    let lifted =
        change(source, "raised = false", &format!("raised AND (epoch, attempt) = ({epoch}, {attempt})"))
            .await?;
    if lifted {
        return Ok(true);
    }
    let found = standing(source).await?;
    if !found.raised {
        return Ok(false);
    }
    Err(Error::new(
        Kind::Superseded,
        format!("{}: the fence stands under attempt {}, not {stamp}", source.place, found.stamp),
    ))
}

/// Changes the fence's row if the condition holds; durably, when it returns.
async fn change(source: &PostgresSource, to: &str, condition: &str) -> Result<bool> {
    let sql = format!(
        "BEGIN; SET LOCAL synchronous_commit = 'on'; SET LOCAL lock_timeout = '10s'; \
         UPDATE {}.fence SET {to} WHERE {condition} RETURNING raised; COMMIT",
        quote(&source.schema)
    );
    let mut session = source.session().await?;
    let rows = session.query(sql).await?;
    session.close();
    Ok(!rows.is_empty())
}

/// As [`Source::prepared`](crate::engine::Source::prepared).
pub(super) async fn prepared(source: &PostgresSource) -> Result<Vec<Writer>> {
    let sql = "SELECT p.gid, format('prepared transaction %L (%s, since %s)', p.gid, p.owner, p.prepared) \
               FROM pg_prepared_xacts AS p WHERE p.database = current_database()";
    query(&source.pool, &source.place, sql).await?.iter().map(writer).collect()
}

/// As [`Source::writers`](crate::engine::Source::writers).
pub(super) async fn writers(source: &PostgresSource, plan: &Plan) -> Result<Vec<Writer>> {
    let labels: Vec<String> = plan.tables.iter().map(|t| literal(&t.label())).collect();
    let sql = fill(
        include_str!("../../../sql/postgres/writers.sql"),
        &[("s", &quote(&source.schema)), ("labels", &labels.join(", "))],
    );
    query(&source.pool, &source.place, sql).await?.iter().map(writer).collect()
}

fn writer(row: &crate::engine::Record) -> Result<Writer> {
    Ok(Writer { id: text(row, 0)?.to_string(), who: text(row, 1)?.to_string() })
}

/// As [`Source::prove_fence`](crate::engine::Source::prove_fence).
pub(super) async fn prove(source: &PostgresSource, plan: &Plan) -> Result<()> {
    let mut session = source.session().await?;
    if !read(source, &mut session).await?.raised {
        return Err(Error::refused(format!("{}: the fence is not raised", source.place)));
    }
    let standing = source.standing(&mut session).await?;
    let open = session
        .query(fill(
            include_str!("../../../sql/postgres/unfenced_tables.sql"),
            &[
                ("trigger", &literal(&standing.capture.fence_trigger())),
                ("row_trigger", &literal(&standing.capture.fence_row_trigger())),
                ("schema_name", &literal(&source.schema)),
                ("by_row", if standing.capture.by_row { "true" } else { "false" }),
            ],
        ))
        .await?;
    if !open.is_empty() {
        let names: Vec<&str> = open.iter().map(|row| text(row, 0)).collect::<Result<_>>()?;
        return Err(Error::refused(format!(
            "{}: the fence does not stand on {}",
            source.place,
            names.join(", ")
        ))
        .remedy("`highwater plan` shows what is missing; highwater puts the fence on when it runs"));
    }
    must_refuse(&mut session, &format!("INSERT INTO {}.canary VALUES (0)", quote(&source.schema))).await?;
    if let Some(table) = writable(&mut session, plan).await? {
        // Refused before the first row is looked for.
        must_refuse(&mut session, &format!("DELETE FROM {table} WHERE false")).await?;
    }
    session.close();
    Ok(())
}

/// A carried table on which we may try a write.
async fn writable(session: &mut Session, plan: &Plan) -> Result<Option<String>> {
    let tables: Vec<String> = plan.tables.iter().map(|t| format!("({})", literal(&t.source.sql()))).collect();
    if tables.is_empty() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT name FROM (VALUES {}) AS t(name) \
         WHERE to_regclass(name) IS NOT NULL AND has_table_privilege(to_regclass(name), 'SELECT') \
         AND has_table_privilege(to_regclass(name), 'DELETE') LIMIT 1",
        tables.join(", ")
    );
    session.query(sql).await?.first().map(|row| text(row, 0).map(str::to_string)).transpose()
}

async fn must_refuse(session: &mut Session, statement: &str) -> Result<()> {
    let place = session.place().to_string();
    let tried = format!("BEGIN; {statement}");
    let outcome = sqlx::raw_sql(AssertSqlSafe(tried)).execute(session.connection()?).await;
    session.execute("ROLLBACK").await?;
    match outcome {
        Err(error) if code(&error).as_deref() == Some(REFUSED) => Ok(()),
        Err(error) => Err(classify(error, &place).at("the write that proves the fence failed otherwise")),
        Ok(_) => Err(Error::refused(format!("{place}: the fence let a write pass: {statement}"))
            .remedy("`highwater plan` shows what is wrong with capture")),
    }
}
