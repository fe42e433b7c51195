//! Case folders of upgrades: what the vendor's script makes of staging, and of rows that come later.
//!
//! A folder `tests/cases/upgrade/NAME/` has
//! - `schema.sql`: the old tables, for production and staging;
//! - `rows.sql`: production's first rows;
//! - `migrate.sql`: the vendor's script, which is run on staging;
//! - `rules.toml`: the rules, as they stand inside `[database.NAME]`: `[[table]]`, `[table.columns]`;
//! - `before.sql`, `while.sql`, `after.sql`: what production does between copy and upgrade, while the
//!   upgrade runs, and after it;
//! - `record.sql`, where `expect.sql` needs it: runs on staging when it is upgraded and copied, to note in a
//!   table of its own what must not change after that;
//! - `expect.sql`: queries on staging, one a line; each must give `true` or `1`;
//! - `oracle.toml`, `oracle.sql`: see below.
//!
//! Each file may have variants, the nearest counts: `migrate.mariadb.sql` or `migrate.mysql9.sql`, then
//! `migrate.mysql.sql` (both), `migrate.postgres.sql`, `migrate.sqlite.sql`, then `migrate.sql`.
//!
//! In all of them `{number}` stands for the type of a generated number that is the primary key, and
//! `{uuid}` for an expression that makes a random text.
//!
//! What must come of it is told by an *oracle*: a fresh database with production's final rows on which the
//! script is run. Staging must be the same, table by table, but for what `oracle.toml` says, and after
//! what `oracle.sql` (and `oracle.after-copy.sql` or `oracle.before-copy.sql`) does to the oracle: where
//! a script that ran in the middle leaves something else than one that runs at the end.

use std::fs;
use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat};
use serde::Deserialize;

use crate::support::compare::{Except, differences_except};
use crate::support::{Connection, Db, Engine, Highwater, Pair};

/// One test per case, order and engine, some with a daemon beside, and one that every folder has a test.
macro_rules! cases {
    ($($case:ident),+; followed: $($followed:ident),+ $(,)?) => {
        const NAMED: &[&str] = &[$(stringify!($case)),+];
        cases!(@order after_copy $($case)+);
        cases!(@order followed $($followed)+);
        cases!(@order before_copy $($case)+);
    };
    (@order $order:ident $($case:ident)+) => {
        mod $order {
            use crate::support::Engine;
            contract!($($case),+);
            $(
                async fn $case(engine: Engine) {
                    let case = super::Case::new(engine, stringify!($case));
                    Box::pin(case.$order()).await;
                }
            )+
        }
    };
}

cases!(
    columns_filled_and_new_tables,
    foreign_key_becomes_number,
    primary_key_changes,
    one_row_to_many,
    one_column_to_three,
    name_becomes_id,
    key_of_four_columns,
    rows_filtered_by_rule,
    rows_removed_by_script,
    text_rewritten,
    rename_swap,
    external_column,
    tables_merged,
    tables_renamed_truncated_dropped,
    native_rows_stay,
    native_key_parks,
    keys_by_spelling;
    followed: columns_filled_and_new_tables, primary_key_changes, rows_filtered_by_rule, tables_merged,
);

#[test]
fn every_folder_has_its_tests() {
    let mut folders: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().replace('-', "_"))
        .collect();
    folders.sort();
    let mut named = NAMED.to_vec();
    named.sort_unstable();
    assert_eq!(folders, named);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/upgrade")
}

/// What `oracle.toml` says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Exceptions {
    /// `table.column`: what is generated, so that both sides may differ.
    columns: Vec<String>,
    /// Tables that are not compared.
    tables: Vec<String>,
    /// Queries whose rows must be the same: what generated numbers refer to.
    queries: Vec<String>,
    /// What `final-sync` must name as it ends with exit code 4.
    parked: Option<String>,
    /// Why the case has no sense with an upgrade before the copy.
    not_before_copy: Option<String>,
    /// Why the case has no sense on SQLite.
    not_on_sqlite: Option<String>,
}

pub struct Case {
    engine: Engine,
    folder: PathBuf,
    exceptions: Exceptions,
}

impl Case {
    fn new(engine: Engine, name: &str) -> Case {
        Case::at(engine, root().join(name.replace('_', "-")))
    }

    /// The case in a folder anywhere.
    pub fn at(engine: Engine, folder: PathBuf) -> Case {
        let mut case = Case { engine, folder, exceptions: Exceptions::default() };
        let text = case.text("oracle.toml").unwrap_or_default();
        case.exceptions = toml(&text).try_deserialize().expect("oracle.toml");
        case
    }

