//! Log lines on stderr, as text or JSON, around the progress that is drawn there.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::error::{Error, Result};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Sends log lines to stderr. What is logged: `level`; without it the variable `RUST_LOG`; without that
/// what suits a command that is `watched` or not.
///
/// # Errors
/// When `RUST_LOG` can't be understood, or somebody else logs already.
pub(super) fn install(
    format: LogFormat,
    level: Option<LogLevel>,
    watched: bool,
    bars: &MultiProgress,
) -> Result<()> {
    let filter = filter(level, std::env::var("RUST_LOG").ok().as_deref(), watched)?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(AroundBars(bars.clone()));
    let installed = match format {
        LogFormat::Text => lines.with_target(false).with_ansi(colours).compact().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    installed.map_err(|e| Error::failed("the log can't be opened").because(e))
}

fn filter(level: Option<LogLevel>, variable: Option<&str>, watched: bool) -> Result<EnvFilter> {
    let level = match (level, variable.filter(|text| !text.trim().is_empty())) {
        (Some(level), _) => level,
        (None, Some(text)) => {
            return EnvFilter::try_new(text).map_err(|e| {
                Error::usage(format!("RUST_LOG: `{text}` can't be understood"))
                    .because(e)
                    .remedy("write for example RUST_LOG=highwater=debug, or use --log-level")
            });
        }
        (None, None) if watched => LogLevel::Info,
        (None, None) => LogLevel::Warn,
    };
    let (ours, others) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "error"),
        LogLevel::Info => ("info", "error"),
        LogLevel::Debug => ("debug", "warn"),
        LogLevel::Trace => ("trace", "info"),
    };
    Ok(EnvFilter::new(format!("highwater={ours},{others}")))
}

/// Writes a whole line at a time, with the progress out of the way.
#[derive(Clone)]
struct AroundBars(MultiProgress);

struct Line {
    bars: MultiProgress,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { bars: self.0.clone(), text: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() {
            return Ok(());
        }
        self.bars.suspend(|| io::stderr().write_all(&text))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Nobody is left to be told that stderr is closed.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_comes_before_the_variable() {
        let shown = |level, variable, watched| filter(level, variable, watched).unwrap().to_string();
        assert!(shown(Some(LogLevel::Debug), Some("off"), false).contains("highwater=debug"));
        assert_eq!(shown(None, Some("off"), true), "off");
        assert!(shown(None, None, true).contains("highwater=info"));
        assert!(shown(None, Some(" "), false).contains("highwater=warn"));
    }

    #[test]
    fn a_wrong_variable_is_an_error() {
        let error = filter(None, Some("highwater=loud=very"), false).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
