//! Tables read through rules: filters, expressions, keys that a rule names.

use highwater::error::Kind;
use highwater::model::{
    Bounds, ColumnPair, Fidelity, Form, Layout, On, SourceColumn, Strategy, TablePlan, Watermark,
};

use super::read::drain;
use super::{Case, LIMITS, copied, rows};

const TOKENS: &str = "CREATE TYPE mood AS ENUM ('ok', 'bad');
     CREATE FUNCTION twice(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $1';
     CREATE TABLE token (id int PRIMARY KEY, token text, state text, scope text, tenant int, feel mood)";

async fn text(stream: highwater::model::RowStream) -> String {
    String::from_utf8(drain(stream).await.0).unwrap()
}

fn computed(target: &str, expression: &str) -> ColumnPair {
    ColumnPair {
        source: String::new(),
        expression: Some(expression.to_owned()),
        on: On::Always,
        target: target.to_owned(),
        source_type: String::new(),
        target_type: "text".to_owned(),
        fidelity: Fidelity::Exact,
    }
}

/// Carries `id`, `token` and two expressions of active tokens; `scope` is left to the target.
async fn case() -> Case {
    let mut case = Case::new(TOKENS).await;
    let table = &mut case.plan.tables[0];
    table.columns.retain(|c| ["id", "token"].contains(&c.target.as_str()));
    table.columns.push(computed("tenant_id", "CASE tenant WHEN 0 THEN -1 ELSE token.tenant END -- mapped"));
    table.columns.push(computed("inverse", "twice((100 / tenant)::text)"));
    table.rule.filter = Some("state = 'ACTIVE' AND tenant <> 7".to_owned());
    table.rule.reads = ["state", "tenant"].map(str::to_owned).to_vec();
    table.rule.also = vec![
        SourceColumn { name: "scope".to_owned(), type_name: "text".to_owned() },
        SourceColumn { name: "feel".to_owned(), type_name: "public.mood".to_owned() },
    ];
    case
}

#[tokio::test]
async fn rows_are_filtered_and_computed_in_batches_states_and_chunks() {
    let case = case().await;
    let mut reader = case.reader("token").await;
    case.execute(
        "INSERT INTO token VALUES (1, 'a', 'ACTIVE', 's t', 5, 'ok'), (2, 'b', 'EXPIRED', 'x', 0, 'bad'),
            (3, 'c', 'ACTIVE', NULL, 10, NULL), (4, 'd', 'ACTIVE', 'y', 7, 'ok');
         DELETE FROM token WHERE id = 3",
    )
    .await;
    let expected = [
        "t 1 1 a 5 2020 s t ok",
        "f 2 2 \\N \\N \\N \\N \\N",
        "f 3 3 \\N \\N \\N \\N \\N",
        "f 4 4 \\N \\N \\N \\N \\N",
    ];
    assert_eq!(reader.next().await, expected, "a row that is left out is not computed: 100 / 0");
    let keys: Vec<Vec<String>> = (1..5).map(|n: i32| vec![n.to_string()]).collect();
    assert_eq!(rows(&case.source.states(reader.watch(), &keys).await.unwrap()), expected);
    for (layout, expected) in [
        (Layout::Plain, "1\ta\t5\t2020\n"),
        (Layout::Staged, "0\t1\tt\t1\t1\ta\t5\t2020\ts t\tok\n"),
        (Layout::Keys, "1\n"),
    ] {
        let stream = case.source.stream(reader.watch(), &Bounds::all(), layout).await.unwrap();
        assert_eq!(text(stream).await, expected);
    }
    let sample = case.source.sample(case.table("token"), 5).await.unwrap();
    let sample: Vec<u8> = sample.iter().flat_map(copied).collect();
    assert_eq!(String::from_utf8(sample).unwrap(), "0\t1\tt\t1\t1\ta\t5\t2020\ts t\tok\n");
    // One that stops matching leaves.
    case.execute("UPDATE token SET state = 'REVOKED' WHERE id = 1").await;
    assert_eq!(reader.next().await, ["f 1 1 \\N \\N \\N \\N \\N"]);
}

#[tokio::test]
async fn a_key_by_expression_has_its_value_for_absent_rows_too() {
    let mut case = Case::new("CREATE TABLE t (a text, b int, v text, PRIMARY KEY (a, b))").await;
    let table = &mut case.plan.tables[0];
    table.columns[1] = ColumnPair {
        expression: Some("CASE b WHEN 0 THEN -1 ELSE b END".to_owned()),
        ..table.columns[1].clone()
    };
    table.columns.push(computed("kind", "'A'"));
    table.columns.push(computed("length", "coalesce(length(v), 0)"));
    table.rule.reads = ["b", "v"].map(str::to_owned).to_vec();
    let mut reader = case.reader("t").await;
    case.execute("INSERT INTO t VALUES ('x', 0, 'one'), ('y', 0, 'two'); DELETE FROM t WHERE a = 'x'").await;
    assert_eq!(reader.next().await, ["f x 0 x -1 \\N A \\N", "t y 0 y -1 two A 3"]);
    let stream = case.source.stream(reader.watch(), &Bounds::all(), Layout::Keys).await.unwrap();
    assert_eq!(text(stream).await, "y\t0\t-1\n");
}

#[tokio::test]
async fn a_refused_expression_is_the_tables_fault() {
    let mut case = case().await;
    case.execute("INSERT INTO token VALUES (1, 'a', 'ACTIVE', 's t', 5, 'ok')").await;
    for (expression, said) in
        [("nothing(token)", "does not exist"), ("token::int", "invalid input"), ("token ||", "syntax")]
    {
        case.plan.tables[0].columns[2].expression = Some(expression.to_owned());
        let error = case.source.sample(case.table("token"), 5).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Table, "{error}");
        assert!(error.summary().contains(said), "{error}");
    }
}

