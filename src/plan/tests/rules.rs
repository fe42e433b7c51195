//! Rules: what they make of a plan, and what is wrong with them.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Fidelity, Link, On, Staged};
use crate::plan::{CheckConstraints, Standing, diff};
use crate::settings::{ColumnSettings, Given, IntoSettings, UpgradeOrder};

fn given(given: Given) -> ColumnSettings {
    ColumnSettings { given, on: On::Always, fidelity: Fidelity::Exact }
}

fn column_of(name: &str) -> ColumnSettings {
    given(Given::Column(name.into()))
}

fn on_source(sql: &str) -> ColumnSettings {
    given(Given::Source(sql.into()))
}

fn on_target(sql: &str) -> ColumnSettings {
    given(Given::Target(sql.into()))
}

fn rule(name: &str, columns: &[(&str, ColumnSettings)]) -> TableSettings {
    TableSettings {
        name: name.into(),
        columns: columns.iter().map(|(name, column)| ((*name).to_string(), column.clone())).collect(),
        ..TableSettings::default()
    }
}

fn made(source: Vec<Table>, target: Vec<Table>, rules: Vec<TableSettings>) -> Plan {
    let database = DatabaseSettings { tables: rules, ..database() };
    let schema = |tables| Schema { tables, sequences: Vec::new() };
    make(&database, &circumstances(SchemaMode::Expect), &schema(source), &schema(target))
}

fn pairs(plan: &Plan, label: &str) -> BTreeMap<String, String> {
    let columns = &plan.table(label).unwrap().columns;
    columns.iter().map(|c| (c.target.clone(), c.expression.clone().unwrap_or(c.source.clone()))).collect()
}

#[test]
fn names_swap() {
    let source = table("scope", &["id", "name", "scope_key"]);
    let target = table("scope", &["id", "name", "display_name"]);
    let swap = rule("scope", &[("display_name", column_of("name")), ("name", column_of("scope_key"))]);
    let plan = made(vec![source], vec![target], vec![swap]);
    assert_eq!(texts(&plan.blockers), "");
    let expected = [("id", "id"), ("name", "scope_key"), ("display_name", "name")];
    let back = plan.table("scope").unwrap().inverse();
    let swapped: Vec<(&str, &str)> =
        back.columns.iter().map(|c| (c.source.as_str(), c.target.as_str())).collect();
    assert!(
        swapped.contains(&("display_name", "name")) && swapped.contains(&("name", "scope_key")),
        "{swapped:?}"
    );
    assert_eq!((back.lost.len(), plan.notes.len()), (0, 0));
    assert_eq!(pairs(&plan, "scope"), expected.map(|(t, s)| (t.to_string(), s.to_string())).into());
}

#[test]
fn a_column_without_a_place_must_be_dropped_knowingly() {
    let tables = || (vec![table("t", &["id", "old"])], vec![table("t", &["id"])]);
    let plan = made(tables().0, tables().1, Vec::new());
    assert_eq!(texts(&plan.blockers), "column old has no place in t");
    let dropping = TableSettings { drop: vec!["OLD".into()], ..rule("t", &[]) };
    assert_eq!(texts(&made(tables().0, tables().1, vec![dropping]).blockers), "");
    let used = rule("t", &[("id", on_source("id + old"))]);
    // It is mentioned, but in an expression for the key.
    assert!(texts(&made(tables().0, tables().1, vec![used]).blockers).contains("not part of the key"));
}

#[test]
fn a_key_goes_through_an_expression() {
    let source = table("t", &["id", "x"]);
    let target = table("t", &["id", "x"]);
    let plan = made(
        vec![source],
        vec![target],
        vec![rule("t", &[("id", on_source("CASE id WHEN 0 THEN -1 ELSE id END"))])],
    );
    assert_eq!(texts(&plan.blockers), "");
    let planned = plan.table("t").unwrap();
    let matched: Vec<(String, Staged)> = planned.matched().map(|(p, s)| (p.target.clone(), s)).collect();
    let place = planned.columns.iter().position(|c| c.target == "id").unwrap();
    assert_eq!(matched, vec![("id".to_string(), Staged::Carried(place))]);
    assert_eq!(planned.rule.reads, ["id"]);
    assert_eq!(planned.inverse().lost, ["id"]);
    assert!(plan.notes[0].contains("id can't be had back"), "{:?}", plan.notes);
    assert_eq!(planned.form, Form::CopyText, "what is computed travels as text");
}