    fn is_left_out(&self) -> bool {
        self.engine == Engine::Sqlite && self.exceptions.not_on_sqlite.is_some()
    }

    /// The old schema is filled, then upgraded under the feet of replay.
    async fn after_copy(self) {
        if self.is_left_out() {
            return;
        }
        let (pair, highwater) = self.prepared("after-copy").await;
        highwater.run(&["copy"]).await.ok();
        self.write(&pair, "before.sql").await;
        drain(&highwater).await;
        highwater.run(&["upgrade", "--begin"]).await.ok();
        self.migrate(&pair.target).await;
        self.record(&pair.target).await;
        self.write(&pair, "while.sql").await;
        highwater.run(&["upgrade", "--done"]).await.ok();
        self.write(&pair, "after.sql").await;
        self.finish(&highwater, &pair, "oracle.after-copy.sql").await;
    }

    /// As [`Case::after_copy`], with a daemon that runs all the time.
    async fn followed(self) {
        if self.is_left_out() {
            return;
        }
        let (pair, highwater) = self.prepared("after-copy").await;
        let daemon = highwater.spawn(&["run"]);
        daemon.wait_until_in_sync().await;
        self.write(&pair, "before.sql").await;
        daemon.wait_until_in_sync().await;
        highwater.run(&["upgrade", "--begin"]).await.ok();
        self.write(&pair, "while.sql").await;
        self.migrate(&pair.target).await;
        self.record(&pair.target).await;
        highwater.run(&["upgrade", "--done"]).await.ok();
        daemon.wait_until_in_sync().await;
        self.write(&pair, "after.sql").await;
        if self.exceptions.parked.is_none() {
            daemon.wait_until_in_sync().await;
        }
        self.finish(&highwater, &pair, "oracle.after-copy.sql").await;
    }

    /// The empty schema is upgraded, and copy goes through the rules.
    async fn before_copy(self) {
        if self.is_left_out() || self.exceptions.not_before_copy.is_some() {
            return;
        }
        let (pair, highwater) = self.prepared("before-copy").await;
        highwater.run(&["upgrade", "--begin"]).await.ok();
        self.migrate(&pair.target).await;
        highwater.run(&["upgrade", "--done"]).await.ok();
        highwater.run(&["copy"]).await.ok();
        self.record(&pair.target).await;
        for file in ["before.sql", "while.sql", "after.sql"] {
            self.write(&pair, file).await;
        }
        self.finish(&highwater, &pair, "oracle.before-copy.sql").await;
    }

    /// Both sides with the old schema, production's with its first rows, and small chunks and batches.
    pub async fn prepared(&self, order: &str) -> (Pair, Highwater) {
        let pair = self.engine.pair().await;
        run(&pair.source, &self.required("schema.sql")).await;
        run(&pair.source, &self.required("rows.sql")).await;
        run(&pair.target, &self.required("schema.sql")).await;
        let highwater = Highwater::new(&pair)
            .setting("copy.chunk_rows", "3")
            .setting("replay.batch_rows", "4")
            .setting("upgrade.order", order)
            .text(&self.rules());
        (pair, highwater)
    }

    /// Runs the vendor's script.
    pub async fn migrate(&self, target: &Db) {
        run(target, &self.required("migrate.sql")).await;
    }

    /// Notes what stands now for `expect.sql` to ask later.
    async fn record(&self, target: &Db) {
        if let Some(sql) = self.text("record.sql") {
            run(target, &sql).await;
        }
    }

    /// Production does what a file says.
    pub async fn write(&self, pair: &Pair, file: &str) {
        run(&pair.source, &self.required(file)).await;
    }

    async fn finish(&self, highwater: &Highwater, pair: &Pair, adjustment: &str) {
        let output = highwater.run(&["final-sync"]).await;
        match &self.exceptions.parked {
            None => output.ok(),
            Some(key) => output.expect_code(4).says(key),
        };
        let differing = self.differences(pair, adjustment).await;
        assert!(differing.is_empty(), "the oracle (source) and the target differ:\n{}", differing.join("\n"));
        self.expect(&pair.target).await;
    }

    /// What differs between the target and the oracle (the source, in words) as production is now.
    pub async fn differences(&self, pair: &Pair, adjustment: &str) -> Vec<String> {
        let oracle = self.oracle(&pair.source, adjustment).await;
        let except = Except { tables: &self.exceptions.tables, columns: &self.exceptions.columns };
        let mut differing = differences_except(&oracle, &pair.target, &except).await;
        for query in &self.exceptions.queries {
            let (expected, found) = (sorted(&oracle, query).await, sorted(&pair.target, query).await);
            if expected != found {
                differing.push(format!("{query}: {expected:?} on the source, {found:?} on the target"));
            }
        }
        differing
    }