fn keyed(table: &mut TablePlan, key: &[&str]) {
    table.key = key.iter().map(|k| (*k).to_owned()).collect();
    table.strategy = Strategy::Keyed;
}

#[tokio::test]
async fn a_rule_may_name_more_than_the_primary_key_or_a_key_of_a_keyless_table() {
    for (ddl, key) in [
        ("CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL, v text)", &["a", "b"][..]),
        ("CREATE TABLE t (a int NOT NULL, b text NOT NULL, v text)", &["b", "a"][..]),
    ] {
        let mut case = Case::bare(ddl).await;
        let schema = case.source.schema().await.unwrap();
        keyed(&mut case.plan.tables[0], key);
        case.source.survey(&schema, &case.plan).await.unwrap();
        case.install().await;
        case.sound("t").await;
        let mut reader = case.reader("t").await;
        case.execute(
            "INSERT INTO t VALUES (1, 'x', 'one'), (2, 'y', 'two'); UPDATE t SET b = 'z' WHERE a = 2",
        )
        .await;
        let state = |present: &str, a: &str, b: &str, rest: &str| {
            let key = if key[0] == "a" { format!("{a} {b}") } else { format!("{b} {a}") };
            format!("{present} {key} {rest}")
        };
        let mut expected = vec![
            state("t", "1", "x", "1 x one"),
            state("f", "2", "y", "\\N \\N \\N"),
            state("t", "2", "z", "2 z two"),
        ];
        let mut found = reader.next().await;
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(case.source.chunks(case.table("t"), 1).await.unwrap().len(), 2);
        let with = case.source.keys_with(case.table("t"), "v", &["two".to_owned(), "none".to_owned()]).await;
        let expected = if key[0] == "a" { ["2", "z"] } else { ["z", "2"] };
        assert_eq!(with.unwrap(), [expected.map(str::to_owned).to_vec()]);
    }
}

