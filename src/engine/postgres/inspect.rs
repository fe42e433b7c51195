//! Whether capture is in force and unchanged: what was registered against what is there now.

use std::collections::{HashMap, HashSet};

use super::capture::VERSION;
use super::connect::literal;
use super::facts;
use super::session::{Session, flag, maybe, name_list, number, text};
use super::source::{PostgresSource, Standing};
use crate::engine::template::fill;
use crate::engine::{Fault, Verdict};
use crate::error::{Error, Result};
use crate::model::{Plan, Table, TablePlan, quote};

/// What is registered of a table, and how it differs from what is there.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) label: String,
    pub(super) log: String,
    pub(super) generation: String,
    pub(super) definition: String,
    pub(super) relid: u32,
    /// The table that has the name now.
    pub(super) present: Option<u32>,
    pub(super) log_missing: bool,
    pub(super) broken: Option<String>,
    pub(super) attached: Option<String>,
    pub(super) gone: Option<String>,
    pub(super) altered: Option<String>,
    pub(super) rebuilt: Option<String>,
    /// Changes with the table's columns and unique indexes.
    pub(super) shape: String,
    /// What the registered table is called now, if it exists.
    pub(super) called: Option<String>,
    /// The role that the triggers run as, where it may not write the log.
    pub(super) unwritable: Option<String>,
}

impl Registered {
    /// Why capture of the table must be made anew, if it must.
    pub(super) fn doubt(&self, definition: &str) -> Option<String> {
        if self.present != Some(self.relid) {
            return Some("the table was made anew".to_string());
        }
        if self.log_missing {
            return Some("its log was dropped".to_string());
        }
        if let Some(owner) = &self.unwritable {
            return Some(format!("{owner}, as which the triggers run, may not write the log"));
        }
        if let Some(broken) = &self.broken {
            return Some(broken.clone());
        }
        if let Some(altered) = &self.altered {
            return Some(format!("triggers are missing, disabled or altered on {altered}"));
        }
        if let Some(rebuilt) = &self.rebuilt {
            return Some(format!("{rebuilt} was rebuilt, and capture does not see what that changed"));
        }
        (self.definition != definition).then(|| "what is to be captured has changed".to_string())
    }

    /// What of its partitions must be mended, if anything.
    pub(super) fn parts(&self) -> Option<String> {
        match (&self.attached, &self.gone) {
            (Some(attached), _) => Some(format!("{attached} has no triggers yet")),
            (None, Some(_)) => Some("a partition was detached or dropped".to_string()),
            (None, None) => None,
        }
    }
}

/// All that is registered.
pub(super) async fn registered(session: &mut Session, schema: &str) -> Result<Vec<Registered>> {
    let name = literal(schema);
    let digest = fill(include_str!("../../../sql/postgres/digest.sql").trim(), &[("schema_name", &name)]);
    let sql = fill(
        include_str!("../../../sql/postgres/inspect.sql"),
        &[("digest", &digest), ("s", &quote(schema)), ("schema_name", &name)],
    );
    session.query(sql).await?.iter().map(registered_row).collect()
}

fn registered_row(row: &crate::engine::Record) -> Result<Registered> {
    let owned = |column| maybe(row, column).map(str::to_string);
    Ok(Registered {
        label: text(row, 0)?.to_string(),
        log: text(row, 1)?.to_string(),
        generation: text(row, 2)?.to_string(),
        definition: text(row, 3)?.to_string(),
        relid: number(row, 4)?,
        present: maybe(row, 5).and_then(|oid| oid.parse().ok()),
        log_missing: flag(row, 6),
        broken: owned(7),
        attached: owned(8),
        gone: owned(9),
        altered: owned(10),
        rebuilt: owned(11),
        shape: text(row, 12)?.to_string(),
        called: owned(13),
        unwritable: owned(14),
    })
}

/// Whether the capture objects were made for this database by a highwater of this kind.
///
/// # Errors
/// [`Kind::Foreign`](crate::error::Kind) when another version of highwater made them.
pub(super) async fn is_ours(session: &mut Session, standing: &Standing) -> Result<bool> {
    let schema = quote(&standing.capture.schema);
    let rows = session.query(format!("SELECT version, cluster, database FROM {schema}.meta")).await?;
    let Some(row) = rows.first() else { return Ok(false) };
    if number::<u32>(row, 0)? != VERSION {
        let found = text(row, 0)?;
        return Err(Error::foreign(format!(
            "{}: schema {schema} is of form {found}; this highwater knows form {VERSION}",
            session.place()
        ))
        .remedy("use the highwater that made it, or let that one remove it with `highwater clean`"));
    }
    Ok(text(row, 1)? == standing.cluster && text(row, 2)? == standing.database)
}

