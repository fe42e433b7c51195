//! Merges what the files and the environment say, later layers over earlier ones.

use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, FileFormat, Format, Map, Source, Value};

use super::faults::Report;

/// The origin that the config crate gives to values from the environment.
pub(super) const ENVIRONMENT: &str = "the environment";

/// How the name of an environment variable that holds a setting begins.
pub(super) const VARIABLE_PREFIX: &str = "HIGHWATER__";

/// What one file holds.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Merges `files`, in their order, and the variables of `env` over them. What can't be read goes to `report`.
pub(super) fn merge(
    files: &[PathBuf],
    env: impl IntoIterator<Item = (String, String)>,
    report: &mut Report,
) -> Map<String, Value> {
    let mut builder = Config::builder();
    for file in files {
        match read_file(file) {
            Ok(layer) => builder = builder.add_source(layer),
            Err(what) => report.fault(Some(file.display().to_string()), "", what),
        }
    }
    let merged = builder.add_source(environment(env)).build().and_then(|config| config.collect());
    merged.unwrap_or_else(|error| {
        report.fault(None, "", error.to_string());
        Map::new()
    })
}

fn environment(env: impl IntoIterator<Item = (String, String)>) -> Environment {
    let variables = env.into_iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)).collect();
    // Values stay text: parsing by looks would turn a database called "007" into 7.
    Environment::with_prefix("HIGHWATER").prefix_separator("__").separator("__").source(Some(variables))
}

fn read_file(file: &Path) -> Result<Layer, String> {
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such file; to begin, copy config/highwater.toml there and edit it, \
             or see `highwater demo` work without any settings"
                .to_owned()
        }
        _ => format!("can't be read: {error}"),
    })?;
    let origin = file.display().to_string();
    FileFormat::Toml.parse(Some(&origin), &text).map(Layer).map_err(|e| without_excerpt(&e.to_string()))
}

/// The parser's message without the line of the file that it quotes, which may hold a password.
fn without_excerpt(message: &str) -> String {
    let is_excerpt = |line: &str| {
        line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|')
    };
    let lines: Vec<&str> = message.lines().filter(|line| !is_excerpt(line)).collect();
    lines.join(": ")
}
