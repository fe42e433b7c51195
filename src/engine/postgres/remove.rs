//! Taking capture off: triggers first, table by table, so that no write ever meets a missing log.

use super::capture::Capture;
use super::connect::literal;
use super::install::persist;
use super::session::{maybe, text};
use super::source::PostgresSource;
use crate::error::{Error, Result};
use crate::model::quote;

/// As [`Source::remove`](crate::engine::Source::remove).
pub(super) async fn remove(source: &PostgresSource) -> Result<()> {
    let mut session = source.session().await?;
    let standing = source.standing(&mut session).await?;
    if standing.owner.is_empty() {
        session.close();
        return Ok(());
    }
    if !standing.owned {
        return Err(Error::refused(format!(
            "{}: schema {} belongs to {}",
            source.place, source.schema, standing.owner
        ))
        .remedy(format!(
            "let that role run DROP SCHEMA {} CASCADE when production is quiet",
            quote(&source.schema)
        )));
    }
    // Of tables that another role owns nothing can be read; they go with the schema.
    let logs = if standing.installed && standing.check_owners(&source.place).is_ok() {
        session
            .query(format!("SELECT log, relid FROM {}.tables ORDER BY label", quote(&source.schema)))
            .await?
    } else {
        Vec::new()
    };
    for row in &logs {
        let relid = maybe(row, 1).and_then(|oid| oid.parse().ok()).into_iter().collect::<Vec<u32>>();
        let statements = standing.capture.drop_statements(text(row, 0)?);
        persist(source, &mut session, &statements, &relid).await??;
    }
    drop_strays(source, &mut session, &standing.capture).await?;
    let all = [format!("DROP SCHEMA {} CASCADE", quote(&source.schema))];
    persist(source, &mut session, &all, &[]).await??;
    session.close();
    let mut notes = source.notes();
    notes.wanted = None;
    notes.purged.clear();
    Ok(())
}

/// Functions that no registered table has, but which tables may still call.
async fn drop_strays(
    source: &PostgresSource,
    session: &mut super::session::Session,
    capture: &Capture,
) -> Result<()> {
    let strays = session
        .query(format!(
            "SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace \
             WHERE n.nspname = {}",
            literal(&capture.schema)
        ))
        .await?;
    for row in &strays {
        let statement = [format!("DROP FUNCTION {} CASCADE", text(row, 0)?)];
        persist(source, session, &statement, &[]).await??;
    }
    Ok(())
}
