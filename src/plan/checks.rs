//! Counts the rows of the source that the target's schema would not take.

use super::diff::{Check, TableDiff};
use super::rules::{quoted, quoted_table};
use crate::engine::{Record, Source};
use crate::error::{Kind, Result};
use crate::model::{Plan, Schema, TableName};
use crate::settings::EngineKind;

/// How many examples are shown.
const EXAMPLES: usize = 3;

/// How many characters of a value are shown.
const SHOWN: usize = 60;

/// Answers the questions of a diff. Each may read a whole table of the source, so only what differs is asked.
///
/// # Errors
/// When the source can't be read.
pub async fn count_misfits(
    diffs: &mut [TableDiff],
    engine: EngineKind,
    source: &dyn Source,
    schema: &Schema,
    plan: &Plan,
) -> Result<()> {
    let asker = Asker { engine, plan };
    for diff in diffs {
        let Some(table) = schema.tables.iter().find(|t| t.name.to_string() == diff.table) else { continue };
        for change in &mut diff.changes {
            let Some(check) = &change.check else { continue };
            let question = asker.question(&table.name, check);
            match answer(source, &question).await {
                Ok((misfits, examples)) => {
                    change.misfits = Some(misfits);
                    change.examples = examples;
                }
                Err(error) if error.kind() == Kind::Unavailable => return Err(error),
                // What can't be compared there is no misfit.
                Err(error) => change.uncounted = Some(error.summary()),
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
    Ok((misfits, rows.iter().map(|row| question.shown(row)).collect()))
}

/// A question to the source.
struct Question {
    count: String,
    examples: String,
    /// What the examples' values are called, where that must be said.
    names: Vec<String>,
}

impl Question {
    fn shown(&self, row: &Record) -> String {
        let value = |(at, value): (usize, &Option<String>)| {
            let value = shortened(value.as_deref().unwrap_or("NULL"));
            self.names.get(at).map_or_else(|| value.clone(), |name| format!("{name} {value}"))
        };
        row.iter().enumerate().map(value).collect::<Vec<_>>().join(", ")
    }
}

/// The beginning of a value.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}..", &value[..end]),
        None => value.to_string(),
    }
}

/// Puts questions into the source's words.
struct Asker<'a> {
    engine: EngineKind,
    plan: &'a Plan,
}

impl Asker<'_> {
    fn question(&self, table: &TableName, check: &Check) -> Question {
        let rows = match check {
            Check::Column { column, condition } => self.meeting(table, column, condition),
            Check::Twice(columns) => self.twice(table, columns),
            Check::Orphans { columns, parent, parent_columns } => {
                self.orphans(table, columns, parent, parent_columns)
            }
            Check::Broken { condition, table: called, columns, shown } => {
                let columns: Vec<String> = columns
                    .iter()
                    .map(|(from, to)| format!("{} AS {}", self.quoted(from), self.quoted(to)))
                    .collect();
                // By its own names the condition is the server's to read.
                format!(
                    "SELECT {} FROM (SELECT {} FROM {}) AS {} WHERE NOT ({condition})",
                    self.list(shown, "").join(", "),
                    columns.join(", "),
                    self.carried(table, "carried"),
                    self.quoted(called)
                )
            }
        };
        let names = match check {
            Check::Broken { shown, .. } => shown.clone(),
            Check::Column { .. } | Check::Twice(_) | Check::Orphans { .. } => Vec::new(),
        };
        Question {
            count: format!("SELECT count(*) FROM ({rows}) AS misfits"),
            examples: format!("{rows} LIMIT {EXAMPLES}"),
            names,
        }
    }

    fn quoted(&self, name: &str) -> String {
        quoted(self.engine, name)
    }

    fn list(&self, columns: &[String], row: &str) -> Vec<String> {
        columns.iter().map(|c| format!("{row}{}", self.quoted(c))).collect()
    }

    /// The rows of a table that are carried, under that name.
    fn carried(&self, table: &TableName, alias: &str) -> String {
        let planned = self.plan.tables.iter().find(|t| &t.source == table);
        let own_rows = self.engine == EngineKind::Postgres && planned.is_some_and(|t| !t.partitioned);
        let name = format!("{}{}", if own_rows { "ONLY " } else { "" }, quoted_table(self.engine, table));
        match planned.and_then(|t| t.rule.filter.as_ref()) {
            Some(filter) => format!("(SELECT * FROM {name} WHERE {filter}\n) AS {alias}"),
            None => format!("{name} AS {alias}"),
        }
    }

    fn meeting(&self, table: &TableName, column: &str, condition: &str) -> String {
        let column = self.quoted(column);
        let condition = condition.replace("{}", &column);
        // SQLite has no function of the standard's name.
        let condition = match self.engine {
            EngineKind::Sqlite => condition.replace("CHARACTER_LENGTH(", "LENGTH("),
            EngineKind::Postgres | EngineKind::Mysql => condition,
        };
        format!("SELECT {column} FROM {} WHERE {condition}", self.carried(table, "carried"))
    }

    fn twice(&self, table: &TableName, columns: &[String]) -> String {
        let columns = self.list(columns, "");
        let not_null: Vec<String> = columns.iter().map(|c| format!("{c} IS NOT NULL")).collect();
        let columns = columns.join(", ");
        format!(
            "SELECT {columns} FROM {} WHERE {} GROUP BY {columns} HAVING count(*) > 1",
            self.carried(table, "carried"),
            not_null.join(" AND ")
        )
    }

    fn orphans(
        &self,
        table: &TableName,
        columns: &[String],
        parent: &TableName,
        parent_columns: &[String],
    ) -> String {
        let (child, other) = (self.list(columns, "c."), self.list(parent_columns, "p."));
        let same: Vec<String> = child.iter().zip(&other).map(|(c, p)| format!("{p} = {c}")).collect();
        let not_null: Vec<String> = child.iter().map(|c| format!("{c} IS NOT NULL")).collect();
        format!(
            "SELECT {} FROM {} WHERE {} AND NOT EXISTS (SELECT 1 FROM {} WHERE {})",
            child.join(", "),
            self.carried(table, "c"),
            not_null.join(" AND "),
            self.carried(parent, "p"),
            same.join(" AND ")
        )
    }
}
