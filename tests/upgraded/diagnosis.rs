//! What is known when a trial fails: both sides, the ledger, the change logs, the daemons' last words.

use crate::support::{Db, Pair};

const OLD_TABLES: [&str; 5] = ["app", "token", "idp", "person", "note"];
const LEDGER: [&str; 7] = ["databases", "tables", "native", "removed", "parked", "requeued", "events"];
/// How many lines of each log are shown.
const LINES: usize = 40;

pub async fn of(pair: &Pair, logs: &[String]) -> String {
    let mut told = String::new();
    for table in OLD_TABLES {
        told += &rows("source", &pair.source, table).await;
        told += &rows("target", &pair.target, table).await;
        told += &rows("source", &pair.source, &change_log(&pair.source, table)).await;
    }
    told += &rows("target", &pair.target, "token_scope").await;
    for table in LEDGER {
        let plain = format!("highwater_ledger_{table}");
        let name = pair.target.engine().pick(format!("highwater_ledger.{table}"), plain.clone(), plain);
        told += &rows("target", &pair.target, &name).await;
    }
    for log in logs {
        let lines: Vec<&str> = log.lines().collect();
        told += &format!("-- a log's end\n{}\n", lines[lines.len().saturating_sub(LINES)..].join("\n"));
    }
    told
}

fn change_log(source: &Db, table: &str) -> String {
    match source {
        Db::Postgres(_) => format!("highwater_capture.\"public.{table}\""),
        Db::Sqlite(_) => format!("highwater_capture_log_{table}"),
        Db::Mysql(database) => format!("highwater_capture.`{}.{table}`", database.name()),
    }
}

async fn rows(side: &str, db: &Db, table: &str) -> String {
    let mut lines: Vec<String> =
        db.rows_as_text(&format!("SELECT * FROM {table}")).await.iter().map(|row| shown(row)).collect();
    lines.sort();
    format!("-- {side}: {table}\n{}\n", lines.join("\n"))
}

fn shown(row: &[Option<String>]) -> String {
    let cells: Vec<&str> = row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
    cells.join(" | ").chars().take(400).collect()
}
