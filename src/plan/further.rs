//! Further targets of a rule, and which tables look which up.

use super::links::{further_link, link, reads_whole_rows};
use super::rules::find_table;
use crate::model::{Dependant, Finding, Into, Link, Rule, Schema, Table, TableName, TablePlan, sql};
use crate::settings::{IntoSettings, nearest};

/// The further targets of a table's rule. What their selects yield is found out when they are tried.
pub(super) fn into(
    source: &Table,
    target: &Schema,
    wanted: &[IntoSettings],
    blockers: &mut Vec<Finding>,
) -> Vec<Into> {
    let mut all = Vec::new();
    for into in wanted {
        let name = TableName::read(&into.target, &source.name);
        let Some(found) = find_table(target, &name) else {
            let names: Vec<String> = target.tables.iter().map(|t| t.name.to_string()).collect();
            let near = nearest(&into.target, names.iter().map(String::as_str));
            let remedy =
                near.map_or("correct its name".to_string(), |near| format!("did you mean `{near}`?"));
            let what =
                format!("the rule's `into` names a table {}, which the target does not have", into.target);
            blockers.push(Finding::of(&source.name, what, remedy));
            continue;
        };
        let mut matches = Vec::new();
        for (column, expression) in &into.matches {
            match super::columns::find_column(found, column) {
                Some(column) => matches.push((column.name.clone(), expression.clone())),
                None => {
                    let what =
                        format!("the rule's `match` names {column}, which {} does not have", found.name);
                    let names = found.columns.iter().map(|c| c.name.as_str());
                    let remedy = nearest(column, names)
                        .map_or("correct it".to_string(), |near| format!("did you mean `{near}`?"));
                    blockers.push(Finding::of(&source.name, what, remedy));
                }
            }
        }
        all.push(Into {
            target: found.name.clone(),
            matches,
            select: into.select.trim().trim_end_matches(';').to_string(),
            columns: Vec::new(),
            key: Vec::new(),
        });
    }
    all
}

/// The SQL of a rule that the target runs.
pub(super) fn on_target(rule: &Rule) -> Vec<&str> {
    let lookups = rule.lookups.iter().map(|l| l.expression.as_str());
    let into =
        rule.into.iter().flat_map(|i| i.matches.iter().map(|(_, m)| m.as_str()).chain([i.select.as_str()]));
    lookups.chain(into).collect()
}

/// Notes with each table which others look it up; a cycle is a blocker.
pub(super) fn tie(tables: &mut [TablePlan], target: &Schema, blockers: &mut Vec<Finding>) {
    let mut ties: Vec<(usize, Dependant)> = Vec::new();
    for (d, dependant) in tables.iter().enumerate() {
        let texts = on_target(&dependant.rule);
        for (p, parent) in tables.iter().enumerate() {
            // The rows of its own target are its own: what they are follows from the same batch.
            if p == d {
                continue;
            }
            if let Some(dependant) = main_tie(&texts, parent, dependant, target) {
                ties.push((p, dependant));
            }
            ties.extend(further_ties(&texts, parent, dependant).into_iter().map(|d| (p, d)));
        }
    }
    for (d, table) in tables.iter().enumerate() {
        let own = table
            .rule
            .lookups
            .iter()
            .find(|l| !sql::mentioned(&l.expression, [table.target.name.as_str()]).is_empty());
        if let Some(own) = own {
            let what = format!(
                "the rule for {} looks up the table's own target, which its rows are just changing",
                own.target
            );
            blockers.push(Finding::of(
                &table.source,
                what,
                "look it up in another table, or compute it on the source",
            ));
        }
        if reaches(&ties, tables, d, d, &mut vec![false; tables.len()]) {
            let what =
                "its rule looks up a table whose rule looks this one up: a cycle of lookups".to_string();
            blockers.push(Finding::of(
                &table.source,
                what,
                "take one of the lookups out, or compute it on the source",
            ));
        }
    }
    for (p, dependant) in ties {
        let parent = tables[p].label();
        let is_new = |t: &&mut TablePlan| t.label() == dependant.label && !t.looks_up.contains(&parent);
        if let Some(child) = tables.iter_mut().find(is_new) {
            child.looks_up.push(parent);
        }
        tables[p].dependants.push(dependant);
    }
}

/// How a dependant is tied to a table whose own target its SQL names.
fn main_tie(texts: &[&str], parent: &TablePlan, dependant: &TablePlan, target: &Schema) -> Option<Dependant> {
    let named: Vec<&&str> =
        texts.iter().filter(|text| !sql::mentioned(text, [parent.target.name.as_str()]).is_empty()).collect();
    if named.is_empty() {
        return None;
    }
    let known = find_table(target, &parent.target).map_or(&[][..], |t| &t.columns);
    let read = |c: &&str| {
        named.iter().any(|t| !sql::mentioned(t, [*c]).is_empty() || reads_whole_rows(t, &parent.target.name))
    };
    let columns = known.iter().map(|c| c.name.as_str()).filter(read).map(str::to_string).collect();
    let link = one_link(named.iter().map(|text| link(text, parent, dependant)));
    Some(Dependant { label: dependant.label(), columns, further: false, link })
}

/// How a dependant is tied to a table whose further targets its SQL names.
fn further_ties(texts: &[&str], parent: &TablePlan, dependant: &TablePlan) -> Vec<Dependant> {
    let mut ties = Vec::new();
    for into in &parent.rule.into {
        let named: Vec<&&str> = texts
            .iter()
            .filter(|text| !sql::mentioned(text, [into.target.name.as_str()]).is_empty())
            .collect();
        if named.is_empty() {
            continue;
        }
        let link = one_link(named.iter().map(|text| further_link(text, into, parent, dependant)));
        let columns = link.iter().map(|link| link.looked_up.clone()).collect();
        ties.push(Dependant { label: dependant.label(), columns, further: true, link });
    }
    ties
}

/// Several links would each need their own values; one table is rarely looked up twice.
fn one_link(links: impl Iterator<Item = Option<Link>>) -> Option<Link> {
    let links: Vec<Option<Link>> = links.collect();
    let first = links.first().cloned().flatten()?;
    links.iter().all(|link| link.as_ref() == Some(&first)).then_some(first)
}

fn reaches(
    ties: &[(usize, Dependant)],
    tables: &[TablePlan],
    from: usize,
    to: usize,
    seen: &mut Vec<bool>,
) -> bool {
    for (p, dependant) in ties.iter().filter(|(p, _)| *p == from) {
        debug_assert_eq!(*p, from);
        let Some(next) = tables.iter().position(|t| t.label() == dependant.label) else { continue };
        if next == to {
            return true;
        }
        if !std::mem::replace(&mut seen[next], true) && reaches(ties, tables, next, to, seen) {
            return true;
        }
    }
    false
}
