//! Where the demo is watched: a picture that moves on a terminal, a line a second elsewhere. All of it
//! goes to stderr; the summary is the result and goes to stdout.

use std::time::Duration;

use console::{Style, Term};
use tokio::time::Instant;

use super::picture;

/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(1);
/// The widest picture: longer lines are hard to read.
const WIDEST: usize = 100;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Title,
    Drawn,
    Good,
    Bad,
    Faint,
}

impl Tone {
    fn style(self) -> Style {
        let style = Style::new();
        match self {
            Tone::Plain => style,
            Tone::Title => style.bold(),
            Tone::Drawn => style.cyan(),
            Tone::Good => style.green(),
            Tone::Bad => style.red().bold(),
            Tone::Faint => style.dim(),
        }
    }
}

/// A line of a picture.
pub(super) type Line = (Tone, String);

/// What the demo draws on.
pub(super) struct Screen {
    term: Term,
    drawn: usize,
    line_at: Instant,
}

impl Screen {
    /// The screen of this process.
    pub(super) fn new() -> Self {
        Screen { term: Term::buffered_stderr(), drawn: 0, line_at: Instant::now() }
    }

    /// Whether pictures can move here.
    pub(super) fn moves(&self) -> bool {
        self.term.is_term()
    }

    /// The characters of a line.
    pub(super) fn width(&self) -> usize {
        let columns = self.term.size_checked().map_or(WIDEST, |(_, columns)| usize::from(columns));
        columns.saturating_sub(1).min(WIDEST)
    }

    /// Says something that stays.
    pub(super) fn say(&mut self, tone: Tone, text: &str) {
        self.erase();
        self.write(tone, text);
        self.flush();
    }

    /// Draws `picture` over the last one; elsewhere says `line`, once a second.
    pub(super) fn draw(&mut self, picture: &[Line], line: impl FnOnce() -> String) {
        if !self.moves() {
            if self.line_at.elapsed() >= LINE {
                self.line_at = Instant::now();
                self.write(Tone::Plain, &line());
                self.flush();
            }
            return;
        }
        self.erase();
        let width = self.width();
        for (tone, text) in picture {
            self.write(*tone, &picture::cut(text, width));
        }
        self.drawn = picture.len();
        self.flush();
    }

    /// Leaves the picture standing as it is.
    pub(super) fn keep(&mut self) {
        self.drawn = 0;
    }

    fn erase(&mut self) {
        // A terminal that is gone shows nothing: there is nobody to tell.
        let _ = self.term.clear_last_lines(std::mem::take(&mut self.drawn));
    }

    fn write(&self, tone: Tone, text: &str) {
        let styled = tone.style().for_stderr().apply_to(text);
        let _ = self.term.write_line(&styled.to_string());
    }

    fn flush(&self) {
        let _ = self.term.flush();
    }
}
