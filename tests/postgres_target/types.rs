//! Every type goes through load and through the stage, bit by bit.

use highwater::model::Form;

use super::side::{Side, did};
use crate::support::compare;

const FORMS: [Form; 2] = [Form::CopyBinary, Form::CopyText];

/// A column for each type, with values at its limits.
const TYPES: &[(&str, &str, &[&str])] = &[
    ("small", "smallint", &["'-32768'", "32767"]),
    ("whole", "integer", &["'-2147483648'", "2147483647"]),
    ("big", "bigint", &["'-9223372036854775808'", "9223372036854775807"]),
    ("num", "numeric", &["'NaN'", "'Infinity'", "'-Infinity'", "1.0", "1.00", "1e-300", "-1e300", "0.000"]),
    ("num_short", "numeric(10,2)", &["'NaN'", "99999999.99"]),
    ("single", "real", &["'NaN'", "'-0'", "'Infinity'", "1e-45", "3.4028235e38"]),
    (
        "double",
        "double precision",
        &["'NaN'", "'-0'", "'-Infinity'", "5e-324", "1.7976931348623157e308", "0.1"],
    ),
    ("cash", "money", &["'-92233720368547758.08'", "12.34"]),
    ("truth", "boolean", &["true", "false"]),
    ("text", "text", &["''", "E'a\\tb\\n\\\\N'", "'\\N'", "'ünïcode 🌊'", "repeat('long', 5000)"]),
    ("short", "varchar(5)", &["''", "'12345'", "'a  '"]),
    ("padded", "char(5)", &["''", "'a'", "'12345'"]),
    ("one", "\"char\"", &["'x'", "''"]),
    ("ident", "name", &["'some name'"]),
    ("bytes", "bytea", &["''", "'\\x00ff5c27'", "decode(repeat('00', 9000), 'hex')"]),
    ("day", "date", &["'0044-03-15 BC'", "'infinity'", "'-infinity'", "'5874897-12-31'", "'4713-01-01 BC'"]),
    ("clock", "time(3)", &["'24:00:00'", "'00:00:00.123'"]),
    ("clock_tz", "timetz", &["'12:00:00+15:59'", "'00:00:00.000001-15:59'"]),
    ("moment", "timestamp", &["'infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999'"]),
    (
        "moment_tz",
        "timestamptz",
        &["'-infinity'", "'0001-01-01 00:00:00+00 BC'", "'2024-02-29 23:59:59.999999+13:45'"],
    ),
    ("span", "interval", &["'-178000000 years'", "'1 mon -1 day 00:00:00.000001'", "'P1Y2M3DT4H5M6S'"]),
    ("bits", "bit(5)", &["B'10101'"]),
    ("bits_var", "varbit", &["B''", "B'1011101'"]),
    ("uid", "uuid", &["'00000000-0000-0000-0000-000000000000'"]),
    ("js", "json", &["'{\"a\":1,  \"a\":2}'", "'null'"]),
    ("jsb", "jsonb", &["'{\"a\": [1.00, null, \"\\u00fc\"]}'", "'1e3'"]),
    ("doc", "xml", &["'<a b=\"1\">text</a>'", "'mixed <b/> content'"]),
    ("net", "inet", &["'192.168.0.1/24'", "'::ffff:1.2.3.4'"]),
    ("net_block", "cidr", &["'10.0.0.0/8'", "'2001:db8::/32'"]),
    ("mac", "macaddr", &["'08:00:2b:01:02:03'"]),
    ("mac8", "macaddr8", &["'08:00:2b:01:02:03:04:05'"]),
    ("spot", "point", &["'(1.5,-0)'", "'(NaN,Infinity)'"]),
    ("line", "line", &["'{1,2,3}'"]),
    ("seg", "lseg", &["'[(0,0),(1,1)]'"]),
    ("box", "box", &["'(1,1),(0,0)'"]),
    ("way", "path", &["'[(0,0),(1,1),(2,0)]'", "'((0,0),(1,1))'"]),
    ("poly", "polygon", &["'((0,0),(1,1),(2,0))'"]),
    ("circle", "circle", &["'<(0,0),5>'"]),
    ("words", "tsvector", &["'a:1A b:2,3B'::tsvector", "'it''s'"]),
    ("query", "tsquery", &["'a & (b | !c) <-> d:*'"]),
    ("lsn", "pg_lsn", &["'FFFFFFFF/FFFFFFFF'"]),
    ("snap", "pg_snapshot", &["'10:20:10,14'"]),
    ("ints", "integer[]", &["'{}'", "'[-2:0]={1,NULL,3}'", "'{{1,2},{3,4}}'"]),
    ("texts", "text[]", &["'{NULL,\"NULL\",\"\",\"a,b\\\"\"}'"]),
    ("shorts", "varchar(3)[]", &["'{abc}'"]),
    ("pads", "char(3)[]", &["'{a,abc}'"]),
    ("span_i", "int4range", &["'empty'", "'[1,5)'", "'(,)'"]),
    ("span_n", "numrange", &["'(1.10,2.20]'"]),
    ("span_t", "tstzrange", &["'[-infinity,infinity]'"]),
    ("spans", "int4multirange", &["'{}'", "'{[1,3),[7,9)}'"]),
    ("spans_d", "datemultirange", &["'{[2020-01-01,2020-02-01)}'"]),
    ("mood", "mood", &["'so so'", "'Ünhappy'"]),
    ("moods", "mood[]", &["'{\"so so\",NULL}'"]),
    ("posint", "posint", &["1", "2147483647"]),
    ("posints", "posint[]", &["'{1,2}'"]),
    ("code", "code", &["'ab'"]),
    ("place", "place", &["'(1,\"a, b\",\"so so\")'", "'(,,)'"]),
    ("places", "place[]", &["ARRAY['(1,x,)'::place]"]),
    ("spans_own", "moodrange", &["'[\"so so\",Ünhappy]'"]),
    ("pairs", "hstore", &["'a=>1, \"b c\"=>NULL'", "''"]),
    ("folded", "citext", &["'MixedCase'"]),
    ("foldeds", "citext[]", &["'{A,b}'"]),
];

