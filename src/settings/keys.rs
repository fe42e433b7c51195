//! Every key there is, with its default and its accepted form. `config/highwater.toml` explains them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono_tz::Tz;

use super::endpoint::{self, Endpoint};
use super::glob::Glob;
use super::reader::Section;
use super::units::{
    bytes, choice, count, cron, duration, globs, hosts, integer, listen, migration, timezone,
};
use super::upgrade::Upgrade;
use super::{
    CaptureMode, CaptureSettings, CopyInto, CopySettings, DatabaseSettings, HttpSettings, ReplaySettings,
    ScheduleSettings, SchemaMode, Settings, ThrottleSettings, UpgradeSettings, presets, tables, upgrade,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

impl Settings {
    /// Reads all but the databases, and the hash.
    pub(super) fn read(section: &mut Section, databases: Vec<DatabaseSettings>) -> Settings {
        Settings {
            migration: section.read("migration", "main".to_owned(), migration),
            databases,
            capture: section.section("capture", CaptureSettings::read),
            copy: section.section("copy", CopySettings::read),
            replay: section.section("replay", ReplaySettings::read),
            throttle: section.section("throttle", ThrottleSettings::read),
            schedule: section.section("schedule", ScheduleSettings::read),
            http: section.section("http", HttpSettings::read),
            hash: String::new(),
        }
    }
}

impl CaptureSettings {
    fn read(section: &mut Section) -> Self {
        let modes = [("triggers", CaptureMode::Triggers)];
        CaptureSettings {
            mode: section.read("mode", CaptureMode::Triggers, choice(&modes)),
            lock_timeout: section.read("lock_timeout", millis(200), duration(millis(1)..=seconds(60))),
        }
    }
}

impl CopySettings {
    fn read(section: &mut Section) -> Self {
        let schemas = [("expect", SchemaMode::Expect), ("create", SchemaMode::Create)];
        CopySettings {
            jobs: section.read("jobs", 2, count(1..=64)),
            chunk_rows: section.read("chunk_rows", 50_000, integer(1..=10_000_000)),
            schema: section.read("schema", SchemaMode::Expect, choice(&schemas)),
            into: section.read("into", CopyInto::Empty, choice(&[("empty", CopyInto::Empty)])),
        }
    }
}

impl ReplaySettings {
    fn read(section: &mut Section) -> Self {
        ReplaySettings {
            batch_rows: section.read("batch_rows", 10_000, integer(1..=1_000_000)),
            batch_bytes: section.read("batch_bytes", 8 * MIB, bytes(KIB..=GIB)),
            in_sync_lag: section.read("in_sync_lag", seconds(5), duration(millis(100)..=seconds(86_400))),
            point_timeout: section.read(
                "point_timeout",
                seconds(300),
                duration(seconds(1)..=seconds(86_400)),
            ),
        }
    }
}

impl ThrottleSettings {
    fn read(section: &mut Section) -> Self {
        ThrottleSettings {
            max_rows_per_second: section.read("max_rows_per_second", 0, integer(0..=1_000_000_000)),
        }
    }
}

impl ScheduleSettings {
    fn read(section: &mut Section) -> Self {
        ScheduleSettings {
            timezone: section.read("timezone", Tz::UTC, timezone),
            purge: section.read("purge", "*/10 * * * * *".to_owned(), cron),
        }
    }
}

impl HttpSettings {
    fn read(section: &mut Section) -> Self {
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9187));
        let here = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec();
        HttpSettings {
            listen: section.read("listen", Some(default), listen),
            allowed_hosts: section.read("allowed_hosts", here, hosts),
        }
    }
}

impl DatabaseSettings {
    /// Reads all the databases. Those with faults are left out, and the faults in the report.
    pub(super) fn read_all(section: &mut Section) -> Vec<DatabaseSettings> {
        let named = section.named("database", DatabaseSettings::read);
        if named.is_empty() {
            section.fault(
                "database",
                "no database is named; write [database.NAME] with `source` and `target`; \
                 config/highwater.toml is an example, `highwater demo` needs none",
            );
        }
        let mut databases: Vec<(DatabaseSettings, Upgrade)> = named.into_iter().flatten().collect();
        upgrade::read_general(section, &mut databases);
        let databases: Vec<DatabaseSettings> = databases.into_iter().map(|(database, _)| database).collect();
        apart(section, &databases);
        databases
    }

    fn read(section: &mut Section, name: &str) -> Option<(DatabaseSettings, Upgrade)> {
        let source = Endpoint::read(section, &endpoint::SOURCE);
        let target = Endpoint::read(section, &endpoint::TARGET);
        let preset = presets::read(section);
        let wanted = preset.include.unwrap_or_else(|| vec![Glob::any()]);
        let include = section.read("include", wanted, globs);
        if include.is_empty() {
            section.fault("include", "is empty, so that no table is wanted; [\"*\"] wants all of them");
        }
        let exclude = section.read("exclude", preset.exclude.unwrap_or_default(), globs);
        let tables = tables::read_all(section).into_iter().chain(preset.tables).collect();
        let mut checkpoints = upgrade::read_checkpoints(section);
        for checkpoint in preset.checkpoints {
            if !checkpoints.iter().any(|own| own.name == checkpoint.name) {
                checkpoints.push(checkpoint);
            }
        }
        let upgrade = section.section("upgrade", Upgrade::read);
        if !is_database_name(name) {
            section.fault_here(
                "can't be a database's name; write a-z, 0-9 and single underscores within, \
                 such as `user_store`",
            );
        }
        let (source, target) = (source?, target?);
        if source.engine() != target.engine() {
            let (from, to) = (source.engine(), target.engine());
            section.fault("target", format!("is {to}, but `source` is {from}; both must be the same"));
            return None;
        }
        let database = DatabaseSettings {
            name: name.to_owned(),
            source,
            target,
            include,
            exclude,
            tables,
            checkpoints,
            upgrade: UpgradeSettings::default(),
        };
        Some((database, upgrade))
    }
}

/// The name becomes part of environment variables, where two underscores part sections.
fn is_database_name(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.split('_').all(is_word)
}

/// Faults every place that is named twice: a database can't be copied to itself, and the change log of
/// a source and the ledger of a target belong to one database of a migration.
fn apart(section: &mut Section, databases: &[DatabaseSettings]) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for database in databases {
        for (key, endpoint) in [("source", &database.source), ("target", &database.target)] {
            let path = format!("database.{}.{key}", database.name);
            if let Some(first) = seen.get(endpoint.place()) {
                section.fault(&path, format!("{endpoint} is also `{first}`; each needs its own"));
            } else {
                seen.insert(endpoint.place(), path);
            }
        }
    }
}
