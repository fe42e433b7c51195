//! What highwater is told: defaults, files, environment; and everything that is wrong with it at once.
//!
//! [`Settings::load`] merges the layers (`layers`) and has each part of the settings read itself
//! (`reader`): a key exists because a `read` function in `keys`, `tables` or `upgrade` asks for it, with its
//! default and its accepted form. Presets (`presets`) are read by the same functions. `config/highwater.toml` explains them all, which a test checks.

mod address;
mod endpoint;
mod expressions;
mod faults;
mod glob;
mod keys;
mod layers;
mod presets;
mod reader;
mod rules;
mod secret;
mod tables;
#[cfg(test)]
mod tests;
mod units;
mod upgrade;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use config::Map;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use address::EngineKind;
pub use endpoint::Endpoint;
pub use faults::nearest;
pub use glob::Glob;

use crate::error::{Error, Result};
use faults::Report;
use reader::Section;
pub use rules::{
    CheckpointSettings, ColumnSettings, Expectation, Given, IntoSettings, TableSettings, TransformSettings,
    UpgradeOrder, UpgradeRunner, UpgradeSettings, UpgradeTransaction,
};

/// The characters of [`Settings::hash`]: enough to tell settings apart.
const HASH_LENGTH: usize = 16;

/// What one daemon is to do.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// The migration's name: `[a-z0-9_]+`, at most 20 characters.
    pub migration: String,
    /// The databases, by name; at least one after [`Settings::load`].
    pub databases: Vec<DatabaseSettings>,
    /// How changes are captured.
    pub capture: CaptureSettings,
    /// How tables are copied.
    pub copy: CopySettings,
    /// How changes are replayed.
    pub replay: ReplaySettings,
    /// What the source is spared.
    pub throttle: ThrottleSettings,
    /// When periodic work is done.
    pub schedule: ScheduleSettings,
    /// Where metrics and the page are served.
    pub http: HttpSettings,
    /// The first 16 hexadecimal digits of the SHA-256 of all of the above, secrets aside.
    #[serde(skip)]
    pub hash: String,
}

/// One source-target pair.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseSettings {
    /// Its name: `[a-z0-9_]+`, no two underscores in a row.
    pub name: String,
    /// Where rows come from.
    pub source: Endpoint,
    /// Where rows go to.
    pub target: Endpoint,
    /// The tables wanted.
    pub include: Vec<Glob>,
    /// The tables not wanted, even if included.
    pub exclude: Vec<Glob>,
    /// The tables that something is said of; those of the database itself before those of its preset.
    pub tables: Vec<TableSettings>,
    /// What must hold on the target once it is upgraded.
    pub checkpoints: Vec<CheckpointSettings>,
    /// How the target's schema is upgraded.
    pub upgrade: UpgradeSettings,
}

/// How changes are captured.
#[derive(Debug, Clone, Serialize)]
pub struct CaptureSettings {
    /// What records the changed keys.
    pub mode: CaptureMode,
    /// How long one attempt to install capture on a table may make its writers wait.
    pub lock_timeout: Duration,
}

/// What records the changed keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptureMode {
    /// Triggers on the source's tables.
    Triggers,
}

/// How tables are copied.
#[derive(Debug, Clone, Serialize)]
pub struct CopySettings {
    /// Chunks copied at a time, over all tables of a database.
    pub jobs: usize,
    /// Rows of a chunk.
    pub chunk_rows: u64,
    /// What is done about tables that the target lacks.
    pub schema: SchemaMode,
    /// What a target table may hold before it is copied to.
    pub into: CopyInto,
}

/// What is done about tables that the target lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaMode {
    /// They are a blocker.
    Expect,
    /// They are created; their indexes after the rows.
    Create,
}

/// What a target table may hold before it is copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyInto {
    /// Nothing.
    Empty,
}

/// How changes are replayed.
#[derive(Debug, Clone, Serialize)]
pub struct ReplaySettings {
    /// The most keys of a batch.
    pub batch_rows: u64,
    /// The most bytes of a batch's rows; a single row may be larger.
    pub batch_bytes: u64,
    /// The lag under which a table counts as in sync.
    pub in_sync_lag: Duration,
    /// How long replay may be held for a consistent point.
    pub point_timeout: Duration,
}

