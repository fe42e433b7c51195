//! CHECK constraints of the target: which are new, and what is asked of the source.

use super::*;
use crate::model::{CheckConstraint, ColumnPair, On, Transform};
use crate::plan::conditions::{Checked, new_constraints};
use crate::plan::diff::{Change, Check};

/// Source and target of a table, of which `y` was `x`, and their plan.
fn renamed() -> (Table, Table, TablePlan) {
    let (source, target) = (table("t", &["id", "x", "Z"]), table("t", &["id", "y", "Z", "own"]));
    let plan = plan(vec![table("t", &["id", "Z"])], vec![table("t", &["id", "Z"])], SchemaMode::Expect);
    let mut planned = plan.table("t").unwrap().clone();
    planned.columns.push(ColumnPair::plain("x", "integer", "y", "integer"));
    (source, target, planned)
}

fn constraint(condition: &str) -> CheckConstraint {
    CheckConstraint {
        table: TableName::new("public", "t"),
        name: "c".into(),
        condition: condition.into(),
        validated: true,
    }
}

/// What is new in the one condition of the target beside that of the source.
fn new(plan: Option<&TablePlan>, had: &[CheckConstraint], has: &str) -> Option<Change> {
    let (source, target, _) = renamed();
    let has = [constraint(has)];
    let mut found = new_constraints(
        plan,
        Checked { table: &source, constraints: had },
        Checked { table: &target, constraints: &has },
    );
    assert!(found.len() < 2, "{found:?}");
    found.pop()
}

fn why(plan: Option<&TablePlan>, has: &str) -> String {
    let change = new(plan, &[], has).unwrap();
    assert_eq!(change.check, None);
    change.uncounted.unwrap()
}

#[test]
fn what_the_source_has_equally_is_not_new() {
    let (_, _, planned) = renamed();
    let had = |condition: &str| [constraint(condition)];
    assert!(new(Some(&planned), &had("x > 0 AND \"Z\" <> 'a'"), "Y > 0 and \"Z\" <> 'a'").is_none());
    for other in ["x > 0 AND \"Z\" <> 'A'", "(x > 0 AND \"Z\") <> 'a'", "y > 0 AND \"Z\" <> 'a'"] {
        assert!(new(Some(&planned), &had(other), "y > 0 and \"Z\" <> 'a'").is_some(), "{other}");
    }
    let unheld = [CheckConstraint { validated: false, ..constraint("x > 0") }];
    assert!(new(Some(&planned), &unheld, "y > 0").is_some(), "rows that were there before may break it");
    let elsewhere = [CheckConstraint { table: TableName::new("public", "u"), ..constraint("x > 0") }];
    assert!(new(Some(&planned), &elsewhere, "y > 0").is_some());
}

#[test]
fn the_condition_is_asked_under_the_targets_names() {
    let (_, _, planned) = renamed();
    let change = new(Some(&planned), &[], "y > 0 OR y < -5").unwrap();
    let Some(Check::Broken { condition, table, columns, shown }) = change.check else { panic!("{change:?}") };
    assert_eq!((condition.as_str(), table.as_str()), ("y > 0 OR y < -5", "t"));
    assert_eq!(shown, ["id", "y"]);
    assert!(columns.contains(&("x".to_string(), "y".to_string())), "{columns:?}");
}

/// A count of something else would be worse than none.
#[test]
fn what_the_source_cannot_answer_is_not_asked() {
    let (_, _, planned) = renamed();
    assert!(why(None, "y > 0 OR id > 0").contains("needs a rule first"));
    assert!(why(Some(&planned), "y > 0 OR own > 0").contains("own is the target's own"));
    // SQLite takes a quoted name that is no column for a text.
    assert!(why(Some(&planned), "y > 0 OR \"OWN\" > 0").contains("own is the target's own"));
    assert!(why(Some(&planned), "public.f(y)").contains("public.f may be another function"));
    assert!(why(Some(&planned), "y > 0 OR t.* IS NOT NULL").contains("row as a whole"));
    let changed = |change: &dyn Fn(&mut ColumnPair)| {
        let mut planned = planned.clone();
        planned.columns.iter_mut().filter(|p| p.target == "y").for_each(change);
        planned
    };
    let computed = changed(&|p| p.expression = Some("x + 1".into()));
    assert!(why(Some(&computed), "y > 0").contains("the rule computes y"));
    let once = changed(&|p| p.on = On::Insert);
    assert!(why(Some(&once), "y > 0").contains("kept after that"));
    let mut filtered = planned.clone();
    filtered.rule.transform = Some(Transform { command: vec!["x".into()], timeout_ms: 1 });
    assert!(why(Some(&filtered), "y > 0").contains("the rule's command"));
}

#[test]
fn what_only_the_upgrade_fills_is_not_productions() {
    let (_, _, planned) = renamed();
    assert_eq!(new(Some(&planned), &[], "own IN (1, 2)"), None);
}
