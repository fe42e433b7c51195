mod conditions;
mod rules;

use super::*;
use crate::model::{Column, Generation, Transfer, UniqueIndex};
use crate::settings::Endpoint;

fn column(name: &str, not_null: bool) -> Column {
    Column {
        name: name.into(),
        type_name: "integer".into(),
        not_null,
        compares_as: "integer".into(),
        has_default: false,
        default: None,
        generation: Generation::Plain,
        transfer: Transfer::Any,
    }
}

fn table(name: &str, columns: &[&str]) -> Table {
    Table {
        name: TableName::new("public", name),
        id: String::new(),
        kind: TableKind::Ordinary,
        columns: columns.iter().map(|c| column(c, *c == "id")).collect(),
        primary_key: columns.iter().filter(|c| **c == "id").map(ToString::to_string).collect(),
        unique: Vec::new(),
        foreign_keys: Vec::new(),
        parts: Vec::new(),
        heirs: Vec::new(),
        triggers: Vec::new(),
        row_security: false,
        rows: 1,
        bytes: 1,
    }
}

fn database() -> DatabaseSettings {
    DatabaseSettings {
        name: "main".into(),
        source: Endpoint::from_url("postgres://prod/a").unwrap(),
        target: Endpoint::from_url("postgres://staging/a").unwrap(),
        include: vec![crate::settings::Glob::any()],
        exclude: Vec::new(),
        tables: Vec::new(),
        checkpoints: Vec::new(),
        upgrade: crate::settings::UpgradeSettings::default(),
    }
}

fn circumstances(mode: SchemaMode) -> Circumstances {
    let as_of = "2026-01-31T12:00:00.000000Z".to_string();
    Circumstances { mode, unfinished: HashSet::new(), begun: HashSet::new(), upgraded: false, as_of }
}

fn plan(source: Vec<Table>, target: Vec<Table>, mode: SchemaMode) -> Plan {
    let schema = |tables| Schema { tables, sequences: Vec::new() };
    make(&database(), &circumstances(mode), &schema(source), &schema(target))
}

fn texts(findings: &[Finding]) -> String {
    findings.iter().map(|f| f.what.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_matches_needs_nothing() {
    let same =
        plan(vec![table("a", &["id", "x"])], vec![table("A", &["ID", "x", "more"])], SchemaMode::Expect);
    assert_eq!(
        texts(&same.blockers),
        "the target has no unique index on (ID), by which rows are found again"
    );
    let mut target = table("A", &["ID", "x", "more"]);
    target.unique.push(UniqueIndex { name: "u".into(), columns: vec!["ID".into()] });
    let same = plan(vec![table("a", &["id", "x"])], vec![target], SchemaMode::Expect);
    assert!(same.blockers.is_empty(), "{:?}", same.blockers);
    assert_eq!(same.tables[0].form, Form::CopyBinary);
    assert_eq!(same.tables[0].key_columns().next().unwrap().target, "ID");
}

#[test]
fn all_blockers_are_told_at_once() {
    let mut needy = table("b", &["id"]);
    needy.columns.push(column("must", true));
    let source = vec![table("a", &["id", "gone"]), table("b", &["id"]), table("c", &["id"])];
    let found = plan(source, vec![table("a", &["id"]), needy], SchemaMode::Expect);
    assert_eq!(
        texts(&found.blockers),
        "column gone has no place in a\nb.must is NOT NULL, has no default and gets no value\n\
         the target has no such table"
    );
}

#[test]
fn ambiguous_names_are_never_guessed() {
    let found = plan(
        vec![table("a", &["id"])],
        vec![table("A", &["id"]), Table { name: TableName::new("PUBLIC", "a"), ..table("a", &["id"]) }],
        SchemaMode::Expect,
    );
    assert!(texts(&found.blockers).contains("more than one target table"), "{:?}", found.blockers);
}

#[test]
fn a_missing_table_is_made_when_asked_for() {
    let made = plan(vec![table("a", &["id"])], vec![], SchemaMode::Create);
    assert!(made.blockers.is_empty() && made.tables[0].create);
}

#[test]
fn a_table_that_the_target_had_is_not_made_anew() {
    let source = Schema { tables: vec![table("a", &["id"])], sequences: Vec::new() };
    let nothing = Schema { tables: Vec::new(), sequences: Vec::new() };
    let fresh = circumstances(SchemaMode::Create);
    let begun = Circumstances { begun: HashSet::from([source.tables[0].name.to_string()]), ..fresh.clone() };
    for circumstances in [begun, Circumstances { upgraded: true, ..fresh }] {
        let plan = make(&database(), &circumstances, &source, &nothing);
        assert_eq!(texts(&plan.blockers), "the target has no such table");
        assert!(plan.tables.is_empty());
    }
}

#[test]
fn the_hash_is_about_decisions_not_sizes() {
    let one = plan(vec![table("a", &["id"])], vec![table("a", &["id"])], SchemaMode::Expect);
    let mut grown = table("a", &["id"]);
    grown.rows = 1_000;
    let two = plan(vec![grown], vec![table("a", &["id"])], SchemaMode::Expect);
    assert_eq!(one.hash, two.hash);
    let other = plan(vec![table("a", &["id", "x"])], vec![table("a", &["id", "x"])], SchemaMode::Expect);
    assert_ne!(one.hash, other.hash);
}
