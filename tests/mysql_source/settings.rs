//! Every variable of the server is classed in `sql/mysql/settings.tsv`, and those classed as set are set.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::settings::{self, Setting, names_set_by};
use crate::support::{Kind, MysqlServer};

on_both!(every_variable_is_classed, what_is_classed_as_set_is_set);

const SHARED: &str = include_str!("../../sql/mysql/session.sql");
const SOURCE: &str = include_str!("../../sql/mysql/session_source.sql");
const TARGET: &str = include_str!("../../sql/mysql/session_target.sql");

/// What SET NAMES and SET TRANSACTION set.
const BY_STATEMENT: [&str; 7] = [
    "character_set_client",
    "character_set_connection",
    "collation_connection",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
];

fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Mariadb => "mariadb",
        Kind::Mysql => "mysql",
    }
}

/// The variables, with whether a session can have a value of its own.
async fn variables(kind: Kind) -> BTreeMap<String, bool> {
    let database = MysqlServer::shared(kind).database().await;
    let scopes = match kind {
        Kind::Mariadb => {
            "SELECT lower(variable_name), variable_scope FROM information_schema.system_variables"
        }
        Kind::Mysql => "SELECT variable_name, variable_scope FROM performance_schema.variables_metadata",
    };
    let scopes: BTreeMap<String, String> = database
        .rows_as_text(scopes)
        .await
        .into_iter()
        .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
        .collect();
    let shown = database.rows_as_text("SHOW SESSION VARIABLES").await;
    let names = shown.into_iter().map(|row| row[0].clone().unwrap().to_lowercase());
    let all: BTreeSet<String> = names.chain(scopes.keys().cloned()).collect();
    all.into_iter()
        .map(|name| {
            let global = scopes.get(&name).is_some_and(|scope| scope == "GLOBAL");
            (name, !global)
        })
        .collect()
}

/// A variable that a session can have its own value of is named; a pattern is enough for those of the server.
async fn every_variable_is_classed(kind: Kind) {
    let table = settings::mysql(label(kind));
    let variables = variables(kind).await;
    let classed = |name: &str, of_session: bool| {
        let exact = table.iter().filter(|row| row.is_exact() && row.is_of(name)).count();
        assert!(exact <= 1, "{name} is classed twice");
        exact == 1 || (!of_session && table.iter().any(|row| row.is_of(name)))
    };
    let missing: Vec<_> = variables.iter().filter(|(name, session)| !classed(name, **session)).collect();
    assert!(missing.is_empty(), "not in sql/mysql/settings.tsv (true: of a session): {missing:?}");
    let version = MysqlServer::shared(kind).database().await.rows_as_text("SELECT version()").await;
    let version = version[0][0].clone().unwrap();
    // Another version lacks some of them.
    if version.starts_with("10.11.") || version.starts_with("9.7.") {
        let unknown = |row: &&Setting| !variables.keys().any(|name| row.is_of(name));
        let unknown: Vec<_> = table.iter().filter(unknown).map(|row| row.name).collect();
        assert!(unknown.is_empty(), "not known to the server: {unknown:?}");
    }
}

async fn what_is_classed_as_set_is_set(kind: Kind) {
    let table = settings::mysql(label(kind));
    for side in [SOURCE, TARGET] {
        let names = names_set_by(&format!("{SHARED}\n{side}"));
        let is_set = |name: &str| BY_STATEMENT.contains(&name) || names.iter().any(|set| set == name);
        for row in table.iter().filter(|row| row.is_set()) {
            assert!(is_set(row.name), "{} is classed as set, and set by no file", row.name);
        }
        let both = [settings::mysql("mysql"), settings::mysql("mariadb")].concat();
        for name in &names {
            let classed = both.iter().any(|row| row.is_set() && row.name == name);
            assert!(classed, "{name} is set by a file, and not classed as set");
        }
    }
}
