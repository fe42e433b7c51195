//! The whole program on what only PostgreSQL has: snapshots, prepared transactions, roles, clusters.

mod clusters;
mod fence;
mod others;
mod outages;
mod paths;
mod table_changes;
mod takeover;

use crate::support::{Highwater, Pair};

const TABLES: &str = "
    CREATE TABLE t (id integer PRIMARY KEY, v text);
    CREATE TABLE other (id integer PRIMARY KEY, v text);";

/// A source with a few rows, copied to its target.
async fn copied(pair: &Pair) -> Highwater {
    pair.execute_on_both(TABLES).await;
    pair.source.execute("INSERT INTO t SELECT n, 'v' || n FROM generate_series(1, 100) n").await;
    let highwater = Highwater::new(pair);
    highwater.run(&["copy"]).await.ok();
    highwater
}
