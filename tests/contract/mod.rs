//! What highwater promises, on every engine: each case runs the real program on real databases.

mod bad_input;
mod checkpoints;
mod constraints;
mod crashes;
mod fence;
mod final_sync;
mod foreseen;
mod further;
mod guards;
mod hostile;
mod main_job;
mod ownership;
mod parked;
mod points;
mod races;
mod rules;
mod scripts;
mod silence;
mod states;
mod status;
mod upgrade;
mod values;

use crate::support::compare::eventually_same;
use crate::support::{Engine, Highwater, Pair};

/// Three tables such as products have them: a unique value, a composite key with a cascade, and a
/// keyless table with duplicates.
const TABLES: &str = "
    CREATE TABLE parents (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, note TEXT);
    CREATE TABLE children (
        parent_id INTEGER NOT NULL,
        n INTEGER NOT NULL,
        note TEXT,
        PRIMARY KEY (parent_id, n),
        FOREIGN KEY (parent_id) REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE audit (happened INTEGER, what TEXT);";

/// Rows for [`TABLES`]: 500 parents, 1,500 children, 200 audit entries of which half are duplicates.
const ROWS: &str = "
    INSERT INTO parents
    WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 500)
    SELECT n, 'p' || n, NULL FROM s;
    INSERT INTO children
    WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 1499)
    SELECT (n - n % 3) / 3 + 1, n % 3, 'c' || n FROM s;
    INSERT INTO audit
    WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 199)
    SELECT (n - n % 2) / 2, CASE WHEN n % 20 = 0 THEN NULL ELSE 'a' END FROM s;";

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

contract!(the_shop_is_the_same_everywhere);

/// The texts above do the same on every engine, and they do all that they say.
async fn the_shop_is_the_same_everywhere(engine: Engine) {
    let (pair, _) = shop(engine).await;
    let count = async |what: &str| pair.source.value(&format!("SELECT count(*) FROM {what}")).await;
    assert_eq!(count("parents WHERE name = 'p' || id").await, "500");
    assert_eq!(count("children WHERE note = 'c' || ((parent_id - 1) * 3 + n)").await, "1500");
    assert_eq!(count("audit WHERE what IS NULL").await, "10");
    assert_eq!(count("(SELECT DISTINCT happened FROM audit) d").await, "100");
    pair.source.execute(CHANGES).await;
    pair.source.execute(SWAP).await;
    assert_eq!(count("parents").await, "490");
    assert_eq!(count("children WHERE parent_id <> 500 AND parent_id <> 1000").await, "1464");
    assert_eq!(count("audit").await, "200");
    assert_eq!(pair.source.value("SELECT name FROM parents WHERE id = 2").await, "p1");
}

/// How many of highwater's things a side of MySQL holds: in its own database, and logs of its tables.
const MYSQL_OBJECTS: &str = "
    SELECT (SELECT count(*) FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_name LIKE 'highwater%')
         + (SELECT count(*) FROM information_schema.tables
            WHERE table_schema LIKE 'highwater%' AND table_name LIKE CONCAT(DATABASE(), '.%'))
         + (SELECT count(*) FROM information_schema.triggers
            WHERE trigger_schema = DATABASE() AND trigger_name LIKE 'highwater%')
         + (SELECT count(*) FROM information_schema.routines WHERE routine_schema = DATABASE())";

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