#[test]
fn tables_share_a_target_if_a_constant_tells_their_rows_apart() {
    let sources = || vec![table("a", &["id"]), table("b", &["id"])];
    let merged = || {
        let mut merged = table("m", &["n", "id", "kind"]);
        merged.unique = vec![UniqueIndex { name: "u".into(), columns: vec!["kind".into(), "id".into()] }];
        merged.primary_key = vec!["n".into()];
        vec![merged]
    };
    let into = |name: &str, kind: &str| TableSettings {
        target: Some("m".into()),
        ..rule(name, &[("kind", on_source(kind))])
    };
    let plan = made(sources(), merged(), vec![into("a", "'A'"), into("b", "'B'")]);
    assert_eq!(texts(&plan.blockers), "");
    let matched: Vec<&str> = plan.table("a").unwrap().matched().map(|(p, _)| p.target.as_str()).collect();
    assert_eq!(matched, ["id", "kind"]);
    let plan = made(sources(), merged(), vec![into("a", "'A'"), into("b", "'A'")]);
    assert!(texts(&plan.blockers).contains("it would both go to m"), "{}", texts(&plan.blockers));
}

#[test]
fn lookups_tie_tables() {
    let sources = || vec![table("apps", &["id", "name"]), table("tokens", &["id", "app"])];
    let targets = || vec![table("apps", &["id", "name"]), table("tokens", &["id", "app_id"])];
    let lookup = "(SELECT a.id FROM apps AS a WHERE a.name = changed.app)";
    let plan = made(sources(), targets(), vec![rule("tokens", &[("app_id", on_target(lookup))])]);
    assert_eq!(texts(&plan.blockers), "");
    let apps = plan.table("apps").unwrap();
    assert_eq!(apps.dependants[0].link, Some(Link { column: "app".into(), looked_up: "name".into() }));
    assert_eq!(apps.dependants[0].columns, ["id", "name"]);
    let tokens = plan.table("tokens").unwrap();
    assert_eq!(tokens.looks_up, ["apps"]);
    assert_eq!(tokens.rule.also[0].name, "app");
    // A row may be found without the comparison, and a column read without its name.
    let either = "(SELECT to_json(a) FROM apps a WHERE a.name = changed.app OR a.id > 1)";
    let plan = made(sources(), targets(), vec![rule("tokens", &[("app_id", on_target(either))])]);
    let dependant = &plan.table("apps").unwrap().dependants[0];
    assert_eq!((dependant.link.as_ref(), &dependant.columns[..]), (None, &["id".into(), "name".into()][..]));
    // None that is plain: all rows are looked up again.
    let any = "(SELECT max(id) FROM apps WHERE name LIKE changed.app)";
    let plan = made(sources(), targets(), vec![rule("tokens", &[("app_id", on_target(any))])]);
    assert_eq!(plan.table("apps").unwrap().dependants[0].link, None);
    let cycle = rule("apps", &[("name", on_target("(SELECT id FROM tokens t WHERE t.id = changed.id)"))]);
    let plan = made(sources(), targets(), vec![rule("tokens", &[("app_id", on_target(lookup))]), cycle]);
    assert!(texts(&plan.blockers).contains("a cycle of lookups"), "{}", texts(&plan.blockers));
}

#[test]
fn what_a_rule_names_must_be_there() {
    let wrong = TableSettings {
        key: vec!["idd".into()],
        drop: vec!["y".into()],
        external: vec!["secret".into()],
        into: vec![IntoSettings {
            target: "no_such".into(),
            matches: [("id".to_string(), "changed.id".to_string())].into(),
            select: "SELECT 1".into(),
        }],
        ..rule("t", &[("z", column_of("x")), ("x", column_of("w"))])
    };
    let plan =
        made(vec![table("t", &["id", "x"])], vec![table("t", &["id", "x"])], vec![wrong, rule("tt", &[])]);
    let found = texts(&plan.blockers);
    for expected in [
        "`key` names idd",
        "`drop` names y",
        "`external` names secret",
        "`columns` names z, which t on the target",
        "`columns` names w, which t on the source",
        "`into` names a table no_such",
        "the settings name a table `tt`",
    ] {
        assert!(found.contains(expected), "{expected} is not in\n{found}");
    }
}

#[test]
fn rules_for_the_new_schema_wait_for_the_upgrade() {
    let mut database = DatabaseSettings { tables: vec![rule("t", &[("b", column_of("a"))])], ..database() };
    database.upgrade.order = Some(UpgradeOrder::AfterCopy);
    let schema = |columns: &[&str]| Schema { tables: vec![table("t", columns)], sequences: Vec::new() };
    let mut when = circumstances(SchemaMode::Expect);
    let plan = make(&database, &when, &schema(&["id", "a"]), &schema(&["id", "a"]));
    assert_eq!(texts(&plan.blockers), "");
    assert_eq!(pairs(&plan, "t")["a"], "a");
    when.upgraded = true;
    let plan = make(&database, &when, &schema(&["id", "a"]), &schema(&["id", "b"]));
    assert_eq!(texts(&plan.blockers), "");
    assert_eq!(pairs(&plan, "t")["b"], "a");
}