const TYPE_DDL: &str = "CREATE EXTENSION hstore; CREATE EXTENSION citext;
    CREATE TYPE mood AS ENUM ('so so', 'Ünhappy');
    CREATE DOMAIN posint AS integer CHECK (VALUE > 0);
    CREATE DOMAIN code AS varchar(4) NOT NULL DEFAULT 'none' CHECK (VALUE <> 'bad');
    CREATE TYPE place AS (number integer, label text, feeling mood);
    CREATE TYPE moodrange AS RANGE (subtype = mood);";

fn table() -> String {
    let columns: Vec<String> = TYPES.iter().map(|(name, kind, _)| format!("\"{name}\" {kind}")).collect();
    format!("{TYPE_DDL} CREATE TABLE types (id bigint PRIMARY KEY, {});", columns.join(", "))
}

/// One row per value, the other columns NULL where they may be.
fn rows() -> String {
    let values = TYPES.iter().flat_map(|(name, kind, values)| {
        values.iter().map(move |value| {
            format!("INSERT INTO types (id, \"{name}\") SELECT count(*) + 1, {value}::{kind} FROM types;")
        })
    });
    values.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_through_load() {
    for form in FORMS {
        let side = Side::both(&table()).await;
        side.pair.source.execute(&rows()).await;
        let plan = side.plan("types", form).await;
        assert!(side.load(&plan).await > 100);
        compare::assert_same(&side.pair).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_through_the_stage() {
    for form in FORMS {
        let side = Side::both(&table()).await;
        side.pair.source.execute(&rows()).await;
        let plan = side.plan("types", form).await;
        let all = side.equalise(&plan, "SELECT id FROM types").await;
        assert!(all.inserted > 100, "{all:?}");
        compare::assert_same(&side.pair).await;
        let again = side.equalise(&plan, "SELECT id FROM types").await;
        assert_eq!(again, did(0, 0, 0), "what is the same in every bit is left alone, {form:?}");
        for (name, kind, values) in TYPES {
            let sets: Vec<String> =
                values.iter().enumerate().map(|(n, v)| format!("WHEN {n} THEN {v}::{kind}")).collect();
            let sql =
                format!("UPDATE types SET \"{name}\" = CASE id % {} {} END", values.len(), sets.join(" "));
            side.pair.source.execute(&sql).await;
        }
        let updated = side.equalise(&plan, "SELECT id FROM types").await;
        assert_eq!((updated.inserted, updated.updated, updated.deleted), (0, all.inserted, 0));
        compare::assert_same(&side.pair).await;
        side.pair.source.execute("CREATE TABLE gone AS SELECT id FROM types; DELETE FROM types").await;
        let deleted = side.equalise(&plan, "SELECT id FROM gone").await;
        assert_eq!(deleted, did(0, 0, all.inserted));
    }
}

/// What a role or database sets for its sessions changes nothing in the values.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_database_do_not_change_values() {
    let settings = [
        ("datestyle", "German, DMY"),
        ("intervalstyle", "sql_standard"),
        ("timezone", "Asia/Kathmandu"),
        ("extra_float_digits", "-5"),
        ("bytea_output", "escape"),
        ("xmloption", "document"),
        ("standard_conforming_strings", "off"),
        ("search_path", "nowhere"),
        ("client_encoding", "LATIN1"),
        ("default_transaction_isolation", "serializable"),
        ("array_nulls", "off"),
        ("quote_all_identifiers", "on"),
        ("transform_null_equals", "on"),
        // The last, as the statements that set the others would meet it.
        ("statement_timeout", "60"),
    ];
    let side = Side::both(&table()).await;
    side.pair.source.execute(&rows()).await;
    for database in [&side.pair.source, &side.pair.target] {
        for (name, value) in settings {
            let name_of = database.postgres().name();
            database.execute(&format!("ALTER DATABASE {name_of} SET {name} = '{value}'")).await;
        }
    }
    let side = Side { target: super::side::connect(&side.pair.target.url()).await, pair: side.pair };
    let plan = side.plan("types", Form::CopyText).await;
    assert!(side.equalise(&plan, "SELECT id FROM types").await.inserted > 100);
    // The comparison is to read with sessions of its own.
    for database in [&side.pair.source, &side.pair.target] {
        let mut last = database.connect().await;
        last.execute("SET statement_timeout = 0").await;
        let name = database.postgres().name();
        last.execute(&format!("ALTER DATABASE {name} RESET ALL")).await;
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        last.execute(others).await;
    }
    compare::assert_same(&side.pair).await;
}

/// Types that can be keys, with values that are easily mistaken for another.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_by_keys_of_every_type() {
    let cases = [
        ("citext", "('Key'), ('other')", "UPDATE t SET k = 'KEY' WHERE k = 'key'"),
        ("char(6)", "('a'), ('b  c')", ""),
        ("float8", "('NaN'), ('Infinity'), (0)", "UPDATE t SET k = '-0' WHERE k = 0"),
        ("numeric", "('NaN'), (1.0), (2)", "UPDATE t SET k = 1.00 WHERE k = 1"),
        ("bytea", "('\\x00'), ('\\xff')", ""),
        ("mood", "('so so'), ('Ünhappy')", ""),
        ("posint", "(1), (2)", ""),
        ("place", "('(1,a,)'), ('(,,)')", ""),
        ("int[]", "('{1,NULL}'), ('{}')", ""),
        ("int4range", "('empty'), ('[1,2)')", ""),
        ("hstore", "('a=>1'), ('')", ""),
        ("timestamptz", "('infinity'), ('0044-03-15 12:00:00.000001+00 BC')", ""),
        ("text COLLATE \"C\"", "('a'), ('A'), ('')", ""),
        ("boolean", "(true), (false)", ""),
        ("uuid", "('00000000-0000-0000-0000-000000000000')", ""),
    ];
    for form in FORMS {
        for (kind, values, respelled) in cases {
            let ddl = format!("{TYPE_DDL} CREATE TABLE t (k {kind} PRIMARY KEY, v int);");
            let side = Side::both(&ddl).await;
            side.pair.source.execute(&format!("INSERT INTO t (k) VALUES {values}")).await;
            let plan = side.plan("t", form).await;
            let first = side.equalise(&plan, "SELECT k FROM t").await;
            let again = side.equalise(&plan, "SELECT k FROM t").await;
            assert_eq!(again, did(0, 0, 0), "{kind} {form:?}");
            side.pair.source.execute("UPDATE t SET v = 1").await;
            side.pair.source.execute(respelled).await;
            let updated = side.equalise(&plan, "SELECT k FROM t").await;
            assert_eq!(updated, did(0, first.inserted, 0), "{kind} {form:?}");
            compare::assert_same(&side.pair).await;
            side.pair.source.execute("CREATE TABLE gone AS SELECT k FROM t; DELETE FROM t").await;
            assert_eq!(side.equalise(&plan, "SELECT k FROM gone").await, did(0, 0, first.inserted), "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_quoted_and_generated_and_identity_columns_kept() {
    let ddl = "CREATE TABLE \"Mixed \"\"Case\" (
            \"the Key\" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            \"select\" text, hw_n int, t int, s text, c0 text, k0 text,
            twice int GENERATED ALWAYS AS (t * 2) STORED);";
    for form in FORMS {
        let side = Side::both(ddl).await;
        side.pair
            .source
            .execute(
                "INSERT INTO \"Mixed \"\"Case\" (\"select\", hw_n, t, s, c0, k0)
                 SELECT 'x', g, g, 'y', 'c', 'k' FROM generate_series(1, 5) g",
            )
            .await;
        let mut plan = side.plan("Mixed \"Case", form).await;
        assert_eq!(side.load(&plan).await, 5);
        side.pair
            .source
            .execute("UPDATE \"Mixed \"\"Case\" SET t = 9, hw_n = 0; DELETE FROM \"Mixed \"\"Case\" WHERE \"the Key\" = 2")
            .await;
        plan.rows = 5;
        let keys = "SELECT g AS \"the Key\" FROM generate_series(1, 6) g";
        assert_eq!(side.equalise(&plan, keys).await, did(0, 4, 1));
        compare::assert_same(&side.pair).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_written_through_the_root_and_heirs_left_alone() {
    let ddl =
        "CREATE TABLE part (id int, region text, v int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
        CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a') PARTITION BY RANGE (id);
        CREATE TABLE part_a1 PARTITION OF part_a FOR VALUES FROM (0) TO (10);
        CREATE TABLE part_b PARTITION OF part DEFAULT;
        CREATE TABLE parent (id int PRIMARY KEY, v int);
        CREATE TABLE heir (extra int) INHERITS (parent);";
    let side = Side::both(ddl).await;
    side.pair
        .source
        .execute(
            "INSERT INTO part SELECT g, CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END, g FROM generate_series(0, 9) g;
             INSERT INTO parent VALUES (1, 1); INSERT INTO heir VALUES (1, 1, 1), (2, 2, 2)",
        )
        .await;
    side.pair.target.execute("INSERT INTO heir VALUES (1, 1, 1), (2, 2, 2)").await;
    let part = side.plan("part", Form::CopyBinary).await;
    assert_eq!(side.equalise(&part, "SELECT id, region FROM part").await, did(10, 0, 0));
    assert_eq!(side.target.count(&part).await.unwrap(), 10);
    assert!(!side.target.is_empty(&part).await.unwrap());
    side.pair.source.execute("UPDATE part SET v = -1 WHERE id < 5; DELETE FROM part WHERE id > 7").await;
    let keys = "SELECT g AS id, r AS region FROM generate_series(0, 9) g, (VALUES ('a'), ('b')) r (r)";
    assert_eq!(side.equalise(&part, keys).await, did(0, 5, 2));
    let parent = side.plan("parent", Form::CopyBinary).await;
    assert!(side.target.is_empty(&parent).await.unwrap(), "an heir's rows are not the parent's");
    assert_eq!(side.equalise(&parent, "SELECT id FROM ONLY parent").await.inserted, 1);
    assert_eq!(side.target.count(&parent).await.unwrap(), 1);
    side.pair.source.execute("DELETE FROM ONLY parent").await;
    let mut tx = side.target.begin().await.unwrap();
    let empty = side.copy(&parent, "SELECT id FROM ONLY parent").await;
    assert_eq!(tx.prune(&parent, highwater::engine::Feed::Read(&empty), &[]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    compare::assert_same(&side.pair).await;
}
