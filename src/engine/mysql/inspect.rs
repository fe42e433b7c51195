//! Whether capture and fence are in force.
//!
//! Nothing tells when a trigger was dropped or a table emptied by TRUNCATE, so the catalogue must: the
//! triggers are compared with what they ought to be and with when they were made, and the numbers that InnoDB gave to
//! tables and logs with those of the time when capture was made. TRUNCATE, a swap by rename, IMPORT TABLESPACE and the
//! partitions' DDL give a table other ones.

use std::collections::HashSet;

use super::capture::{self, Subject};
use super::facts::{self, Facts, Shape};
use super::grants::Grants;
use super::install::check_meta;
use super::names::Names;
use super::source::Inner;
use super::types::raw_key;
use super::value::quote;
use crate::engine::{Fault, Verdict};
use crate::error::Result;
use crate::model::{Plan, TablePlan};

const AGAIN: &str = "put it back, or take the table's new shape into the target and the plan";

/// Looks at everything.
pub(super) async fn inspect(source: &Inner, plan: &Plan) -> Result<Vec<Verdict>> {
    let names = &source.names;
    let mut session = source.server.session().await?;
    let mut facts = Facts::read(&mut session, names, source.server.flavour).await?;
    let graph = facts::graph(&mut session, names, source.server.flavour).await?;
    let grants = Grants::of(&mut session, source.server.flavour).await?;
    let subjects = capture::subjects(names, plan, &graph);
    facts.look_closer(&mut session, subjects.iter().flat_map(|s| &s.triggers)).await?;
    session.close();
    facts.planned = source.planned();
    if let Some(meta) = &facts.meta {
        check_meta(&source.server.place, names, meta)?;
    }
    let outlook = Outlook { names, facts: &facts, grants: Some(&grants) };
    let mut verdicts = Vec::new();
    for subject in &subjects {
        let fault = outlook.fault(subject);
        // A table that has the fence only is spoken of when that is wrong.
        if subject.plan.is_some() || fault.is_some() {
            let generation = facts.registered.get(&subject.table).map(|known| known.generation.clone());
            verdicts.push(Verdict { label: subject.label(), generation, fault });
        }
    }
    Ok(verdicts)
}

/// What is judged by.
pub(super) struct Outlook<'a> {
    /// The names of capture's objects.
    pub(super) names: &'a Names,
    /// The source as it is.
    pub(super) facts: &'a Facts,
    /// What our user may do, where that is asked about.
    pub(super) grants: Option<&'a Grants>,
}

