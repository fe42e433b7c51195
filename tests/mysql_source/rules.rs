//! What is read of a table with rules: filters, expressions, what is staged besides, keys of the rule's own.

use highwater::error::Kind as Fault;
use highwater::model::{
    Block, Bounds, ColumnPair, Layout, RowStream, SourceColumn, Strategy, TablePlan, Value,
};

use super::positions::{LIMITS, Reader};
use super::{Case, Kind};

on_both!(
    every_read_goes_through_the_rule,
    expressions_on_the_key_have_a_value_for_rows_that_are_gone,
    a_floating_number_keeps_its_digits,
    a_key_of_the_rule_is_captured,
    a_keyless_table_is_filtered,
    keys_are_found_by_a_value,
    renewed_keys_are_those_that_came_or_went,
    a_sample_tells_what_is_wrong,
    a_question_can_write_nothing,
);

const TABLE: &str = "CREATE TABLE t (tenant int, id int, name varchar(20), state varchar(9) NOT NULL, x varchar(9),
         PRIMARY KEY (tenant, id));
     INSERT INTO t VALUES (0, 1, 'one', 'ACTIVE', 'x1'), (0, 2, 'two', 'DEAD', 'x2'), (5, 3, 'Three', 'ACTIVE', NULL)";

fn expression(source: &str, sql: &str, target: &str, target_type: &str) -> ColumnPair {
    let pair = ColumnPair::plain(source, target_type, target, target_type);
    ColumnPair { expression: Some(sql.to_string()), ..pair }
}

/// Tenants are numbered otherwise on the target, only what is active is carried.
async fn ruled(kind: Kind) -> Case {
    let mut case = Case::bare(kind, TABLE).await;
    let table = &mut case.plan.tables[0];
    let type_of =
        |t: &TablePlan, name: &str| t.columns.iter().find(|c| c.source == name).unwrap().source_type.clone();
    table.rule.also = vec![SourceColumn { name: "x".into(), type_name: type_of(table, "x") }];
    let id = table.columns.iter().find(|c| c.source == "id").unwrap().clone();
    table.columns = vec![
        expression("tenant", "CASE t.tenant WHEN 0 THEN -1 ELSE tenant END -- no more", "tenant", "int"),
        id,
        expression("", "concat(upper(name), \"!\")", "name", "varchar(21)"),
        expression("", "unhex('00ff')", "b", "varbinary(9)"),
        expression("", "'A'", "kind", "varchar(9)"),
    ];
    table.rule.filter = Some("t.state = 'ACTIVE'".into());
    table.rule.reads = vec!["tenant".into(), "name".into(), "state".into()];
    case
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Value::Blob(bytes) => String::from_utf8(bytes.clone()).unwrap_or_else(|_| hex::encode(bytes)),
    }
}

fn rows(blocks: &[Block]) -> Vec<String> {
    let mut all = Vec::new();
    for block in blocks {
        if let Block::Values(rows) = block {
            all.extend(rows.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>().join(" ")));
        }
    }
    all
}

async fn streamed(mut stream: RowStream) -> Vec<String> {
    let mut blocks = Vec::new();
    loop {
        let block = stream.next().await.unwrap();
        let is_end = matches!(block, Block::End { .. });
        blocks.push(block);
        if is_end {
            return rows(&blocks);
        }
    }
}

async fn every_read_goes_through_the_rule(kind: Kind) {
    let case = ruled(kind).await;
    let reader = Reader::of(&case).await;
    let stream = |layout| {
        let (watch, source) = (reader.watch(), case.source.clone());
        async move { streamed(source.stream(watch, &Bounds::all(), layout).await.unwrap()).await }
    };
    assert_eq!(
        stream(Layout::Plain).await,
        ["-1 1 ONE! 00ff A x1", "5 3 THREE! 00ff A -"].map(|row| {
            // What is staged besides is in the stage only.
            row.rsplit_once(' ').unwrap().0.to_owned()
        })
    );
    assert_eq!(stream(Layout::Staged).await, ["1 1 0 1 -1 1 ONE! 00ff A x1", "2 1 5 3 5 3 THREE! 00ff A -"]);
    assert_eq!(stream(Layout::Keys).await, ["0 1 -1", "5 3 5"]);
    let bounds = Bounds { from: Some(vec!["0".into(), "2".into()]), to: None };
    let stream = case.source.stream(reader.watch(), &bounds, Layout::Keys).await.unwrap();
    assert_eq!(streamed(stream).await, ["5 3 5"]);
    let sample = case.source.sample(&case.plan.tables[0], 1).await.unwrap();
    assert_eq!(rows(&sample), ["1 1 0 1 -1 1 ONE! 00ff A x1"]);
}