    /// What the script makes of production's rows as they are now.
    async fn oracle(&self, source: &Db, adjustment: &str) -> Db {
        let oracle = self.engine.pair().await.target;
        run(&oracle, &self.required("schema.sql")).await;
        let mut connection = oracle.connect().await;
        connection
            .execute(self.engine.pick(
                "SET session_replication_role = replica",
                "PRAGMA foreign_keys = OFF",
                "SET foreign_key_checks = 0",
            ))
            .await;
        copy_rows(source, &mut connection).await;
        self.migrate(&oracle).await;
        self.record(&oracle).await;
        for file in ["oracle.sql", adjustment] {
            if let Some(sql) = self.text(file) {
                run(&oracle, &sql).await;
            }
        }
        oracle
    }

    /// Asks the queries of `expect.sql`.
    pub async fn expect(&self, db: &Db) {
        let queries = self.required("expect.sql");
        for query in queries.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("--")) {
            let answer = db.value(query).await;
            assert!(matches!(answer.as_str(), "t" | "true" | "1"), "{query} gives {answer}");
        }
    }

    /// The rules with the prefix of the database. They follow keys of the database written with dots,
    /// after which TOML takes no `[database.main]`: single keys get the prefix too.
    fn rules(&self) -> String {
        let mut has_section = false;
        let line = |line: &str| {
            let section = line.starts_with('[');
            has_section |= section;
            let is_key = !has_section && line.contains('=') && !line.starts_with('#');
            match line.strip_prefix("[[").or(line.strip_prefix('[')) {
                Some(rest) if section => {
                    format!("{}database.main.{rest}\n", &line[..line.len() - rest.len()])
                }
                _ if is_key => format!("database.main.{line}\n"),
                _ => format!("{line}\n"),
            }
        };
        self.required("rules.toml").lines().map(line).collect()
    }

    fn required(&self, file: &str) -> String {
        self.text(file).unwrap_or_else(|| panic!("{} has no {file}", self.folder.display()))
    }

    fn text(&self, file: &str) -> Option<String> {
        let (name, extension) = file.rsplit_once('.')?;
        let variants: &[&str] = match self.engine {
            Engine::Postgres => &["postgres"],
            Engine::Sqlite => &["sqlite"],
            Engine::Mariadb => &["mariadb", "mysql"],
            Engine::Mysql => &["mysql9", "mysql"],
        };
        let mut files: Vec<String> = variants.iter().map(|v| format!("{name}.{v}.{extension}")).collect();
        files.push(file.to_owned());
        let text = files.iter().find_map(|file| fs::read_to_string(self.folder.join(file)).ok())?;
        Some(text.replace("{number}", self.number()).replace("{uuid}", self.uuid()))
    }

    fn number(&self) -> &'static str {
        self.engine.pick(
            "SERIAL PRIMARY KEY",
            "INTEGER PRIMARY KEY AUTOINCREMENT",
            "INT NOT NULL AUTO_INCREMENT PRIMARY KEY",
        )
    }

    fn uuid(&self) -> &'static str {
        self.engine.pick("gen_random_uuid()", "lower(hex(randomblob(16)))", "uuid()")
    }
}

fn toml(text: &str) -> Config {
    Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build().expect("TOML")
}

/// In a connection of its own, as its settings are.
async fn run(db: &Db, sql: &str) {
    if has_statement(sql) {
        db.connect().await.execute(sql).await;
    }
}

fn has_statement(sql: &str) -> bool {
    sql.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
}

/// Lets a daemon replay everything that waits.
async fn drain(highwater: &Highwater) {
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn sorted(db: &Db, query: &str) -> Vec<Vec<Option<String>>> {
    let mut rows = db.rows_as_text(query).await;
    rows.sort();
    rows
}

/// Values go as texts, which every engine reads as the type of their column.
async fn copy_rows(source: &Db, to: &mut Connection) {
    for (table, columns) in crate::support::compare::tables_with_columns(source).await {
        let list = columns.join(", ");
        let rows = source.rows_as_text(&format!("SELECT {list} FROM {table}")).await;
        let rows: Vec<String> = rows.iter().map(|row| format!("({})", literals(row))).collect();
        if !rows.is_empty() {
            to.execute(&format!("INSERT INTO {table} ({list}) VALUES {}", rows.join(", "))).await;
        }
    }
}

fn literals(row: &[Option<String>]) -> String {
    let literal = |value: &Option<String>| match value {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => "NULL".to_owned(),
    };
    row.iter().map(literal).collect::<Vec<_>>().join(", ")
}