#[test]
fn a_rule_is_meant_where_its_columns_are() {
    let when = |columns: &[&str], rule: TableSettings| TableSettings {
        when: columns.iter().map(ToString::to_string).collect(),
        preset: Some("p".into()),
        ..rule
    };
    let rules = || {
        vec![
            when(&["target.c"], rule("T", &[("c", column_of("a"))])),
            when(&["source.a", "target.b"], rule("T", &[("b", column_of("a"))])),
        ]
    };
    let plan = made(vec![table("t", &["id", "a"])], vec![table("t", &["id", "b"])], rules());
    assert_eq!((texts(&plan.blockers), pairs(&plan, "t")["b"].as_str()), (String::new(), "a"));
    let plan = made(vec![table("t", &["id", "a"])], vec![table("t", &["id", "c"])], rules());
    assert_eq!(pairs(&plan, "t")["c"], "a");
    // Nothing is said of tables that a preset speaks of in vain.
    let plan = made(vec![table("u", &["id"])], vec![table("u", &["id"])], rules());
    assert_eq!(texts(&plan.blockers), "");
}

#[test]
fn a_filter_knows_one_instant() {
    let filtered = TableSettings { filter: Some("x < :as_of".into()), ..rule("t", &[]) };
    let plan = made(vec![table("t", &["id", "x"])], vec![table("t", &["id", "x"])], vec![filtered]);
    let planned = &plan.table("t").unwrap().rule;
    assert_eq!(planned.filter.as_deref(), Some("x < '2026-01-31 12:00:00.000000+00'::timestamptz"));
    assert_eq!(planned.reads, ["x"]);
}

#[test]
fn the_difference_is_told_with_a_proposal() {
    let schema = |tables| Schema { tables, sequences: Vec::new() };
    let mut long = table("c", &["id", "x"]);
    long.columns[1].type_name = "character varying(10)".into();
    let mut short = table("c", &["id", "x"]);
    short.columns[1].type_name = "character varying(5)".into();
    let source = schema(vec![
        table("a", &["id"]),
        table("b", &["id", "name", "gone"]),
        long,
        table("d", &["id", "p", "q"]),
    ]);
    let mut uuid = column("uuid", true);
    uuid.type_name = "uuid".into();
    let mut new_b = table("b", &["id", "name1"]);
    new_b.columns.push(uuid);
    let target = schema(vec![table("a", &["id"]), new_b, short, table("new_d", &["id", "p", "q"])]);
    let database = database();
    let plan = make(&database, &circumstances(SchemaMode::Expect), &source, &target);
    let found = diff(&database, &plan, (&source, &target), &CheckConstraints::default());
    let standing: Vec<(&str, Standing)> = found.iter().map(|d| (d.table.as_str(), d.standing)).collect();
    assert_eq!(
        standing,
        [
            ("a", Standing::Same),
            ("b", Standing::NeedsRule),
            ("c", Standing::Fits),
            ("d", Standing::Gone),
            ("new_d", Standing::New)
        ]
    );
    let proposal = found[1].proposal.join("\n");
    assert!(proposal.contains("columns.name1 = \"name\""), "{proposal}");
    assert!(proposal.contains("drop = [\"gone\"]"), "{proposal}");
    assert!(proposal.contains("columns.uuid = { target = \"gen_random_uuid()\""), "{proposal}");
    assert!(found[2].changes[0].what.contains("narrower"), "{:?}", found[2].changes);
    assert!(found[2].changes[0].check.is_some());
    assert!(found[3].proposal[0].contains("target = \"new_d\""), "{:?}", found[3].proposal);
}

#[test]
fn proposals_are_settings_whatever_names_are_like() {
    let schema = |tables| Schema { tables, sequences: Vec::new() };
    let named = |schema: &str, name: &str, columns: &[&str]| Table {
        name: TableName::new(schema, name),
        ..table("t", columns)
    };
    let mut number = table("big", &["id", "app_id"]);
    number.columns[1].type_name = "integer".into();
    let mut text = table("big", &["id", "app"]);
    text.columns[1].type_name = "text".into();
    let source = schema(vec![named("app.v1", "Order Items", &["id", "say \"x\"", "q"]), text]);
    let target = schema(vec![named("app.v1", "Items of Order", &["id", "say \"x\"", "q"]), number]);
    let plan = make(&database(), &circumstances(SchemaMode::Expect), &source, &target);
    let found = diff(&database(), &plan, (&source, &target), &CheckConstraints::default());
    let lines = found.iter().flat_map(|d| &d.proposal).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(lines.contains("target = \"\\\"app.v1\\\".Items of Order\""), "{lines}");
    // A text is no number, however alike the names are.
    assert!(lines.contains("drop = [\"app\"]") && !lines.contains("columns.app_id"), "{lines}");
    // What is proposed is understood.
    let renamed = TableSettings {
        target: Some("\"app.v1\".Items of Order".into()),
        ..rule("\"app.v1\".Order Items", &[])
    };
    let plan = made(source.tables[..1].to_vec(), target.tables[..1].to_vec(), vec![renamed]);
    assert_eq!(texts(&plan.blockers), "");
}
