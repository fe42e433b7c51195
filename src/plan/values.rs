//! Whether values arrive exactly: what is said of the pairs of types of a table.

use crate::engine::{Fit, fit};
use crate::model::{ColumnPair, Fidelity, Finding, On, TablePlan};
use crate::settings::EngineKind;

/// What is found of one table.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) blockers: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

/// Looks at every pair of columns that is carried as it is. What an expression makes of one is the rule's to
/// say, and is compared when it is written.
pub(super) fn check(engine: EngineKind, table: &TablePlan) -> Found {
    let mut found = Found::default();
    for pair in table.columns.iter().filter(|pair| pair.expression.is_none()) {
        let (from, to) = (&pair.source_type, &pair.target_type);
        let of = format!("{}.{} is {to} and the source's column {from}", table.target, pair.target);
        let is_key = table.key.contains(&pair.source);
        let finding = |what: String, remedy: String| Finding::of(&table.source, what, remedy);
        match (fit(engine, pair), pair.fidelity) {
            (Fit::Exact, _) => {}
            (Fit::Merged(why) | Fit::Blocked { why, .. }, _) if is_key => {
                let what = format!("{of}: {why}, and two keys could become one");
                found.blockers.push(finding(what, format!("give the key's column a type that holds {from}")));
            }
            (Fit::Compared(why) | Fit::Merged(why) | Fit::Blocked { why, .. }, Fidelity::Lossy) => {
                let what = format!("{of}: values may change, as the rule allows it (lossy = true): {why}");
                found.warnings.push(finding(what, "nothing if that is what the upgrade means".to_string()));
            }
            (Fit::Compared(why) | Fit::Merged(why), Fidelity::Exact) if table.key.is_empty() => {
                let what = format!("{of}: {why}, and a table without a key has no single rows to park");
                found.blockers.push(finding(what, ways_out(pair, None)));
            }
            // Whether the row is new is not known when values are compared.
            (Fit::Compared(why) | Fit::Merged(why), Fidelity::Exact) if pair.on == On::Insert => {
                let what = format!("{of}: {why}, and a column that is written once is not compared");
                found.blockers.push(finding(what, ways_out(pair, None)));
            }
            (Fit::Compared(why) | Fit::Merged(why), Fidelity::Exact) => {
                let what = format!("{of}: {why}; a row with a value that would change is parked");
                found.warnings.push(finding(what, ways_out(pair, None)));
            }
            (Fit::Blocked { why, instead }, Fidelity::Exact) => {
                let what = format!("{of} and would change values: {why}");
                found.blockers.push(finding(what, ways_out(pair, instead)));
            }
        }
    }
    found
}

/// What can be done about a type that does not hold all values.
fn ways_out(pair: &ColumnPair, instead: Option<&str>) -> String {
    let expression = instead.unwrap_or("..").replace("{}", &pair.source);
    format!(
        "give it a type that holds {}, say in a rule what it gets (columns.{} = {{ source = \"{expression}\" }}), or \
         allow the change (columns.{} = {{ lossy = true }})",
        pair.source_type, pair.target, pair.target
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Form, Rule, Strategy, TableName};

    fn table(pair: ColumnPair, key: &[&str]) -> TablePlan {
        TablePlan {
            source: TableName::new("public", "t"),
            target: TableName::new("public", "t"),
            target_id: String::new(),
            key: key.iter().map(ToString::to_string).collect(),
            columns: vec![pair],
            rule: Rule::default(),
            dependants: Vec::new(),
            looks_up: Vec::new(),
            strategy: Strategy::Keyed,
            form: Form::CopyText,
            partitioned: false,
            create: false,
            rows: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_value_that_may_change_blocks_or_is_compared_or_is_allowed_to() {
        let pair = |from: &str, to: &str| ColumnPair::plain("a", from, "a", to);
        let said = |pair: ColumnPair, key: &[&str]| {
            let found = check(EngineKind::Postgres, &table(pair, key));
            (found.blockers.len(), found.warnings.len())
        };
        let rounded = pair("numeric(12,4)", "numeric(12,1)");
        let zoned = pair("timestamp without time zone", "timestamp with time zone");
        let single = pair("double precision", "real");
        assert_eq!(said(pair("integer", "bigint"), &["a"]), (0, 0));
        assert_eq!(said(rounded.clone(), &["id"]), (0, 1));
        assert_eq!(said(rounded.clone(), &[]), (1, 0));
        assert_eq!(said(rounded.clone(), &["a"]), (0, 1));
        assert_eq!(said(ColumnPair { on: On::Insert, ..rounded.clone() }, &["id"]), (1, 0));
        assert_eq!(said(ColumnPair { fidelity: Fidelity::Lossy, ..rounded }, &[]), (0, 1));
        assert_eq!(said(zoned.clone(), &[]), (1, 0));
        assert_eq!(said(ColumnPair { fidelity: Fidelity::Lossy, ..zoned.clone() }, &[]), (0, 1));
        assert_eq!(said(single.clone(), &["id"]), (0, 1));
        assert_eq!(said(ColumnPair { fidelity: Fidelity::Lossy, ..single }, &["a"]), (1, 0));
        let remedy = check(EngineKind::Postgres, &table(zoned, &[])).blockers.remove(0).remedy;
        assert!(remedy.contains("a AT TIME ZONE '..'"), "{remedy}");
    }
}
