//! Every setting of the server is classed in `sql/postgres/settings.tsv`, and those classed as set are set.

use crate::support::Server;
use crate::support::settings::{self, names_set_by};

const SESSION: &str = include_str!("../../sql/postgres/session.sql");

async fn known() -> (i64, Vec<(String, String)>) {
    let database = Server::shared().database().await;
    let version = database.rows_as_text("SELECT current_setting('server_version_num')::int / 10000").await;
    let rows = database.rows_as_text("SELECT name, context FROM pg_settings WHERE name NOT LIKE '%.%'").await;
    let pair = |row: Vec<Option<String>>| (row[0].clone().unwrap(), row[1].clone().unwrap());
    (version[0][0].clone().unwrap().parse().unwrap(), rows.into_iter().map(pair).collect())
}

#[tokio::test]
async fn every_setting_is_classed() {
    let (version, known) = known().await;
    let table = settings::postgres(version);
    let classed = |name: &str, context: &str| {
        let exact = table.iter().filter(|row| row.is_exact() && row.is_of(name)).count();
        assert!(exact <= 1, "{name} is classed twice");
        exact == 1 || table.iter().any(|row| row.name.strip_prefix('@') == Some(context))
    };
    let missing: Vec<_> = known.iter().filter(|(name, context)| !classed(name, context)).collect();
    assert!(missing.is_empty(), "not in sql/postgres/settings.tsv: {missing:?}");
    let exact = table.iter().filter(|row| row.is_exact());
    let unknown: Vec<_> =
        exact.filter(|row| !known.iter().any(|(name, _)| row.is_of(name))).map(|row| row.name).collect();
    assert!(unknown.is_empty(), "not known to the server: {unknown:?}");
}

#[tokio::test]
async fn what_is_classed_as_set_is_set() {
    let names: Vec<String> = names_set_by(SESSION).into_iter().filter(|name| name != "name").collect();
    let every = [settings::postgres(15), settings::postgres(18)].concat();
    for row in every.iter().filter(|row| row.is_set()) {
        assert!(names.iter().any(|name| row.is_of(name)), "{} is classed as set, and is not", row.name);
    }
    for name in names.iter().filter(|name| *name != "setting") {
        assert!(every.iter().any(|row| row.is_set() && row.is_of(name)), "{name} is set, and not classed so");
    }
}