/// What a rule leaves behind was there when it was planned; what comes later stops the table.
#[tokio::test]
async fn a_dropped_column_is_no_new_one() {
    let mut case = Case::bare("CREATE TABLE t (a int PRIMARY KEY, left_behind text)").await;
    let schema = case.source.schema().await.unwrap();
    case.plan.tables[0].columns.truncate(1);
    case.source.survey(&schema, &case.plan).await.unwrap();
    case.install().await;
    case.sound("t").await;
    case.execute("ALTER TABLE t ADD later int").await;
    assert_eq!(case.stopped("t").await, "column later was added on the source");
    case.execute("ALTER TABLE t DROP later; ALTER TABLE t DROP CONSTRAINT t_pkey").await;
    assert!(case.stopped("t").await.contains("no unique index"));
}

#[tokio::test]
async fn keys_that_came_or_went_beyond_the_watermark_are_renewed() {
    let case = Case::new(
        "CREATE TABLE t (a int PRIMARY KEY, v text); INSERT INTO t SELECT g FROM generate_series(1, 9) g",
    )
    .await;
    let mut reader = case.reader("t").await;
    case.execute("DELETE FROM t WHERE a = 1").await;
    reader.batch(LIMITS).await;
    let before: Watermark = reader.watermark.clone();
    case.execute("UPDATE t SET v = 'x' WHERE a = 2; DELETE FROM t WHERE a = 3; INSERT INTO t VALUES (1)")
        .await;
    let keys: Vec<Vec<String>> = (1..6).map(|n: i32| vec![n.to_string()]).collect();
    let key = |n: &str| vec![n.to_owned()];
    assert_eq!(case.source.renewed(reader.watch(), &keys).await.unwrap(), [key("1"), key("3")]);
    // Inside a delta that is being drained the rest of it counts, and what came after it.
    reader.batch(highwater::engine::Limits { rows: 2, bytes: 1 << 20 }).await;
    case.execute("DELETE FROM t WHERE a = 4").await;
    assert_eq!(case.source.renewed(reader.watch(), &keys).await.unwrap(), [key("1"), key("4")]);
    while reader.dirty().await {
        reader.batch(LIMITS).await;
    }
    assert!(case.source.renewed(reader.watch(), &keys).await.unwrap().is_empty());
    reader.watermark = before;
    assert_eq!(case.source.renewed(reader.watch(), &keys[..3]).await.unwrap(), [key("1"), key("3")]);
}

#[tokio::test]
async fn a_question_can_write_nothing() {
    let case =
        Case::bare("CREATE TABLE t (a int, v text); INSERT INTO t VALUES (1, NULL), (2, 'x'), (3, 'y')")
            .await;
    let rows = case.source.ask("SELECT a, v FROM t ORDER BY a;", 2).await.unwrap();
    assert_eq!(rows, [vec![Some("1".to_owned()), None], vec![Some("2".to_owned()), Some("x".to_owned())]]);
    for sql in
        ["SELECT 1; COMMIT; DELETE FROM public.t", "DELETE FROM t RETURNING a", "SELECT setval('s', 1)"]
    {
        case.execute("CREATE SEQUENCE IF NOT EXISTS s").await;
        assert!(case.source.ask(sql, 2).await.is_err(), "{sql}");
    }
    assert_eq!(case.number("SELECT count(*) FROM t").await, 3);
    assert!(matches!(case.plan.tables[0].form, Form::CopyText));
}

/// The trigger of an update compares keys: one that can't be compared would break production's writes.
#[tokio::test]
async fn a_key_that_cannot_be_compared_blocks() {
    let mut case =
        Case::bare("CREATE TABLE t (a int NOT NULL, b json NOT NULL, c json[] NOT NULL, d text[] NOT NULL)")
            .await;
    let schema = case.source.schema().await.unwrap();
    for (key, blocks) in [(&["a", "d"][..], false), (&["b"], true), (&["a", "c"], true)] {
        keyed(&mut case.plan.tables[0], key);
        let found = case.source.survey(&schema, &case.plan).await.unwrap().blockers;
        assert_eq!(found.iter().any(|f| f.what.contains("can't be compared")), blocks, "{key:?} {found:?}");
    }
}
