//! What highwater promises, on every engine: each case runs the real program on real databases.

mod bad_input;
mod crashes;
mod final_sync;
mod guards;
mod main_job;
mod parked;
mod races;

use std::time::Duration;

use crate::support::compare::differences;
use crate::support::{Engine, Highwater, Pair, eventually};

/// Three tables such as products have them: a unique value, a composite key with a cascade, and a
/// keyless table with duplicates.
const TABLES: &str = "
    CREATE TABLE parents (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, note TEXT);
    CREATE TABLE children (
        parent_id INTEGER NOT NULL REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE,
        n INTEGER NOT NULL,
        note TEXT,
        PRIMARY KEY (parent_id, n));
    CREATE TABLE audit (happened INTEGER, what TEXT);";

/// Rows for [`TABLES`]: 500 parents, 1,500 children, 200 audit entries of which half are duplicates.
const ROWS: &str = "
    WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 500)
    INSERT INTO parents SELECT n, 'p' || n, NULL FROM s;
    WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 1499)
    INSERT INTO children SELECT n / 3 + 1, n % 3, 'c' || n FROM s;
    WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 199)
    INSERT INTO audit SELECT n / 2, CASE WHEN n % 20 = 0 THEN NULL ELSE 'a' END FROM s;";

/// Changes of every kind to [`ROWS`].
const CHANGES: &str = "
    INSERT INTO parents VALUES (501, 'new', 'n');
    UPDATE parents SET note = 'changed' WHERE id <= 50;
    UPDATE parents SET id = 1000 WHERE id = 500;
    DELETE FROM children WHERE parent_id BETWEEN 400 AND 410;
    DELETE FROM parents WHERE id BETWEEN 400 AND 410;
    UPDATE children SET n = n + 10 WHERE parent_id = 7;
    INSERT INTO audit VALUES (1, 'again'), (1, 'again');
    DELETE FROM audit WHERE happened = 3;";

/// Two parents of [`ROWS`] swap their unique names.
const SWAP: &str = "
    UPDATE parents SET name = 'tmp' WHERE id = 1;
    UPDATE parents SET name = 'p1' WHERE id = 2;
    UPDATE parents SET name = 'p2' WHERE id = 1;";

/// A source with rows, and a target with the same empty tables.
async fn shop(engine: Engine) -> (Pair, Highwater) {
    let pair = engine.pair().await;
    pair.execute_on_both(TABLES).await;
    pair.source.execute(ROWS).await;
    let highwater = settings(&pair);
    (pair, highwater)
}

/// Settings with small chunks and batches, so that a few rows make many of them.
fn settings(pair: &Pair) -> Highwater {
    Highwater::new(pair).setting("copy.chunk_rows", "100").setting("replay.batch_rows", "40")
}

/// Waits until both sides are the same. (In sync is less: a lag under `replay.in_sync_lag`.)
async fn eventually_same(pair: &Pair) {
    eventually(Duration::from_secs(30), || async {
        let differences = differences(&pair.source, &pair.target, &[]).await;
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    })
    .await;
}
