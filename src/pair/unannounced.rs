//! Tables whose target, rules or place in the settings are not what they were when they were copied, or when
//! the upgrade was declared done.

use super::Generations;
use crate::error::Error;
use crate::ledger::Entry;
use crate::model::{Finding, Plan, TableName, TablePlan};
use crate::settings::DatabaseSettings;

/// Puts the plans back that tables were copied under which were changed since, or which these settings exclude
/// though they were part of the upgrade: they stay captured, so that nothing is lost until a person decides. Returns
/// why each of them can't go on.
pub(super) fn keep_unannounced(
    plan: &mut Plan,
    database: &DatabaseSettings,
    entry: Option<&Entry>,
) -> Generations {
    let mut changed = Generations::new();
    let upgraded = entry.is_some_and(|e| e.upgraded_at.is_some());
    for kept in entry.into_iter().flat_map(part_of_the_upgrade) {
        let unwanted = |name: &TableName| !database.wants(name.schema.as_deref(), &name.name);
        let excluded = |name: &TableName| *name == kept.source && unwanted(name);
        let Some(place) = plan.excluded.iter().position(excluded) else { continue };
        plan.excluded.remove(place);
        changed.insert(
            kept.label(),
            Err(Error::table(EXCLUDED_SINCE_UPGRADE.0).remedy(EXCLUDED_SINCE_UPGRADE.1)),
        );
        plan.tables.push(kept.clone());
    }
    for table in &mut plan.tables {
        let label = table.label();
        let known = entry.into_iter().flat_map(|e| &e.tables).find(|t| t.label == label);
        let kept = known.filter(|t| t.watermark.is_some()).and_then(|t| t.plan.as_ref());
        if let Some((kept, finding)) = kept.and_then(|kept| Some((kept, unannounced(kept, table, upgraded)?)))
        {
            *table = kept.clone();
            changed.insert(label, Err(Error::table(finding.what).remedy(finding.remedy)));
        }
    }
    changed
}

/// Why a table stops that the settings of this process exclude, and those of `highwater upgrade --done` did not:
/// forgotten, its rows would be production's again under the next process that includes it.
const EXCLUDED_SINCE_UPGRADE: (&str, &str) = (
    "the settings exclude it, and it was part of the upgrade",
    "start highwater with the settings that `highwater upgrade --done` had; if it is meant to be excluded: `highwater \
     upgrade --begin`, then `--done`",
);

/// The plans of the tables that were part of the upgrade.
fn part_of_the_upgrade(entry: &Entry) -> impl Iterator<Item = &TablePlan> {
    let was_part = |label: &String| entry.upgraded_at.is_some() && !entry.left_out.contains(label);
    entry
        .tables
        .iter()
        .filter(move |t| t.watermark.is_some() && was_part(&t.label))
        .filter_map(|t| t.plan.as_ref())
}

/// What forbids carrying tables that the settings of `highwater upgrade --done` excluded: which rows of them the
/// upgrade made or deleted is not known, so replay would undo the upgrade.
pub(super) fn included_since_upgrade(plan: &Plan, entry: &Entry) -> Vec<Finding> {
    let remedy = "start highwater with the settings that `highwater upgrade --done` had; if it is meant to be included: \
                  `highwater upgrade --begin`, then `--done`";
    let what = "the settings include it, and excluded it when its upgrade was done";
    let left_out = plan.tables.iter().filter(|t| entry.left_out.contains(&t.label()));
    left_out.map(|t| Finding::of(&t.source, what, remedy)).collect()
}

/// What forbids going on with a table whose target was changed while the source was not, and no upgrade
/// was announced: a full resync would lose what that change did to its rows. Once the schema is `upgraded`
/// other rules forbid it, too: those of a process that was started before, or with other settings, would
/// undo the upgrade.
pub fn unannounced(kept: &TablePlan, now: &TablePlan, upgraded: bool) -> Option<Finding> {
    let on_target = |t: &TablePlan| {
        let mut columns: Vec<(String, String)> =
            t.columns.iter().map(|c| (c.target.clone(), c.target_type.clone())).collect();
        columns.sort();
        (columns, t.target.clone())
    };
    let same_choice = kept.key == now.key && kept.rule.filter == now.rule.filter;
    if !knows_carried(kept, now) || !knows_carried(now, kept) || !(same_choice || upgraded) {
        return None;
    }
    let (what, remedy) = if upgraded && kept.decision() != now.decision() {
        (
            format!("{} or its rules are not what they were when its upgrade was done", now.target),
            "start highwater with the settings that `highwater upgrade --done` had; if it is meant to be so: `highwater \
             upgrade --begin`, then `--done`, and what is replayed from then on goes by it",
        )
    } else if on_target(kept) != on_target(now) {
        (
            format!("{} was changed since it was copied, and no upgrade was announced", now.target),
            "if it is meant to be so: `highwater upgrade --begin`, then `--done`, and replay goes on into it; else \
             change it back",
        )
    } else {
        return None;
    };
    Some(Finding::of(&now.source, what, remedy))
}

/// Whether the source columns that `one` carries as they are mean something to the `other` plan: else the
/// source was changed.
fn knows_carried(one: &TablePlan, other: &TablePlan) -> bool {
    one.columns.iter().filter(|c| c.expression.is_none()).all(|carried| {
        let is_read = other.rule.reads.contains(&carried.source)
            || other.rule.also.iter().any(|c| c.name == carried.source);
        is_read
            || other.columns.iter().any(|c| {
                c.expression.is_none() && c.source == carried.source && c.source_type == carried.source_type
            })
    })
}
