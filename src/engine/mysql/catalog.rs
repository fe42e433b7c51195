//! Which database this is, and how much a table holds.

use super::connect::{Flavour, Server};
use super::fault::{classify, code};
use super::names::Names;
use super::pin::Reader;
use super::session::{Session, records, text};
use super::source::Inner;
use super::value::quote;
use crate::engine::Identity;
use crate::error::Result;

/// The server as it knows itself: what capture's database says it was installed on.
pub(super) const SELF: &str = "CONCAT(@@hostname, ':', @@port, ':', @@datadir)";

/// What a server that tells how far it has flushed calls that.
const FLUSHED: &str = "'Innodb_redo_log_flushed_to_disk_lsn', 'Innodb_lsn_flushed'";

/// Which database this is.
pub(super) async fn identity(server: &Server, names: &Names) -> Result<Identity> {
    let mut session = server.session().await?;
    let database = match installed(&mut session, names).await? {
        Some(id) => id,
        None => {
            let row = session.row(format!("SELECT {SELF}, DATABASE()")).await?;
            format!("server:{}/{}", text(&row, 0)?, text(&row, 1)?)
        }
    };
    let life = life(&mut session, server.flavour).await?;
    session.close();
    let (major, minor, patch) = server.version_numbers();
    let version = match server.flavour {
        Flavour::Mysql => format!("MySQL {major}.{minor}.{patch}"),
        Flavour::Mariadb => format!("MariaDB {major}.{minor}.{patch}"),
    };
    Ok(Identity { database, life, version })
}

/// The id that capture left for this database; nothing where it came with somebody's dump.
pub(super) async fn installed(session: &mut Session, names: &Names) -> Result<Option<String>> {
    let sql = format!(
        "SELECT database_id FROM {} WHERE database_name = {} AND server = {SELF}",
        names.own("meta"),
        names.database_literal()
    );
    match records(session.connection()?, sql).await {
        Ok(rows) => Ok(rows.into_iter().next().and_then(|mut row| row.pop().flatten())),
        // No such database or table, or no privilege on it, as long as nothing is installed.
        Err(error) if matches!(code(&error), Some(1044 | 1049 | 1142 | 1146)) => Ok(None),
        Err(error) => Err(classify(error, &session.place)),
    }
}

/// Nothing where the server says how far it has flushed: commits that a crash loses are never handed
/// on. Elsewhere the moment the server was started, because a crash may have lost some.
async fn life(session: &mut Session, flavour: Flavour) -> Result<String> {
    let flushed = session.query(format!("SHOW GLOBAL STATUS WHERE Variable_name IN ({FLUSHED})")).await?;
    if !flushed.is_empty() {
        return Ok(String::new());
    }
    let status = match flavour {
        Flavour::Mysql => "performance_schema",
        Flavour::Mariadb => "information_schema",
    };
    // Both are counted from the start of the statement: the difference stays the same.
    let sql = format!(
        "SELECT CAST(UNIX_TIMESTAMP() - VARIABLE_VALUE AS SIGNED) FROM {status}.global_status \
         WHERE VARIABLE_NAME = 'UPTIME'"
    );
    Ok(text(&session.row(sql).await?, 0)?.to_string())
}

/// How many rows a table of the source holds.
pub(super) async fn count(source: &Inner, table: &str) -> Result<u64> {
    let (mut session, begin) = Reader::of(source).await?;
    session.execute(begin).await?;
    let rows = count_in(&mut session, table).await?;
    session.end(source, None).await?;
    Ok(rows)
}

/// The same in a session.
pub(super) async fn count_in(session: &mut Session, table: &str) -> Result<u64> {
    let row = session.row(format!("SELECT COUNT(*) FROM {}", quote(table))).await?;
    super::session::number(&row, 0)
}
