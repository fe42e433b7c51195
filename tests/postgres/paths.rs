//! Rows that one way does not read or write: types without a binary form, functions that need a search path.

use crate::support::compare::assert_same;
use crate::support::{Highwater, Pair};

/// Copies, changes production, replays; both sides must be the same.
async fn carried(pair: &Pair, highwater: &Highwater, changes: &str) {
    highwater.run(&["copy"]).await.ok();
    pair.source.execute(changes).await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_same(pair).await;
}

#[tokio::test]
async fn types_without_a_binary_form_travel_as_text() {
    let pair = Pair::postgres().await;
    pair.execute_on_both(
        "CREATE EXTENSION isn; CREATE EXTENSION seg;
         CREATE DOMAIN book AS isbn; CREATE TYPE shelf AS (place int, held book[]);
         CREATE TABLE books (id isbn PRIMARY KEY, s seg, v text);
         CREATE TABLE shelves (id int PRIMARY KEY, held shelf, also isbn[], v text);
         CREATE TABLE rights (id int PRIMARY KEY, a aclitem[], c regclass[]);",
    )
    .await;
    pair.source
        .execute(
            "INSERT INTO books VALUES ('978-0-393-04002-9', '1 .. 2', 'a'), ('0-19-852663-6', '<3', 'b');
             INSERT INTO shelves VALUES (1, ROW(1, ARRAY['0-19-852663-6']::book[]), '{0-19-852663-6}', 'a');
             INSERT INTO rights VALUES (1, ARRAY[makeaclitem(10, 10, 'SELECT', false)], '{pg_class}');",
        )
        .await;
    let changes = "UPDATE books SET s = '1.50 .. 2', v = 'x' WHERE v = 'a'; DELETE FROM books WHERE v = 'b';
        INSERT INTO books VALUES ('0-19-852663-6', NULL, 'again');
        UPDATE shelves SET held = ROW(2, '{}'); UPDATE rights SET a = a || a";
    carried(&pair, &Highwater::new(&pair), changes).await;
}

