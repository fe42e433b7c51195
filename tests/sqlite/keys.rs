//! Every kind of key, and every way a row is changed.

use super::rig::{LIMITS, Rig};

/// Copies, changes production, replays, compares.
async fn replayed(tables: &str, before: &str, during: &str) -> Rig {
    let mut rig = Rig::new(tables).await;
    rig.files.source.execute(before).await;
    rig.drain_all().await;
    rig.assert_all_same().await;
    rig.files.source.execute(during).await;
    rig.drain_all().await;
    rig.assert_all_same().await;
    rig
}

#[tokio::test]
async fn a_changed_key_is_logged_as_two() {
    let rig = replayed(
        "CREATE TABLE t (a TEXT NOT NULL, b INT NOT NULL, v, PRIMARY KEY (a, b))",
        "INSERT INTO t VALUES ('x', 1, 'one'), ('y', 1, 'two')",
        "UPDATE t SET b = 2 WHERE a = 'x'; UPDATE t SET v = 'n' WHERE a = 'y'; DELETE FROM t WHERE a = 'y'",
    )
    .await;
    let logged = rig.logged("t").await;
    assert_eq!(logged[2..], ["D 'x' 1", "I 'x' 2", "U 'y' 1", "D 'y' 1"]);
}

#[tokio::test]
async fn replace_logs_the_rows_it_eats_through_each_unique_index() {
    let tables = "
        CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INT, c INT, d TEXT, g INT AS (c * 10) \
        STORED);
        CREATE UNIQUE INDEX bc ON t (b, c);
        CREATE UNIQUE INDEX partial ON t (d) WHERE c > 100;
        CREATE UNIQUE INDEX expression ON t (lower(d) || '-' || b) WHERE b IS NOT NULL;
        CREATE UNIQUE INDEX nocase ON t (d COLLATE NOCASE, id % 100) WHERE c > 200;
        CREATE UNIQUE INDEX computed ON t (g, b);";
    let rows = "INSERT INTO t (id, a, b, c, d) VALUES (1, 'a', 1, 1, 'x'), (2, 'b', 2, 2, 'y'), (3, 'c', \
        3, 300, 'P'), \
                (4, 'd', 4, 4, 'Q'), (5, NULL, NULL, NULL, NULL), (6, NULL, NULL, NULL, NULL)";
    let rig = replayed(
        tables,
        rows,
        "REPLACE INTO t (id, a, b, c, d) VALUES (10, 'a', 10, 10, 'x10');
         REPLACE INTO t (id, a, b, c, d) VALUES (11, 'k', 2, 2, 'x11');
         REPLACE INTO t (id, a, b, c, d) VALUES (12, 'l', 12, 120, 'P');
         REPLACE INTO t (id, a, b, c, d) VALUES (103, 'm', 13, 301, 'p');
         UPDATE OR REPLACE t SET d = 'q', b = 4 WHERE id = 10;
         UPDATE OR REPLACE t SET a = 'k' WHERE id = 12;
         INSERT INTO t (id, a, b, c, d) VALUES (12, 'z', 77, 77, 'u') ON CONFLICT (id) DO UPDATE SET a = 'up';
         INSERT OR IGNORE INTO t (id, a) VALUES (10, 'up')",
    )
    .await;
    let eaten: Vec<String> = rig.logged("t").await.into_iter().filter(|l| l.starts_with('R')).collect();
    for key in [1, 2, 3, 4, 11] {
        assert!(eaten.contains(&format!("R {key}")), "{key} is not among {eaten:?}");
    }
}

#[tokio::test]
async fn a_definition_that_says_on_conflict_replace_eats_rows_too() {
    replayed(
        "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, u UNIQUE ON CONFLICT REPLACE, v)",
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)",
        "INSERT INTO t VALUES (3, 'a', 'three'); UPDATE t SET u = 'b' WHERE id = 3",
    )
    .await;
}

#[tokio::test]
async fn a_given_rowid_eats_rows_where_no_column_names_it() {
    replayed(
        "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, v); CREATE TABLE \"new\" (k TEXT NOT NULL PRIMARY \
            KEY, u UNIQUE)",
        "INSERT INTO t (rowid, k, v) VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3); INSERT INTO \"new\" \
            VALUES ('a', 1), ('b', 2)",
        "REPLACE INTO t (rowid, k, v) VALUES (1, 'z', 9); UPDATE OR REPLACE t SET rowid = 2 WHERE k = 'c';
         REPLACE INTO \"new\" VALUES ('c', 1)",
    )
    .await;
}