async fn expressions_on_the_key_have_a_value_for_rows_that_are_gone(kind: Kind) {
    let case = ruled(kind).await;
    let reader = Reader::of(&case).await;
    case.execute("DELETE FROM t WHERE id = 1; UPDATE t SET state = 'ACTIVE' WHERE id = 2; UPDATE t SET state = 'DEAD' WHERE id = 3;
                  INSERT INTO t VALUES (0, 4, 'four', 'ACTIVE', 'x4')").await;
    let batch = reader.batch(LIMITS).await;
    let found = rows(&batch.states.blocks);
    // Presence, key, and what the expression makes of it; of a row that is not carried the rest is of no matter.
    assert!(found[0].starts_with("1 0 0 1 -1 "), "{found:?}");
    assert_eq!(found[1], "2 1 0 2 -1 2 TWO! 00ff A x2");
    assert!(found[2].starts_with("3 0 5 3 5 "), "{found:?}");
    assert_eq!(found[3], "4 1 0 4 -1 4 FOUR! 00ff A x4");
    let keys: Vec<Vec<String>> = [["0", "1"], ["0", "4"], ["7", "9"]]
        .iter()
        .map(|k| k.iter().map(ToString::to_string).collect())
        .collect();
    let found = rows(&case.source.states(reader.watch(), &keys).await.unwrap().blocks);
    assert!(found[0].starts_with("1 0 0 1 -1 "), "{found:?}");
    assert_eq!(found[1], "2 1 0 4 -1 4 FOUR! 00ff A x4");
    assert!(found[2].starts_with("3 0 7 9 7 "), "{found:?}");
}

async fn a_floating_number_keeps_its_digits(kind: Kind) {
    let mut case = Case::bare(
        kind,
        "CREATE TABLE t (id int PRIMARY KEY, f float, d double, s varchar(9)); INSERT INTO t VALUES (1, 16777217, 0.1, 'no')",
    )
    .await;
    let table = &mut case.plan.tables[0];
    table.columns.truncate(1);
    table.columns.extend([
        expression("", "coalesce(f, 0) + 1", "a", "double"),
        expression("", "f", "b", "float"),
        expression("", "d + 0.2e0", "c", "double"),
        expression("", "s", "e", "double"),
    ]);
    table.rule.reads = vec!["f".into(), "d".into(), "s".into()];
    let sample = rows(&case.source.sample(table, 9).await.unwrap());
    assert_eq!(sample, ["1 1 1 1 16777217 16777216 0.30000000000000004 no"]);
}

async fn a_key_of_the_rule_is_captured(kind: Kind) {
    let mut case = Case::bare(
        kind,
        "CREATE TABLE t (a varchar(20) NOT NULL, b int NOT NULL, v int, KEY (a));
         INSERT INTO t VALUES ('x', 1, 1), ('x', 2, 2), ('y', 1, 3)",
    )
    .await;
    let table = &mut case.plan.tables[0];
    table.key = vec!["a".into(), "b".into()];
    table.strategy = Strategy::Keyed;
    let reader = Reader::of(&case).await;
    case.sound("t").await;
    assert_eq!(case.source.chunks(&case.plan.tables[0], 1).await.unwrap().len(), 3);
    case.execute("UPDATE t SET b = 3 WHERE v = 2; DELETE FROM t WHERE a = 'y'").await;
    assert_eq!(case.log("t").await, ["D x 2", "I x 3", "D y 1"]);
    let batch = reader.batch(LIMITS).await;
    assert_eq!(rows(&batch.states.blocks), ["1 0 x 2 - - -", "2 1 x 3 x 3 2", "3 0 y 1 - - -"]);
    // More rows of one key than a chunk takes.
    case.execute("INSERT INTO t VALUES ('z', 1, 1), ('z', 1, 2), ('z', 1, 3)").await;
    assert!(case.source.chunks(&case.plan.tables[0], 1).await.unwrap().len() < 6);
}

async fn a_keyless_table_is_filtered(kind: Kind) {
    let mut case =
        Case::bare(kind, "CREATE TABLE t (v int, w int); INSERT INTO t VALUES (1, 1), (2, NULL), (3, 0)")
            .await;
    let table = &mut case.plan.tables[0];
    table.rule.filter = Some("w".into());
    table.rule.reads = vec!["w".into()];
    let reader = Reader::of(&case).await;
    let stream = case.source.stream(reader.watch(), &Bounds::all(), Layout::Plain).await.unwrap();
    assert_eq!(streamed(stream).await, ["1 1"]);
}

async fn keys_are_found_by_a_value(kind: Kind) {
    let case = Case::new(kind, TABLE).await;
    let table = &case.plan.tables[0];
    let with = |values: &[&str]| {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let source = case.source.clone();
        async move { source.keys_with(table, "state", &values).await.unwrap() }
    };
    assert_eq!(with(&["'ACTIVE'", "'none'"]).await, [["0", "1"], ["5", "3"]]);
    assert_eq!(with(&["'none'"]).await.len() + with(&[]).await.len(), 0);
}

async fn renewed_keys_are_those_that_came_or_went(kind: Kind) {
    let case = Case::bare(kind, TABLE).await;
    let reader = Reader::of(&case).await;
    case.execute("UPDATE t SET name = 'u' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (0, 7, '', '', '')").await;
    let key = |id: &str| vec!["0".to_string(), id.to_string()];
    let asked = [key("1"), key("2"), key("7"), key("8")];
    let renewed = case.source.renewed(reader.watch(), &asked).await.unwrap();
    assert_eq!(renewed, [key("2"), key("7")]);
    let batch = reader.batch(LIMITS).await;
    let passed = Reader { case: &case, origin: reader.origin.clone(), watermark: batch.to };
    assert!(case.source.renewed(passed.watch(), &asked).await.unwrap().is_empty());
}

async fn a_sample_tells_what_is_wrong(kind: Kind) {
    let case = ruled(kind).await;
    for wrong in ["nothing = 1", "(", "nothing(state)"] {
        let mut table = case.plan.tables[0].clone();
        table.rule.filter = Some(wrong.into());
        let error = case.source.sample(&table, 9).await.unwrap_err();
        assert_eq!(error.kind(), Fault::Table, "{wrong}: {error}");
    }
}

async fn a_question_can_write_nothing(kind: Kind) {
    let case = Case::bare(kind, TABLE).await;
    let rows = case.source.ask("SELECT name FROM t ORDER BY id", 2).await.unwrap();
    assert_eq!(rows, [[Some("one".to_string())], [Some("two".to_string())]]);
    assert!(case.source.ask("COMMIT; DELETE FROM t", 2).await.is_err());
    assert_eq!(case.number("SELECT count(*) FROM t").await, 3);
}