/// Functions that name others without their schema, where an application's sessions find them.
const FUNCTIONS: &str = "
    CREATE SCHEMA helpers; CREATE EXTENSION unaccent SCHEMA helpers;
    CREATE FUNCTION helpers.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT unaccent($1)';
    CREATE FUNCTION helpers.is_plain(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
        AS 'BEGIN RETURN unaccent($1) <> ''x''; END';
    CREATE DOMAIN helpers.word AS text CHECK (helpers.is_plain(VALUE));
    CREATE TABLE indexed (id int PRIMARY KEY, name text);
    CREATE INDEX ON indexed (helpers.plain(name));
    CREATE TABLE checked (id int PRIMARY KEY, name text CHECK (helpers.plain(name) <> 'x'));
    CREATE TABLE worded (id helpers.word PRIMARY KEY, v helpers.word);
    CREATE TABLE computed (id int PRIMARY KEY, name text, p text GENERATED ALWAYS AS (helpers.plain(name)) STORED);
    CREATE TABLE keyless (name text CHECK (helpers.is_plain(name)));
    CREATE INDEX ON keyless (helpers.plain(name));";

const WORDS: &str = "
    INSERT INTO indexed VALUES (1, 'José'), (2, 'Ana'), (3, 'é');
    INSERT INTO checked VALUES (1, 'à'), (2, 'b');
    INSERT INTO worded VALUES ('à', 'b'), ('c', 'd');
    INSERT INTO computed VALUES (1, 'é');
    INSERT INTO keyless VALUES ('a'), ('a');";

const CHANGED: &str = "
    UPDATE indexed SET name = 'Jose' WHERE id = 1; DELETE FROM indexed WHERE id = 2;
    UPDATE checked SET name = 'ü'; UPDATE worded SET v = 'ö'; INSERT INTO worded VALUES ('e', 'f');
    UPDATE computed SET name = 'è'; INSERT INTO keyless VALUES ('ä'); DELETE FROM worded WHERE id = 'c';";

/// The path of whoever connects to that database from now on.
async fn set_path(pair: &Pair) {
    for side in [&pair.source, &pair.target] {
        let name = side.value("SELECT current_database()").await;
        side.execute(&format!("ALTER DATABASE \"{name}\" SET search_path = public, helpers")).await;
    }
}

/// Compares rows in new sessions: the others have another path.
async fn assert_same_words(pair: &Pair) {
    let (mut here, mut there) = (pair.source.connect().await, pair.target.connect().await);
    for table in ["indexed", "checked", "worded", "computed", "keyless"] {
        let rows = format!("SELECT t::text FROM {table} AS t ORDER BY 1");
        assert_eq!(here.rows_as_text(&rows).await, there.rows_as_text(&rows).await, "{table}");
    }
}

#[tokio::test]
async fn rows_are_read_and_written_under_the_path_of_the_database() {
    let pair = Pair::postgres().await;
    set_path(&pair).await;
    let mut there = pair.target.connect().await;
    pair.source.connect().await.execute(&format!("{FUNCTIONS}{WORDS}")).await;
    there.execute(FUNCTIONS).await;
    let highwater = Highwater::new(&pair).setting("copy.chunk_rows", "1");
    highwater.run(&["plan"]).await.ok().says("rows are read and written under search_path = public, helpers");
    highwater.run(&["copy"]).await.ok();
    pair.source.connect().await.execute(CHANGED).await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_same_words(&pair).await;
    assert_eq!(there.rows_as_text("SELECT p FROM computed").await, [[Some("e".to_string())]]);
}

#[tokio::test]
async fn tables_are_made_under_the_path_of_the_database() {
    let pair = Pair::postgres().await;
    set_path(&pair).await;
    pair.source.connect().await.execute(&format!("{FUNCTIONS}{WORDS}")).await;
    let highwater = Highwater::new(&pair).setting("copy.schema", "create");
    highwater.run(&["copy"]).await.ok();
    pair.source.connect().await.execute(CHANGED).await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same_words(&pair).await;
}

#[tokio::test]
async fn a_table_in_which_nothing_can_be_written_is_named() {
    let pair = Pair::postgres().await;
    pair.execute_on_both(
        "CREATE TABLE bare (); CREATE TABLE made (g int GENERATED ALWAYS AS (1) STORED);
         CREATE TABLE t (\"k\ney\" int PRIMARY KEY, v text)",
    )
    .await;
    pair.source.execute("INSERT INTO t VALUES (1, 'a'); INSERT INTO bare DEFAULT VALUES").await;
    let refused = Highwater::new(&pair).run(&["plan"]).await.expect_code(3);
    refused
        .says("bare: no column of the table can be written")
        .says("made: no column of the table can be written");
    let highwater = Highwater::new(&pair).setting("database.main.exclude", "[\"bare\", \"made\"]");
    highwater.run(&["copy"]).await.ok();
    pair.source.execute("UPDATE t SET v = 'b'; INSERT INTO t VALUES (2, 'c')").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value("SELECT count(*) FROM t WHERE v IN ('b', 'c')").await, "2");
}

#[tokio::test]
async fn a_table_with_so_many_columns_that_changed_rows_have_no_room_is_named() {
    let pair = Pair::postgres().await;
    let columns = |to: usize| (2..=to).map(|n| format!("c{n} int")).collect::<Vec<_>>().join(", ");
    let (wide, wider) = (columns(1596), columns(1597));
    pair.execute_on_both(&format!("CREATE TABLE wide (c1 int PRIMARY KEY, {wide})")).await;
    pair.source.execute("INSERT INTO wide (c1, c1596) VALUES (1, 2), (2, 3), (3, 4)").await;
    let changes = "UPDATE wide SET c800 = 1 WHERE c1 = 1; DELETE FROM wide WHERE c1 = 2; INSERT INTO wide (c1) VALUES (9)";
    carried(&pair, &Highwater::new(&pair), changes).await;
    let other = Pair::postgres().await;
    other.execute_on_both(&format!("CREATE TABLE wider (c1 int PRIMARY KEY, {wider})")).await;
    let refused = Highwater::new(&other).run(&["plan"]).await.expect_code(3);
    refused.says("wider: its 1597 columns and its key don't fit into the 1600 columns that a table can have");
}
