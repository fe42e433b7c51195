//! docs/how-it-works.md, "capture can be silenced": what passes by the triggers is noticed, if it leaves a trace.

use super::shop;
use crate::support::compare::assert_same;
use crate::support::{Connection, Db, Engine};

contract!(a_load_without_triggers_is_noticed);

/// A script that loads rows without triggers puts them back as they were, and no daemon sees it.
async fn a_load_without_triggers_is_noticed(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let mut session = pair.source.connect().await;
    let (off, on) = switched(&pair.source, &mut session).await;
    let load = "UPDATE parents SET name = 'loaded' WHERE id = 7".to_owned();
    session.execute(&off.into_iter().chain([load]).chain(on).collect::<Vec<_>>().join("; ")).await;
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
}

/// The statements that switch all triggers of `parents` off and on again. Where triggers can't be disabled they are
/// dropped, and made again by the texts that the server has of them, in the same order.
async fn switched(source: &Db, session: &mut Connection) -> (Vec<String>, Vec<String>) {
    let triggers = match source {
        Db::Postgres(_) => {
            let names = "SELECT tgname, format('ALTER TABLE parents ENABLE ALWAYS TRIGGER %I', tgname) \
                         FROM pg_trigger WHERE tgrelid = 'parents'::regclass AND NOT tgisinternal";
            let on = texts(session, names, 1).await.into_iter().map(|(_, on)| on).collect();
            return (vec!["ALTER TABLE parents DISABLE TRIGGER USER".to_owned()], on);
        }
        Db::Sqlite(_) => {
            texts(session, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid", 1)
                .await
        }
        Db::Mysql(_) => {
            session.execute("SET SESSION sql_mode = ''").await;
            let mut made = Vec::new();
            for (name, _) in texts(session, "SHOW TRIGGERS LIKE 'parents'", 0).await {
                made.extend(texts(session, &format!("SHOW CREATE TRIGGER {name}"), 2).await);
            }
            made
        }
    };
    triggers.into_iter().map(|(name, sql)| (format!("DROP TRIGGER {name}"), sql)).unzip()
}

/// The first column of a query with that one.
async fn texts(session: &mut Connection, sql: &str, column: usize) -> Vec<(String, String)> {
    let value = |row: &[Option<String>], column: usize| row[column].clone().expect("a value");
    let rows = session.rows_as_text(sql).await;
    rows.iter().map(|row| (value(row, 0), value(row, column))).collect()
}
