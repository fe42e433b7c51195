//! What neither side shows by itself: servers that have other manners.

use std::collections::HashMap;

use crate::engine::Manners;
use crate::model::{Finding, Plan, TableName};

/// Adds what follows from the manners of both servers.
pub(super) fn compare(plan: &mut Plan, from: &Manners, to: &Manners) {
    if from.maker != to.maker && plan.tables.iter().any(|t| t.create) {
        let what = format!(
            "copy.schema = \"create\" makes tables as {} writes them, which {} reads otherwise or not at all",
            from.maker, to.maker
        );
        let remedy =
            "make the tables on the target by hand or by the upgrade, and set copy.schema = \"expect\"";
        plan.blockers.push(Finding::general(what, remedy));
    }
    if to.caseless && !from.caseless {
        meet(plan);
    }
    if from.caseless != to.caseless {
        let side = if to.caseless { "target" } else { "source" };
        let what = format!("the names of tables have no case on the {side}, and one on the other side");
        plan.warnings.push(Finding::general(
            what,
            "see that the application writes them as the new server knows them",
        ));
    }
    if to.largest_row < from.largest_row {
        let what = format!(
            "the target takes rows of {} bytes, the source {}: larger ones are parked",
            to.largest_row, from.largest_row
        );
        plan.warnings.push(Finding::general(what, (to.raise)(from.largest_row)));
    }
}

/// Tables whose names differ by case only would be one on the target.
fn meet(plan: &mut Plan) {
    let mut seen: HashMap<String, &TableName> = HashMap::new();
    let mut found = Vec::new();
    for table in &plan.tables {
        if let Some(other) = seen.insert(table.target.to_string().to_lowercase(), &table.source) {
            let what = format!("{other} and it have one name on the target, where names have no case");
            found.push(Finding::of(&table.source, what, "rename one, or add it to `exclude`"));
        }
    }
    plan.blockers.extend(found);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Form, Strategy, TablePlan};

    fn table(name: &str, create: bool) -> TablePlan {
        TablePlan {
            source: TableName::bare(name),
            target: TableName::bare(name),
            target_id: String::new(),
            key: Vec::new(),
            columns: Vec::new(),
            rule: crate::model::Rule::default(),
            dependants: Vec::new(),
            looks_up: Vec::new(),
            strategy: Strategy::Whole,
            form: Form::Values,
            partitioned: false,
            create,
            rows: 0,
            bytes: 0,
        }
    }

    fn manners(maker: &str, caseless: bool, largest_row: u64) -> Manners {
        Manners { maker: maker.into(), caseless, largest_row, raise: |bytes| format!("raise it to {bytes}") }
    }

    fn compared(tables: Vec<TablePlan>, from: &Manners, to: &Manners) -> (Vec<Finding>, Vec<Finding>) {
        let mut plan = Plan {
            database: "main".into(),
            tables,
            excluded: Vec::new(),
            blockers: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            hash: String::new(),
        };
        compare(&mut plan, from, to);
        (plan.blockers, plan.warnings)
    }

    #[test]
    fn the_same_manners_are_not_spoken_of() {
        let same = manners("A", false, 10);
        let (blockers, warnings) = compared(vec![table("t", true), table("T", true)], &same, &same);
        assert!(blockers.is_empty() && warnings.is_empty(), "{blockers:?} {warnings:?}");
        let (blockers, warnings) =
            compared(vec![table("t", false)], &manners("B", false, 5), &manners("A", false, 10));
        assert!(blockers.is_empty() && warnings.is_empty(), "{blockers:?} {warnings:?}");
    }

    #[test]
    fn tables_are_not_made_for_another_maker() {
        let (blockers, _) =
            compared(vec![table("t", true)], &manners("A", false, 1), &manners("B", false, 1));
        assert!(blockers[0].what.contains("as A writes them"), "{blockers:?}");
    }

    #[test]
    fn names_without_case_and_smaller_rows_are_told() {
        let tables = || vec![table("t", false), table("T", false)];
        let (blockers, warnings) = compared(tables(), &manners("A", false, 10), &manners("A", true, 5));
        assert!(blockers[0].what.contains("have one name on the target"), "{blockers:?}");
        assert!(warnings[0].what.contains("no case on the target"), "{warnings:?}");
        assert_eq!(warnings[1].remedy, "raise it to 10");
        let (blockers, _) = compared(tables(), &manners("A", true, 10), &manners("A", false, 10));
        assert!(blockers.is_empty(), "{blockers:?}");
    }
}
