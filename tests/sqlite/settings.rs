//! Every pragma of the library is classed in `sql/sqlite/pragmas.tsv`, and those classed as set are set.

use crate::support::settings::{self, names_set_by};
use crate::support::{Db, Pair};

#[tokio::test]
async fn every_pragma_is_classed() {
    let pair = Pair::sqlite().await;
    let Db::Sqlite(file) = &pair.source else { unreachable!("a pair of SQLite") };
    let known = file.rows_as_text("SELECT name FROM pragma_pragma_list").await;
    let known: Vec<String> = known.into_iter().map(|row| row[0].clone().unwrap()).collect();
    let table = settings::sqlite();
    let missing: Vec<_> =
        known.iter().filter(|name| table.iter().filter(|row| row.is_of(name)).count() != 1).collect();
    assert!(missing.is_empty(), "not, or twice, in sql/sqlite/pragmas.tsv: {missing:?}");
    let unknown: Vec<_> = table.iter().filter(|row| !known.iter().any(|name| row.is_of(name))).collect();
    assert!(unknown.is_empty(), "not known to the library: {unknown:?}");
}

/// `connect.rs` sets those that readers and the writer have otherwise.
#[test]
fn what_is_classed_as_set_is_set() {
    let names = names_set_by(include_str!("../../sql/sqlite/session.sql"));
    let code = include_str!("../../src/engine/sqlite/connect.rs");
    let by_code = ["query_only", "synchronous", "busy_timeout", "cache_size"];
    let table = settings::sqlite();
    for row in table.iter().filter(|row| row.is_set()) {
        let by_code = by_code.contains(&row.name) && code.contains(row.name);
        assert!(by_code || names.iter().any(|name| row.is_of(name)), "{} is not set", row.name);
    }
    for name in &names {
        assert!(table.iter().any(|row| row.is_set() && row.is_of(name)), "{name} is set, and not classed so");
    }
}