/// What the source is spared.
#[derive(Debug, Clone, Serialize)]
pub struct ThrottleSettings {
    /// The most rows read from a source in a second; 0 for no limit.
    pub max_rows_per_second: u64,
}

/// When periodic work is done.
#[derive(Debug, Clone, Serialize)]
pub struct ScheduleSettings {
    /// The time zone of the cron expressions.
    #[serde(serialize_with = "as_text")]
    pub timezone: Tz,
    /// When applied entries are purged from the change logs: a cron expression with seconds.
    pub purge: String,
}

/// Where metrics and the page are served.
#[derive(Debug, Clone, Serialize)]
pub struct HttpSettings {
    /// The address; `None` for nowhere.
    pub listen: Option<SocketAddr>,
    /// The names under which page and state are served, in lower case; `*` is any.
    pub allowed_hosts: Vec<String>,
}

impl HttpSettings {
    /// Whether page and state are served under the name `host`. The address that is listened on always is one.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let listens_at = self.listen.map(|address| match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        });
        listens_at.as_ref() == Some(&host)
            || self.allowed_hosts.iter().any(|name| *name == host || name == "*")
    }
}

impl Settings {
    /// Reads the settings from `files`, later ones over earlier ones, and the variables
    /// `HIGHWATER__SECTION__KEY` of `env` over them.
    ///
    /// The error, of [`crate::error::Kind::Usage`], holds everything that is wrong, a line each.
    pub fn load(files: &[PathBuf], env: impl IntoIterator<Item = (String, String)>) -> Result<Settings> {
        let mut report = Report::default();
        let settings = Settings::gather(files, env, &mut report);
        report.accept(settings).map(Settings::hashed)
    }

    /// The default settings for `databases`.
    pub fn with_databases(databases: Vec<DatabaseSettings>) -> Settings {
        let defaults = |section: &mut Section| Settings::read(section, databases);
        reader::read_all(Map::new(), &mut Report::default(), defaults).hashed()
    }

    /// The settings with only the database of that name, if one is named. An unknown name is an error
    /// that lists the known ones.
    pub fn only(mut self, database: Option<&str>) -> Result<Settings> {
        let Some(wanted) = database else { return Ok(self) };
        let names: Vec<String> = self.databases.iter().map(|database| database.name.clone()).collect();
        self.databases.retain(|database| database.name == wanted);
        if !self.databases.is_empty() {
            return Ok(self);
        }
        let error =
            Error::usage(format!("no database is called {wanted:?}; there are: {}", names.join(", ")));
        Err(match nearest(wanted, names.iter().map(String::as_str)) {
            Some(near) => error.remedy(format!("did you mean --database {near}?")),
            None => error,
        })
    }

    fn gather(
        files: &[PathBuf],
        env: impl IntoIterator<Item = (String, String)>,
        report: &mut Report,
    ) -> Option<Settings> {
        let merged = layers::merge(files, env, report);
        // A file that can't be read would make all that it holds seem missing.
        if report.is_faulty() {
            return None;
        }
        let read = |section: &mut Section| {
            let databases = DatabaseSettings::read_all(section);
            Settings::read(section, databases)
        };
        Some(reader::read_all(merged, report, read))
    }

    fn hashed(mut self) -> Settings {
        // Nothing in the settings can fail to be written as JSON; if it did, the error is as good a text.
        let text = serde_json::to_string(&self).unwrap_or_else(|error| error.to_string());
        self.hash = hex::encode(Sha256::digest(text));
        self.hash.truncate(HASH_LENGTH);
        self
    }
}

impl DatabaseSettings {
    /// Whether `table` is wanted; `schema` is `None` where the engine has no schemas.
    pub fn wants(&self, schema: Option<&str>, table: &str) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(schema, table));
        any(&self.include) && !any(&self.exclude)
    }
}

fn as_text<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}