impl Outlook<'_> {
    /// What is wrong with a table's capture, or with its fence.
    pub(super) fn fault(&self, subject: &Subject) -> Option<Fault> {
        let Some(plan) = subject.plan else {
            // A view takes no triggers, and a dropped table needs none.
            self.facts.tables.get(&subject.table)?;
            return self.revoked(subject).or_else(|| self.triggers_fault(subject).map(Fault::Mend));
        };
        let stop = |what: String| Fault::Stop { what, remedy: AGAIN.to_string() };
        self.shape_fault(subject)
            .or_else(|| subject.refusal.clone())
            .map(stop)
            .or_else(|| self.revoked(subject))
            .or_else(|| self.base_fault().or_else(|| self.capture_fault(subject, plan)).map(Fault::Mend))
    }

    /// Why a table can't be captured as it is now.
    pub(super) fn shape_fault(&self, subject: &Subject) -> Option<String> {
        let plan = subject.plan?;
        let Some(shape) = self.facts.tables.get(&subject.table) else {
            return Some("the table was dropped or renamed on the source".to_string());
        };
        let planned = self.facts.planned.get(&subject.table);
        columns_fault(shape, planned, plan).or_else(|| {
            // A rule may name a key that no index has.
            let had_key = planned.is_none_or(|planned| has_key(planned, plan));
            (had_key && !has_key(shape, plan))
                .then(|| "its key is not unique on the source any more".to_string())
        })
    }

    /// The triggers run as our user: without its privileges they fail, and production's writes with them.
    fn revoked(&self, subject: &Subject) -> Option<Fault> {
        let grants = self.grants?;
        let (database, capture) = (&self.names.database, &self.names.capture);
        let lost =
            |privilege: &str, database: &str, table: &str| !grants.holds(privilege, database, Some(table));
        let log = self.names.log_name(&subject.table);
        let (privilege, on) = if lost("TRIGGER", database, &subject.table) {
            ("TRIGGER", database)
        } else if subject.plan.is_some() && lost("SELECT", database, &subject.table) {
            ("SELECT", database)
        } else if subject.plan.is_some() && lost("INSERT", capture, &log) {
            ("INSERT", capture)
        } else {
            return None;
        };
        let what = if self.facts.registered.is_empty() {
            format!("{privilege} on {on} is missing")
        } else {
            format!("{privilege} on {on} was revoked from highwater's user: production's writes fail now")
        };
        Some(Fault::Stop {
            what,
            remedy: format!("GRANT {privilege} ON {}.* TO the user of the URL", quote(on)),
        })
    }

    fn base_fault(&self) -> Option<String> {
        if self.facts.meta.is_none() {
            return Some("capture is not installed".to_string());
        }
        self.facts.fence.is_none().then(|| "the fence has lost its row".to_string())
    }

    fn capture_fault(&self, subject: &Subject, plan: &TablePlan) -> Option<String> {
        let Some(known) = self.facts.registered.get(&subject.table) else {
            return Some("its changes are not captured".to_string());
        };
        if serde_json::to_string(&plan.key).ok().as_ref() != Some(&known.key) {
            return Some("its key is another one than that which is captured".to_string());
        }
        self.log_fault(subject).or_else(|| self.triggers_fault(subject)).or_else(|| {
            let noted = known.fingerprint.as_ref().filter(|_| known.is_comparable(self.facts))?;
            let now = self.facts.fingerprint(self.facts, self.names, &subject.table);
            (noted != &now)
                .then(|| "the table or its change log was rebuilt, truncated or swapped".to_string())
        }).or_else(|| {
            let is_noted = self.facts.unlogged.contains(&self.names.log_name(&subject.table));
            is_noted.then(|| {
                "writes are in no change log: it was gone, or a function or trigger of the application caught the \
                 refusal of the fence".to_string()
            })
        })
    }

    /// What is wrong with a table's change log.
    pub(super) fn log_fault(&self, subject: &Subject) -> Option<String> {
        let plan = subject.plan?;
        let Some(log) = self.facts.own.get(&self.names.log_name(&subject.table)) else {
            return Some("its change log is gone".to_string());
        };
        let (own, keys) = log.split_at_checked(3)?;
        let fits = own.iter().map(|(name, _)| name.as_str()).eq(["seq", "kind", "captured_at"])
            && keys == capture::log_columns(plan);
        (!fits).then(|| "its change log was altered".to_string())
    }

    fn triggers_fault(&self, subject: &Subject) -> Option<String> {
        let wanted = subject.triggers.iter().find_map(|trigger| self.facts.trigger_fault(trigger));
        wanted.or_else(|| {
            let mut own = self.facts.own_triggers(self.names, &subject.table);
            let stray = own.find(|found| !subject.triggers.iter().any(|t| t.name == found.name))?;
            Some(format!("trigger {} does not belong there", stray.name))
        })
    }
}

fn columns_fault(shape: &Shape, planned: Option<&Shape>, table: &TablePlan) -> Option<String> {
    let read = |(name, type_name): (&str, &str)| {
        let Some(found) = shape.columns.iter().find(|c| c.name == name) else {
            return Some(format!("column {name} was dropped or renamed on the source"));
        };
        let now = &found.type_name;
        (now != type_name).then(|| format!("column {name} was `{type_name}` and is `{now}` on the source"))
    };
    let key = raw_key(table);
    let plain = table.columns.iter().filter(|c| c.expression.is_none()).chain(&key);
    let plain = plain.map(|c| (c.source.as_str(), c.source_type.as_str()));
    let mut all = plain.chain(table.rule.also.iter().map(|c| (c.name.as_str(), c.type_name.as_str())));
    let gone = |name: &String| {
        let is_there = shape.columns.iter().any(|c| &c.name == name);
        (!is_there).then(|| format!("column {name} was dropped or renamed on the source"))
    };
    all.find_map(read).or_else(|| table.rule.reads.iter().find_map(gone)).or_else(|| {
        let mut known: HashSet<&str> = table.columns.iter().map(|c| c.source.as_str()).collect();
        known.extend(table.rule.also.iter().map(|c| c.name.as_str()));
        known.extend(table.rule.reads.iter().map(String::as_str));
        known.extend(planned.iter().flat_map(|planned| planned.columns.iter().map(|c| c.name.as_str())));
        let is_written = |c: &&crate::model::Column| c.generation != crate::model::Generation::Computed;
        let added = shape.columns.iter().filter(is_written).find(|c| !known.contains(c.name.as_str()))?;
        Some(format!("column {} was added on the source", added.name))
    })
}

/// Whether the key still tells rows apart.
fn has_key(shape: &Shape, table: &TablePlan) -> bool {
    let same =
        |columns: &[String]| !columns.is_empty() && columns.iter().all(|column| table.key.contains(column));
    let not_null = |name: &String| shape.columns.iter().any(|c| &c.name == name && c.not_null);
    table.key.is_empty()
        || same(&shape.primary_key)
        || shape.unique.iter().any(|index| same(&index.columns) && index.columns.iter().all(not_null))
}
