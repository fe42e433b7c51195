//! How the copy gets on: a bar for each database on a terminal, a log line every 10 s elsewhere.

use std::collections::VecDeque;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::output::{number, size};
use crate::advice;
use crate::state::{TableState, Work};
use crate::status::{Board, DatabaseStatus};

/// Between two log lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Between two looks at the boards, each of which draws the bars.
const LOOK: Duration = Duration::from_millis(250);
/// Speeds are those of the last seconds.
const WINDOW: Duration = Duration::from_secs(10);
/// A bar's length in steps.
const STEPS: u64 = 1000;

/// Progress being shown. Dropped, it ends.
pub(super) struct Progress {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Shows how the tables of `boards` are copied: as bars if there is a place for them, else as log lines.
pub(super) fn watch(boards: Vec<Board>, bars: Option<&MultiProgress>) -> Progress {
    let stop = CancellationToken::new();
    let shown = boards.into_iter().map(|board| Shown::new(board, bars)).collect();
    Progress { task: tokio::spawn(show(shown, stop.clone())), stop }
}

impl Progress {
    /// Clears the bars away.
    pub(super) async fn finish(mut self) {
        self.stop.cancel();
        if (&mut self.task).await.is_err() {
            tracing::debug!("the task that shows the progress died");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn show(mut shown: Vec<Shown>, stop: CancellationToken) {
    let mut round = interval(LOOK);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = round.tick() => shown.iter_mut().for_each(Shown::update),
            () = stop.cancelled() => break,
        }
    }
    for bar in shown.iter().filter_map(|s| s.bar.as_ref()) {
        bar.finish_and_clear();
    }
}

/// The progress of one database.
struct Shown {
    board: Board,
    bar: Option<ProgressBar>,
    speed: Speed,
    line_at: Instant,
}

impl Shown {
    fn new(board: Board, bars: Option<&MultiProgress>) -> Self {
        let bar = bars.map(|bars| {
            let bar = bars.add(ProgressBar::new(STEPS).with_prefix(board.status().name));
            match ProgressStyle::with_template("{prefix} [{bar:24}] {percent:>3} %  {msg}") {
                Ok(style) => bar.with_style(style.progress_chars("=> ")),
                Err(_) => bar,
            }
        });
        Shown { board, bar, speed: Speed::default(), line_at: Instant::now() + LINE_EVERY }
    }

    fn update(&mut self) {
        let status = self.board.status();
        let Some(figures) = Figures::of(&status) else { return };
        let now = Instant::now();
        let (rows, bytes) = self.speed.at(now, figures.copied, figures.bytes);
        if let Some(bar) = &self.bar {
            bar.set_message(figures.text(rows, bytes));
            bar.set_position(figures.steps());
        } else if now >= self.line_at {
            self.line_at = now + LINE_EVERY;
            log(&status.name, figures, rows, bytes);
        }
    }
}

fn log(database: &str, figures: Figures, rows_per_second: f64, bytes_per_second: f64) {
    tracing::info!(
        database,
        rows = figures.copied,
        of = figures.rows,
        rows_per_second = whole(rows_per_second),
        bytes_per_second = whole(bytes_per_second),
        seconds_left = figures.seconds_left(rows_per_second).map(whole),
        "copying: {}",
        figures.text(rows_per_second, bytes_per_second)
    );
}

/// How far the copy of a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figures {
    copied: u64,
    rows: u64,
    bytes: u64,
}

impl Figures {
    /// `None` while nothing is being copied.
    fn of(status: &DatabaseStatus) -> Option<Figures> {
        let copying = |state: TableState| matches!(state.allows(), Work::Copy | Work::Resync);
        if !status.tables.iter().any(|t| copying(t.state)) {
            return None;
        }
        let mut figures = Figures { copied: 0, rows: 0, bytes: 0 };
        for table in &status.tables {
            figures.copied += table.rows_copied;
            figures.bytes += table.bytes_copied;
            // The source's number of rows is an estimate; a table that is copied knows better.
            figures.rows +=
                if copying(table.state) { table.rows.max(table.rows_copied) } else { table.rows_copied };
        }
        Some(figures)
    }

    fn steps(&self) -> u64 {
        self.copied.saturating_mul(STEPS).checked_div(self.rows).unwrap_or(0)
    }

    fn seconds_left(&self, rows_per_second: f64) -> Option<f64> {
        let left = approximate(self.rows.saturating_sub(self.copied));
        (rows_per_second >= 1.0).then(|| left / rows_per_second)
    }

    fn text(&self, rows_per_second: f64, bytes_per_second: f64) -> String {
        let left = match self.seconds_left(rows_per_second) {
            Some(seconds) => format!("{} left", advice::duration(seconds)),
            None => "time left not known".to_string(),
        };
        format!(
            "{} of {} rows, {} rows/s, {}/s, {left}",
            number(self.copied),
            number(self.rows),
            number(whole(rows_per_second)),
            size(whole(bytes_per_second)),
        )
    }
}

/// Speeds over the last seconds.
#[derive(Debug, Default)]
struct Speed {
    samples: VecDeque<(Instant, u64, u64)>,
}

impl Speed {
    /// Rows and bytes per second, now that so many are copied; 0 while it is not known.
    fn at(&mut self, now: Instant, rows: u64, bytes: u64) -> (f64, f64) {
        // What was copied can become less: a table is copied anew.
        if self.samples.back().is_some_and(|(_, before, _)| *before > rows) {
            self.samples.clear();
        }
        self.samples.push_back((now, rows, bytes));
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|(at, ..)| now - *at >= WINDOW) {
            self.samples.pop_front();
        }
        let Some((since, first_rows, first_bytes)) = self.samples.front() else { return (0.0, 0.0) };
        let seconds = (now - *since).as_secs_f64();
        if seconds <= 0.0 {
            return (0.0, 0.0);
        }
        (approximate(rows - first_rows) / seconds, approximate(bytes.saturating_sub(*first_bytes)) / seconds)
    }
}

#[expect(clippy::cast_precision_loss, reason = "speeds are shown to three digits")]
fn approximate(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "speeds are positive and far below 2^53"
)]
fn whole(speed: f64) -> u64 {
    speed.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let mut speed = Speed::default();
        let start = Instant::now();
        assert_eq!(speed.at(start, 0, 0), (0.0, 0.0));
        assert_eq!(speed.at(start + WINDOW, 1_000, 10_000), (100.0, 1_000.0));
        let (rows, _) = speed.at(start + 2 * WINDOW, 1_000, 10_000);
        assert!(rows < 1.0, "it stands still: {rows}");
        assert_eq!(speed.at(start + 3 * WINDOW, 5, 5), (0.0, 0.0), "a table is copied anew");
    }

    #[test]
    fn figures_tell_the_time_left() {
        let figures = Figures { copied: 250_000, rows: 1_000_000, bytes: 0 };
        assert_eq!(figures.steps(), 250);
        let text = figures.text(50_000.0, 5_242_880.0);
        assert_eq!(text, "250,000 of 1,000,000 rows, 50,000 rows/s, 5.0 MiB/s, 15 s left");
        assert!(figures.text(0.0, 0.0).ends_with("time left not known"));
    }
}
