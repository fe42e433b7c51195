//! The contents of the answers.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use crate::advice;
use crate::settings::Settings;
use crate::status::{DatabaseStatus, Role, SCHEMA_VERSION};

/// What `/api/status` answers.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The version of this report's form.
    schema_version: u32,
    /// When it was made, by this machine's clock (RFC 3339).
    at: String,
    /// The version of highwater.
    version: &'static str,
    /// The migration's name.
    migration: String,
    /// Whether `/syncz` would answer 200.
    in_sync: bool,
    /// Why not.
    reasons: Vec<String>,
    /// The databases.
    databases: Vec<DatabaseStatus>,
    /// What an operator does next.
    next_steps: Vec<String>,
}

impl Report {
    pub(super) fn new(settings: &Settings, databases: Vec<DatabaseStatus>) -> Self {
        let lag = settings.replay.in_sync_lag;
        let reasons = not_in_sync(&databases, lag);
        Report {
            schema_version: SCHEMA_VERSION,
            at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            version: env!("CARGO_PKG_VERSION"),
            migration: settings.migration.clone(),
            in_sync: reasons.is_empty(),
            reasons,
            next_steps: advice::next_steps(&databases, lag),
            databases,
        }
    }
}

/// Why a database is neither worked on nor stood by for; empty when each is.
pub(super) fn not_ready(databases: &[DatabaseStatus]) -> Vec<String> {
    let why = |database: &DatabaseStatus| match database.role {
        Role::Active | Role::Standby => None,
        Role::Connecting | Role::Observer => {
            let error = database.error.as_deref().unwrap_or("not connected yet");
            Some(format!("{}: {error}", database.name))
        }
    };
    databases.iter().filter_map(why).collect()
}

/// Why a database is not in step with its source; empty when all are.
pub(super) fn not_in_sync(databases: &[DatabaseStatus], lag: Duration) -> Vec<String> {
    databases.iter().flat_map(|database| database.not_in_sync(lag)).collect()
}

/// `text` with its line breaks as spaces.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
