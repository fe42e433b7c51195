//! What the demo comes to, on stdout.

use bytesize::ByteSize;
use console::{Style, Term};

use super::compare::Comparison;
use super::picture::{count, duration, listed, number, wrapped};
use super::place::Place;
use super::writers::{Kind, Tally};
use crate::settings::EngineKind;

/// The column in which what is said begins, and how wide it is.
const INDENT: usize = 20;
const WIDTH: usize = 76;

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) rows_copied: u64,
    pub(super) bytes_copied: u64,
    pub(super) copy_seconds: f64,
    pub(super) rows_replayed: u64,
    pub(super) most_lag: Option<f64>,
    pub(super) final_seconds: f64,
    pub(super) refused: u64,
}

impl Summary {
    /// Says it all, and what can be done next.
    pub(super) fn say(&self, place: &Place, tally: &Tally, comparison: &Comparison) {
        let term = Term::buffered_stdout();
        let write = |line: &str| {
            // Whoever has closed stdout wants no summary.
            let _ = term.write_line(line);
        };
        let bold = Style::new().bold();
        write("");
        for (name, text) in self.lines(tally, comparison) {
            let mut name = name;
            for line in wrapped(&text, WIDTH) {
                write(&format!("{}{line}", bold.apply_to(format!("{name:<INDENT$}"))));
                name = "";
            }
        }
        for difference in &comparison.told {
            write(&format!("{:INDENT$}{difference}", ""));
        }
        write("");
        for line in next_steps(place) {
            write(&line);
        }
        let _ = term.flush();
    }

    fn lines(&self, tally: &Tally, comparison: &Comparison) -> Vec<(&'static str, String)> {
        let rows = |n| count(n, "row", "rows");
        let lag = self.most_lag.map_or_else(|| "not known".to_string(), duration);
        let writes = count(self.refused, "write", "writes");
        vec![
            (
                "copied",
                format!(
                    "{}, {} in {}",
                    rows(self.rows_copied),
                    ByteSize(self.bytes_copied).display().si(),
                    duration(self.copy_seconds)
                ),
            ),
            ("production ran", statements(tally)),
            ("replayed", format!("{}; the largest lag seen was {lag}", rows(self.rows_replayed))),
            ("final sync", format!("{}; the fence refused {writes}", duration(self.final_seconds))),
            ("compared", rows(comparison.rows)),
            ("differences", number(comparison.different)),
        ]
    }
}

fn statements(tally: &Tally) -> String {
    let kinds: Vec<String> = Kind::ALL
        .into_iter()
        .filter(|kind| tally.of(*kind) > 0)
        .map(|kind| {
            let (one, several) = kind.names();
            count(tally.of(kind), one, several)
        })
        .collect();
    format!("{} meanwhile: {}", count(tally.statements(), "statement", "statements"), listed(&kinds))
}

fn next_steps(place: &Place) -> Vec<String> {
    let file = place.file.display();
    let mut lines = vec![format!("Everything is in {}:", place.folder.display())];
    let sqlite = place.database.source.engine() == EngineKind::Sqlite;
    if sqlite {
        lines.push("  production.db, staging.db".to_string());
    }
    lines.push("  highwater.toml, highwater.log".to_string());
    lines.push("Now try, for example:".to_string());
    lines.push(format!("  highwater status --config {file}"));
    lines.push(format!("  highwater final-sync --lower --config {file}    # production may write again"));
    lines.push(format!("  highwater run --config {file}                  # and staging follows"));
    lines.push(format!(
        "  highwater clean --config {file}                # nothing of highwater stays behind"
    ));
    lines
}