#[tokio::test]
async fn every_kind_of_table_is_replayed() {
    let rig = replayed(
        "CREATE TABLE auto (id INTEGER PRIMARY KEY AUTOINCREMENT, v);
         CREATE TABLE wr (a TEXT, b INT, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
         CREATE TABLE nocase (k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v);
         CREATE TABLE rtrim (k TEXT COLLATE RTRIM PRIMARY KEY, v) WITHOUT ROWID;
         CREATE TABLE nullable (k TEXT PRIMARY KEY, v);
         CREATE TABLE by_unique (k TEXT PRIMARY KEY, u INT NOT NULL UNIQUE, v);
         CREATE TABLE strict (id INT PRIMARY KEY NOT NULL, r REAL, a ANY) STRICT;
         CREATE TABLE computed (id INTEGER PRIMARY KEY, a INT, s INT AS (a + 1) STORED, v INT AS (a + 2));
         CREATE TABLE keyless (a, b); CREATE TABLE bare (rowid TEXT, _rowid_ TEXT, oid TEXT);
         CREATE TABLE \"odd \"\"name\" (\"k 1\" INT NOT NULL, \"select\" TEXT NOT NULL, \"it's\", \
         PRIMARY KEY (\"k 1\", \"select\"));
         CREATE TABLE rowids (rowid TEXT, _rowid_ TEXT, oid TEXT, k INT NOT NULL UNIQUE);
         CREATE TABLE tree (id INTEGER PRIMARY KEY, up INT REFERENCES tree (id) ON DELETE CASCADE ON \
         UPDATE CASCADE);",
        "INSERT INTO auto (v) VALUES ('a'), ('b'), ('c');
         INSERT INTO wr VALUES ('a', 1, 1), ('a', 2, 2), ('b', 1, 3);
         INSERT INTO nocase VALUES ('Anna', 1), ('Bert', 2);
         INSERT INTO rtrim VALUES ('a', 1), ('b', 2);
         INSERT INTO nullable VALUES (NULL, 1), (NULL, 1), ('a', 2);
         INSERT INTO by_unique VALUES (NULL, 1, 1), (NULL, 2, 2), ('a', 3, 3);
         INSERT INTO strict VALUES (1, 1.5, 'x'), (2, 2, 2), (3, 3, x'00');
         INSERT INTO computed (id, a) VALUES (1, 1), (2, 2);
         INSERT INTO keyless VALUES (1, 1), (1, 1), (NULL, 'x'), (2, 2);
         INSERT INTO \"odd \"\"name\" VALUES (1, 'a', 1), (1, 'b', 2);
         INSERT INTO rowids VALUES ('x', 'y', 'z', 1), ('x', 'y', 'z', 2);
         INSERT INTO bare VALUES (1, 2, 3), (1, 2, 3); INSERT INTO tree VALUES (1, NULL), (2, 1), (3, \
         2), (4, NULL);",
        "DELETE FROM auto WHERE id = 3; INSERT INTO auto (v) VALUES ('d');
         UPDATE wr SET b = 9 WHERE v = 2; DELETE FROM wr WHERE v = 3;
         UPDATE nocase SET k = 'ANNA' WHERE k = 'anna'; REPLACE INTO nocase VALUES ('bert', 3);
         REPLACE INTO rtrim VALUES ('a  ', 5); UPDATE rtrim SET k = 'c' WHERE k = 'b';
         DELETE FROM nullable WHERE rowid = 1; INSERT INTO nullable VALUES (NULL, 7);
         REPLACE INTO by_unique VALUES ('a', 9, 9); UPDATE by_unique SET k = 'q' WHERE u = 1;
         UPDATE strict SET a = 1.0 WHERE id = 1; DELETE FROM strict WHERE id = 3;
         UPDATE computed SET a = 7 WHERE id = 1;
         DELETE FROM keyless WHERE rowid = 1; INSERT INTO keyless VALUES (NULL, 'x'), (x'01', 1.5);
         UPDATE \"odd \"\"name\" SET \"select\" = 'it''s' WHERE \"k 1\" = 1 AND \"select\" = 'a';
         INSERT INTO bare VALUES (NULL, NULL, 4); DELETE FROM rowids WHERE k = 1; UPDATE rowids SET oid = 'o';
         PRAGMA foreign_keys = ON; DELETE FROM tree WHERE id = 1; PRAGMA foreign_keys = OFF",
    )
    .await;
    use highwater::model::Strategy::{Keyed, Whole};
    for (table, strategy) in [("nullable", Whole), ("keyless", Whole), ("by_unique", Keyed), ("rtrim", Keyed)]
    {
        assert_eq!(rig.table(table).strategy, strategy, "{table}");
    }
    assert_eq!(rig.table("by_unique").key, ["u"]);
    assert_eq!(rig.files.source.value("SELECT count(*) FROM tree").await, "1", "the cascade reached the end");
    assert_eq!(rig.files.target.value("SELECT s || ',' || v FROM computed WHERE id = 1").await, "8,9");
}

#[tokio::test]
async fn keys_that_a_collation_takes_for_one_are_one() {
    let mut rig = Rig::new("CREATE TABLE t (k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v)").await;
    let changes =
        "INSERT INTO t VALUES ('a', 1); UPDATE t SET k = 'A'; DELETE FROM t; INSERT INTO t VALUES ('a', 2)";
    rig.files.source.execute(changes).await;
    let batch = rig.batch("t", LIMITS).await.unwrap();
    assert_eq!((batch.keys, batch.entries), (1, 4));
    rig.drain("t").await;
    rig.assert_same("t").await;
}

#[tokio::test]
async fn a_key_of_another_collation_on_the_target_is_a_blocker() {
    let rig = Rig::bare(
        "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, v)",
        "CREATE TABLE t (k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, v)",
        &[],
    )
    .await;
    let schema = rig.target.schema().await.unwrap();
    let survey = rig.target.survey(&schema, &rig.plan).await.unwrap();
    assert!(survey.blockers[0].what.contains("another collation"), "{:?}", survey.blockers);
}

#[tokio::test]
async fn a_swap_of_unique_values_lifts_rows_and_keeps_what_only_the_target_has() {
    let source = "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT NOT NULL UNIQUE)";
    let target = "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT NOT NULL UNIQUE, extra TEXT DEFAULT 'd')";
    let mut rig = Rig::with(source, target).await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')").await;
    rig.drain("t").await;
    rig.files.target.execute("UPDATE t SET extra = 'mine ' || id").await;
    rig.files
        .source
        .execute(
            "UPDATE t SET u = 'x' WHERE id = 1; UPDATE t SET u = 'a' WHERE id = 2; UPDATE t SET u = 'b' \
                WHERE id = 1;
             DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (5, 'c')",
        )
        .await;
    let applied = rig.drain("t").await;
    assert_eq!((applied.updated, applied.inserted, applied.deleted), (2, 1, 1));
    rig.assert_same("t").await;
    let extra = rig
        .files
        .target
        .rows_as_text("SELECT group_concat(extra, ',') FROM (SELECT * FROM t ORDER BY id)")
        .await;
    assert_eq!(extra[0][0].as_deref(), Some("mine 1,mine 2,mine 4,d"));
}

#[tokio::test]
async fn expressions_of_an_index_see_new_values_with_the_affinity_of_their_column() {
    let rig = replayed(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, n INTEGER, b);
         CREATE UNIQUE INDEX by_text ON t (b, (a > 1)); CREATE UNIQUE INDEX by_number ON t (b, (n = '2'))",
        "INSERT INTO t VALUES (1, '', 2, 1), (2, '3', 9, 2), (3, 'z', 'x', 3)",
        "REPLACE INTO t VALUES (10, '0', 9, 1); REPLACE INTO t VALUES (11, '', 8, 2);
         REPLACE INTO t VALUES (12, x'7a', 'y', 3)",
    )
    .await;
    let eaten: Vec<String> = rig.logged("t").await.into_iter().filter(|l| l.starts_with('R')).collect();
    for key in [1, 2, 3] {
        assert!(eaten.contains(&format!("R {key}")), "{key} is not among {eaten:?}");
    }
}