/// What the plan wants of each table.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// What it was found out from.
    found_from: String,
    definitions: HashMap<String, String>,
    faults: HashMap<String, Fault>,
}

/// As [`Source::inspect`](crate::engine::Source::inspect).
pub(super) async fn inspect(source: &PostgresSource, plan: &Plan) -> Result<Vec<Verdict>> {
    let mut session = source.session().await?;
    let standing = source.standing(&mut session).await?;
    if !standing.installed {
        session.close();
        return Ok(plan.tables.iter().map(|t| absent(t.label(), "capture is not installed")).collect());
    }
    standing.check_owners(&source.place)?;
    if !is_ours(&mut session, &standing).await? {
        session.close();
        let what = "capture came here with a copy of another database";
        return Ok(plan.tables.iter().map(|t| absent(t.label(), what)).collect());
    }
    let registered = registered(&mut session, &source.schema).await?;
    let wanted = wanted(source, &mut session, plan, &standing, &registered).await?;
    session.close();
    let registered: HashMap<&str, &Registered> = registered.iter().map(|r| (r.label.as_str(), r)).collect();
    let carried = plan.tables.iter().map(|t| verdict(t.label(), &registered, &wanted));
    let fenced = plan.excluded.iter().map(|name| verdict(name.to_string(), &registered, &wanted));
    // An excluded table may go; only a fence that does not stand on one that is there is a fault.
    let fenced = fenced.filter(|v| matches!(v.fault, Some(Fault::Mend(_))));
    Ok(carried.chain(fenced).collect())
}

fn absent(label: String, what: &str) -> Verdict {
    Verdict { label, generation: None, fault: Some(Fault::Mend(what.to_string())) }
}

fn verdict(label: String, registered: &HashMap<&str, &Registered>, wanted: &Wanted) -> Verdict {
    let found = registered.get(label.as_str());
    let fault = wanted.faults.get(&label).cloned().or_else(|| match found {
        None => Some(Fault::Mend("capture is not installed".to_string())),
        Some(found) => {
            let definition = wanted.definitions.get(&label).map_or("", String::as_str);
            found.doubt(definition).or_else(|| found.parts()).map(Fault::Mend)
        }
    });
    Verdict { generation: found.map(|found| found.generation.clone()), label, fault }
}

/// Finds out what the plan wants of each table, or remembers it when nothing it depends on has changed.
async fn wanted(
    source: &PostgresSource,
    session: &mut Session,
    plan: &Plan,
    standing: &Standing,
    registered: &[Registered],
) -> Result<Wanted> {
    let mut found_from = format!("{} {} {}", plan.hash, standing.capture.by_row, standing.inheritance);
    // Who looks on follows the tables that capture was installed on so far: the plan's hash is that of all.
    found_from.extend(plan.tables.iter().map(|t| format!(" {:?}", t.source)));
    found_from.extend(plan.excluded.iter().map(|name| format!(" no {name:?}")));
    for table in registered {
        found_from.push_str(&format!(" {} {:?} {:?}", table.shape, table.present, table.called));
    }
    let known = source.notes().wanted.clone();
    if let Some(known) = known.filter(|known| known.found_from == found_from) {
        return Ok(known);
    }
    let subjects = facts::subjects(session, plan).await?;
    let definitions =
        subjects.iter().map(|s| (s.label.clone(), standing.capture.digest(s, &subjects))).collect();
    let planned = source.notes().planned.clone();
    let mut faults = column_faults(session, plan, &planned).await?;
    for subject in subjects.iter().filter(|s| s.relid().is_none()) {
        let called = registered.iter().find(|r| r.label == subject.label).and_then(|r| r.called.as_deref());
        faults.insert(subject.label.clone(), missing(called));
    }
    let wanted = Wanted { found_from, definitions, faults };
    source.notes().wanted = Some(wanted.clone());
    Ok(wanted)
}

fn missing(called: Option<&str>) -> Fault {
    match called {
        Some(called) => Fault::Stop {
            what: format!("the table was renamed to {called} on the source"),
            remedy: "rename it back, or rename the target's too and start highwater anew".to_string(),
        },
        None => Fault::Stop {
            what: "the table was dropped on the source".to_string(),
            remedy: "make it again, or exclude it and start highwater anew".to_string(),
        },
    }
}

