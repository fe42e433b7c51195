//! How the schemas differ, as text, and as a file of rules to correct.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::cli::output;
use crate::error::{Error, Result};
use crate::plan::{Change, Standing, TableDiff, toml_text};

/// How a standing is called.
fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Same => "same",
        Standing::Fits => "fits",
        Standing::Ruled => "by rule",
        Standing::NeedsRule => "needs a rule",
        Standing::Gone => "gone",
        Standing::New => "new",
    }
}

/// The differences as text; nothing where there are none.
pub(super) fn text(database: &str, diffs: &[TableDiff]) -> String {
    let differ: Vec<&TableDiff> = diffs.iter().filter(|d| d.standing != Standing::Same).collect();
    if differ.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = differ.iter().map(|diff| one(database, diff)).collect();
    let same = diffs.len() - differ.len();
    output::list(&format!("schemas ({} tables differ, {same} are the same)", differ.len()), &lines)
}

fn one(database: &str, diff: &TableDiff) -> String {
    let target =
        diff.target.as_ref().filter(|t| **t != diff.table).map(|t| format!(" -> {t}")).unwrap_or_default();
    let mut text = format!("{}{target}: {}", diff.table, name(diff.standing));
    for change in &diff.changes {
        text += &format!("\n    {}", said(change));
    }
    if !diff.proposal.is_empty() {
        text += "\n    a rule to correct:";
        for line in rule(database, diff) {
            text += &format!("\n        {line}");
        }
    }
    text
}

fn said(change: &Change) -> String {
    if let Some(why) = &change.uncounted {
        return format!("{}; not counted: {why}", change.what);
    }
    match change.misfits {
        None => change.what.clone(),
        Some(0) => format!("{}; every row fits", change.what),
        Some(rows) => format!(
            "{}; {} rows don't fit, such as {}",
            change.what,
            output::number(rows),
            change.examples.join("; ")
        ),
    }
}

/// The proposed rule as settings.
fn rule(database: &str, diff: &TableDiff) -> Vec<String> {
    // Keys of the table itself come before the section of its columns.
    let (columns, own): (Vec<&String>, Vec<&String>) =
        diff.proposal.iter().partition(|l| l.starts_with("columns."));
    let mut lines =
        vec![format!("[[database.{database}.table]]"), format!("name = {}", toml_text(&diff.table))];
    lines.extend(merged(&own));
    if !columns.is_empty() {
        lines.push(format!("[database.{database}.table.columns]"));
        lines.extend(columns.iter().map(|l| l.trim_start_matches("columns.").to_string()));
    }
    lines
}

/// Several columns to drop are one list.
fn merged(lines: &[&String]) -> Vec<String> {
    let column = |line: &&&String| {
        line.strip_prefix("drop = [").and_then(|l| l.split_once(']')).map(|(column, _)| column.to_string())
    };
    let drops: Vec<String> = lines.iter().filter_map(|line| column(&line)).collect();
    let mut merged: Vec<String> =
        lines.iter().filter(|line| column(line).is_none()).map(ToString::to_string).collect();
    if !drops.is_empty() {
        merged.push(format!("drop = [{}]    # left behind? else say where they go", drops.join(", ")));
    }
    merged
}

/// Writes the proposals into a new file, commented out: what is right, only the operator can say.
///
/// # Errors
/// When the file is there already, or can't be written.
pub(super) fn write(file: &Path, databases: &[(String, &[TableDiff])]) -> Result<usize> {
    let mut text = String::from(
        "# Rules proposed by `highwater plan --write`. Nothing here is in force: correct what you take over,\n\
         # remove its `#`, and pass this file with `--config` behind your settings, or paste it there.\n",
    );
    let mut count = 0;
    for (database, diffs) in databases {
        for diff in diffs.iter().filter(|d| matches!(d.standing, Standing::NeedsRule | Standing::Gone)) {
            count += 1;
            text += &format!("\n# {}: {}\n", diff.table, name(diff.standing));
            for change in &diff.changes {
                text += &format!("#   {}\n", said(change).replace('\n', " "));
            }
            if diff.proposal.is_empty() && diff.standing == Standing::Gone {
                text += &format!(
                    "#   add it to `exclude` of [database.{database}], or name its `target` in a rule\n"
                );
            }
            if !diff.proposal.is_empty() {
                for line in rule(database, diff) {
                    text += &format!("#{line}\n");
                }
            }
        }
    }
    let failed = |e: std::io::Error| {
        let error = Error::usage(format!("{} can't be written", file.display()));
        match e.kind() {
            std::io::ErrorKind::AlreadyExists => Error::usage(format!("{} is there already", file.display()))
                .remedy("name a new file; nothing was written"),
            _ => error.because(e),
        }
    };
    let mut file_handle = OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
    file_handle.write_all(text.as_bytes()).map_err(failed)?;
    Ok(count)
}
