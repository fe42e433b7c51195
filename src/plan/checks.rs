//! Counts the rows of the source that the target's schema would not take.

use super::diff::{Check, TableDiff};
use super::rules::{quoted, quoted_table};
use crate::engine::Source;
use crate::error::{Kind, Result};
use crate::model::{Schema, TableName};
use crate::settings::EngineKind;

/// How many examples are shown.
const EXAMPLES: usize = 3;

/// Answers the questions of a diff. Each may read a whole table of the source, so only what differs is asked.
///
/// # Errors
/// When the source can't be read.
pub async fn count_misfits(
    diffs: &mut [TableDiff],
    engine: EngineKind,
    source: &dyn Source,
    schema: &Schema,
) -> Result<()> {
    for diff in diffs {
        let Some(table) = schema.tables.iter().find(|t| t.name.to_string() == diff.table) else { continue };
        for change in &mut diff.changes {
            let Some(check) = &change.check else { continue };
            let question = Question::of(engine, &table.name, check);
            match answer(source, &question).await {
                Ok((misfits, examples)) => {
                    change.misfits = Some(misfits);
                    change.examples = examples;
                }
                // What can't be compared there is no misfit.
                Err(error) if error.kind() == Kind::Unavailable => return Err(error),
                Err(error) => {
                    tracing::debug!(table = %table.name, error = %error.summary(), "can't be counted");
                }
            }
        }
    }
    Ok(())
}

async fn answer(source: &dyn Source, question: &Question) -> Result<(u64, Vec<String>)> {
    let count = source.ask(&question.count, 1).await?;
    let misfits =
        count.first().and_then(|r| r.first().cloned().flatten()).and_then(|n| n.parse().ok()).unwrap_or(0);
    if misfits == 0 {
        return Ok((0, Vec::new()));
    }
    let rows = source.ask(&question.examples, EXAMPLES).await?;
    let shown = |row: &Vec<Option<String>>| {
        row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(", ")
    };
    Ok((misfits, rows.iter().map(shown).collect()))
}

struct Question {
    count: String,
    examples: String,
}

impl Question {
    fn of(engine: EngineKind, table: &TableName, check: &Check) -> Self {
        let name = quoted_table(engine, table);
        let list = |columns: &[String], row: &str| {
            columns.iter().map(|c| format!("{row}{}", quoted(engine, c))).collect::<Vec<_>>()
        };
        let rows = match check {
            Check::Column { column, condition } => {
                let column = quoted(engine, column);
                let condition = condition.replace("{}", &column);
                // SQLite has no function of the standard's name.
                let condition = match engine {
                    EngineKind::Sqlite => condition.replace("CHARACTER_LENGTH(", "LENGTH("),
                    EngineKind::Postgres | EngineKind::Mysql => condition,
                };
                format!("SELECT {column} FROM {name} WHERE {condition}")
            }
            Check::Twice(columns) => {
                let columns = list(columns, "");
                let not_null: Vec<String> = columns.iter().map(|c| format!("{c} IS NOT NULL")).collect();
                let columns = columns.join(", ");
                format!(
                    "SELECT {columns} FROM {name} WHERE {} GROUP BY {columns} HAVING count(*) > 1",
                    not_null.join(" AND ")
                )
            }
            Check::Orphans { columns, parent, parent_columns } => {
                let (child, other) = (list(columns, "c."), list(parent_columns, "p."));
                let same: Vec<String> = child.iter().zip(&other).map(|(c, p)| format!("{p} = {c}")).collect();
                let not_null: Vec<String> = child.iter().map(|c| format!("{c} IS NOT NULL")).collect();
                format!(
                    "SELECT {} FROM {name} c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
                    child.join(", "),
                    not_null.join(" AND "),
                    quoted_table(engine, parent),
                    same.join(" AND ")
                )
            }
        };
        Question {
            count: format!("SELECT count(*) FROM ({rows}) AS misfits"),
            examples: format!("{rows} LIMIT {EXAMPLES}"),
        }
    }
}