/// What a table looked like when it was planned.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    columns: HashSet<String>,
    unique: Vec<HashSet<String>>,
}

impl Planned {
    /// Of that table.
    pub(super) fn of(table: &Table) -> Self {
        let unique = table.unique.iter().map(|index| &index.columns).chain([&table.primary_key]);
        Planned {
            columns: table.columns.iter().map(|c| c.name.clone()).collect(),
            unique: unique.filter(|c| !c.is_empty()).map(|c| c.iter().cloned().collect()).collect(),
        }
    }
}

/// A column as the source has it now.
struct Live {
    type_name: String,
    not_null: bool,
    computed: bool,
}

/// For each table of the plan what of its columns or key is not as planned.
async fn column_faults(
    session: &mut Session,
    plan: &Plan,
    planned: &HashMap<String, Planned>,
) -> Result<HashMap<String, Fault>> {
    let names: Vec<String> = plan
        .tables
        .iter()
        .enumerate()
        .map(|(number, t)| {
            let schema = t.source.schema.as_deref().unwrap_or("public");
            format!("({number}, {}, {})", literal(schema), literal(&t.source.name))
        })
        .collect();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let asked = names.join(",\n");
    let sql = fill(include_str!("../../../sql/postgres/live_columns.sql"), &[("asked", &asked)]);
    let mut live: Vec<HashMap<String, Live>> = plan.tables.iter().map(|_| HashMap::new()).collect();
    let mut keys: Vec<Vec<HashSet<String>>> = vec![Vec::new(); plan.tables.len()];
    for row in session.query(sql).await? {
        let place: usize = number(&row, 0)?;
        let (Some(columns), Some(keys)) = (live.get_mut(place), keys.get_mut(place)) else { continue };
        match maybe(&row, 5) {
            Some(_) => keys.push(name_list(&row, 5)?),
            None => {
                let column = Live {
                    type_name: text(&row, 2)?.to_string(),
                    not_null: flag(&row, 3),
                    computed: flag(&row, 4),
                };
                columns.insert(text(&row, 1)?.to_string(), column);
            }
        }
    }
    let tables = plan.tables.iter().zip(live).zip(keys);
    Ok(tables
        .filter_map(|((t, live), keys)| {
            Some((t.label(), column_fault(t, &live, &keys, planned.get(&t.label()))?))
        })
        .collect())
}

fn column_fault(
    table: &TablePlan,
    live: &HashMap<String, Live>,
    keys: &[HashSet<String>],
    planned: Option<&Planned>,
) -> Option<Fault> {
    let stop = |what: String| {
        let remedy =
            "change the target's table likewise and start highwater anew, which plans again".to_string();
        Some(Fault::Stop { what, remedy })
    };
    let plain =
        table.columns.iter().filter(|c| c.expression.is_none()).map(|c| (&c.source, Some(&c.source_type)));
    let also = table.rule.also.iter().map(|c| (&c.name, Some(&c.type_name)));
    let reads = table.rule.reads.iter().map(|name| (name, None));
    let read: Vec<(&String, Option<&String>)> = plain.chain(also).chain(reads).collect();
    for (name, planned_type) in &read {
        match (live.get(*name), planned_type) {
            (None, _) => return stop(format!("column {name} was dropped or renamed on the source")),
            (Some(now), Some(planned)) if &now.type_name != *planned => {
                return stop(format!(
                    "column {name} has become {} on the source; it was {planned}",
                    now.type_name
                ));
            }
            (Some(now), _) if table.key.contains(name) && !now.not_null => {
                return stop(format!("key column {name} takes NULL on the source now"));
            }
            (Some(_), _) => {}
        }
    }
    // What a rule leaves behind was there when it was planned.
    let is_known = |name: &String| {
        read.iter().any(|(read, _)| *read == name) || planned.is_some_and(|p| p.columns.contains(name))
    };
    if let Some((name, _)) = live.iter().find(|(name, column)| !column.computed && !is_known(name)) {
        return stop(format!("column {name} was added on the source"));
    }
    let key: HashSet<String> = table.key.iter().cloned().collect();
    let is_unique = |indexes: &[HashSet<String>]| indexes.iter().any(|index| index.is_subset(&key));
    // A rule may name a key that never had an index.
    if !key.is_empty() && !is_unique(keys) && planned.is_none_or(|p| is_unique(&p.unique)) {
        return stop(format!(
            "no unique index holds the key ({}) on the source any more",
            table.key.join(", ")
        ));
    }
    None
}
