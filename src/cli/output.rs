//! What commands print: reports as text or JSON on stdout, errors on stderr.

use std::io::{self, IsTerminal, Write};

use bytesize::ByteSize;
use comfy_table::{Cell, CellAlignment, Table, TableComponent, presets};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::status::SCHEMA_VERSION;

/// What a command found or did.
pub(super) trait Report: Serialize {
    /// For people.
    fn text(&self, style: Style) -> String;
}

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Aligned columns.
    Plain,
    /// With a line under the headings.
    Terminal,
}

impl Style {
    fn of_stdout() -> Self {
        if io::stdout().is_terminal() { Style::Terminal } else { Style::Plain }
    }
}

/// Prints a report.
///
/// # Errors
/// When stdout can't be written.
pub(super) fn report(report: &impl Report, json: bool) -> Result<()> {
    if json { print_json(report) } else { print(&report.text(Style::of_stdout())) }
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value);
    print(&(text.map_err(|e| Error::failed("the result can't be written as JSON").because(e))? + "\n"))
}

/// Prints text. That nobody reads on (`| head`) is no error.
///
/// # Errors
/// When stdout can't be written.
pub(super) fn print(text: &str) -> Result<()> {
    write(&visible(text))
}

/// Prints a report over the last one.
///
/// # Errors
/// When stdout can't be written.
pub(super) fn redraw(report: &impl Report) -> Result<()> {
    const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";
    match Style::of_stdout() {
        Style::Terminal => write(&format!("{HOME_AND_CLEAR}{}", visible(&report.text(Style::Terminal)))),
        Style::Plain => print(&(report.text(Style::Plain) + "\n")),
    }
}

/// Prints a report as one line of JSON.
///
/// # Errors
/// When stdout can't be written.
pub(super) fn json_line(report: &impl Report) -> Result<()> {
    let text = serde_json::to_string(report);
    print(&(text.map_err(|e| Error::failed("the result can't be written as JSON").because(e))? + "\n"))
}

fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed("the result can't be written").because(error))
        }
        _ => Ok(()),
    }
}

/// Writes to stderr.
pub(super) fn note(text: &str) {
    // There is nowhere left to say that stderr is closed.
    let _ = io::stderr().lock().write_all(visible(text).as_bytes());
}

/// The text without what would steer a terminal: names of tables and messages of servers are in it.
fn visible(text: &str) -> String {
    let visible = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// An error in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    /// The kind of error.
    pub(super) kind: &'static str,
    /// What happened.
    pub(super) what: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Failure {
            kind: error.kind().label(),
            what: error.summary(),
            remedy: error.remedy_text().map(str::to_string),
        }
    }
}

impl Failure {
    /// As it is shown to people.
    pub(super) fn text(&self) -> String {
        let remedy = self.remedy.as_ref().map(|remedy| format!("  to do: {remedy}\n")).unwrap_or_default();
        format!("error: {}\n{remedy}", self.what)
    }
}

#[derive(Debug, Serialize)]
struct Failed {
    schema_version: u32,
    error: Failure,
    next_steps: Vec<String>,
}

/// Says on stderr, or as JSON on stdout, with which error a command ends. Returns its exit code.
pub fn fail(error: &Error, json: bool) -> u8 {
    let failure = Failure::from(error);
    if json {
        let next_steps = failure.remedy.iter().cloned().collect();
        let failed = Failed { schema_version: SCHEMA_VERSION, error: failure.clone(), next_steps };
        if print_json(&failed).is_ok() {
            return error.exit_code();
        }
    }
    note(&failure.text());
    error.exit_code()
}

/// The exit code of a command that ended with several: the worst.
pub(super) fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    const FROM_GOOD_TO_BAD: [u8; 6] = [0, 4, 3, 5, 2, 1];
    let badness = |code: &u8| FROM_GOOD_TO_BAD.iter().position(|c| c == code).unwrap_or(usize::MAX);
    codes.into_iter().max_by_key(badness).unwrap_or(0)
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Text, to the left.
    Text(&'static str),
    /// A number, to the right.
    Number(&'static str),
}

/// Lays out rows under their columns' headings, a line each.
pub(super) fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>, style: Style) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if style == Style::Terminal {
        for part in [TableComponent::HeaderLines, TableComponent::MiddleHeaderIntersections] {
            table.set_style(part, '─');
        }
    }
    let cell = |text: &str, column: &Column| match column {
        Column::Text(_) => Cell::new(text),
        Column::Number(_) => Cell::new(text).set_alignment(CellAlignment::Right),
    };
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(name) | Column::Number(name) => cell(name, column),
    }));
    for row in rows {
        table.add_row(row.iter().zip(columns).map(|(text, column)| cell(&one_line(text), column)));
    }
    table.lines().map(|line| line.trim_end().to_string() + "\n").collect()
}

/// The lines of a list under a title; nothing for an empty one.
pub(super) fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("  - {line}\n")).collect();
    format!("{title}:\n{lines}")
}

/// The list of what to do next.
pub(super) fn next_steps(steps: &[String]) -> String {
    list("next", steps)
}

/// The text with every run of white space as one space.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A count with separators: `1,234,567`.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size: `3.4 MiB`.
pub(super) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        let shown: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(number).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(size(3 << 20), "3.0 MiB");
    }

    #[test]
    fn names_cant_steer_a_terminal() {
        assert_eq!(visible("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\n");
    }

    #[test]
    fn the_worst_code_wins() {
        assert_eq!(worst([]), 0);
        assert_eq!(worst([0, 4, 0]), 4);
        assert_eq!(worst([3, 4]), 3);
        assert_eq!(worst([1, 3, 4]), 1);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = Error::refused("the lease is held").remedy("stop that process");
        assert_eq!(Failure::from(&error).text(), "error: the lease is held\n  to do: stop that process\n");
        assert_eq!(Failure::from(&error).kind, "refused");
    }

    #[test]
    fn rows_are_one_line_each() {
        let rows = vec![vec!["a\nb".to_string(), "12".to_string()], vec!["c".to_string(), "3".to_string()]];
        let text = table(&[Column::Text("name"), Column::Number("rows")], rows, Style::Plain);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("a b") && lines[1].ends_with("12"), "{text}");
    }
}
