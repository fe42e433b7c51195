//! What capture has to know of the tables: their partitions, owners, key types, heirs.

use std::collections::HashMap;

use super::connect::literal;
use super::session::{Session, flag, maybe, number, text};
use crate::engine::template::fill;
use crate::error::{Error, Result};
use crate::model::{Plan, Strategy, TableName, TablePlan};

/// A table that gets the fence and, if it is carried, capture.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// Its label.
    pub(super) label: String,
    /// Its name.
    pub(super) name: TableName,
    /// Whether its changes are logged (else it only has the fence).
    pub(super) captured: bool,
    /// Its key; empty when keyless.
    pub(super) key: Vec<KeyColumn>,
    /// The table itself, then its partitions at every level. Empty when the table does not exist.
    pub(super) members: Vec<Member>,
    /// Captured tables that inherit from it, by their number among the subjects.
    pub(super) heirs: Vec<usize>,
}

/// A table or partition that carries triggers.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) relid: u32,
    pub(super) name: TableName,
    pub(super) kind: MemberKind,
    /// Whether we may do what its owner may.
    pub(super) owned: bool,
    /// The owner.
    pub(super) owner: String,
}

/// What kind of relation a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    /// It holds rows.
    Table,
    /// Its partitions hold the rows.
    Root,
    /// Another server holds the rows.
    Foreign,
}

/// A column of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    /// The oid of the column's type: what the trigger functions look for.
    pub(super) type_id: u32,
    /// The type below all domains, without modifier: what the log keeps.
    pub(super) log_type: String,
    /// The column's collation, where it is not its type's.
    pub(super) collation: Option<String>,
    /// The schema of the type's comparison operators.
    pub(super) operators: String,
    /// Whether an index of the whole table begins with it.
    pub(super) indexed: bool,
}

impl Subject {
    /// The oid of the table itself, if it exists.
    pub(super) fn relid(&self) -> Option<u32> {
        self.members.first().map(|m| m.relid)
    }
}

/// Looks up everything about the tables of `plan`, first those that are carried, in its order.
pub(super) async fn subjects(session: &mut Session, plan: &Plan) -> Result<Vec<Subject>> {
    let carried = plan.tables.iter().map(|t| Subject::of(&t.source, true));
    let mut subjects: Vec<Subject> =
        carried.chain(plan.excluded.iter().map(|n| Subject::of(n, false))).collect();
    add_members(session, &mut subjects).await?;
    for (number, key) in
        key_columns(session, &plan.tables.iter().collect::<Vec<_>>()).await?.into_iter().enumerate()
    {
        subjects[number].key = key;
    }
    add_heirs(session, &mut subjects).await?;
    Ok(subjects)
}

/// The key columns of one table.
pub(super) async fn key_of(session: &mut Session, table: &TablePlan) -> Result<Vec<KeyColumn>> {
    let key = key_columns(session, &[table]).await?.pop().unwrap_or_default();
    // A table renamed away has no columns, and must not pass for one that changed nothing.
    if key.len() == table.key.len() {
        return Ok(key);
    }
    Err(Error::table(format!("{} is not there, or its key has changed", table.source))
        .remedy("rename it back; or `highwater plan` shows what fits no more"))
}

impl Subject {
    fn of(name: &TableName, captured: bool) -> Self {
        let (key, members, heirs) = (Vec::new(), Vec::new(), Vec::new());
        Subject { label: name.to_string(), name: name.clone(), captured, key, members, heirs }
    }
}

async fn add_members(session: &mut Session, subjects: &mut [Subject]) -> Result<()> {
    let asked: Vec<String> = subjects
        .iter()
        .enumerate()
        .map(|(number, s)| {
            format!("({number}, {}, {})", name_literal(s.name.schema.as_deref()), literal(&s.name.name))
        })
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    let sql = fill(include_str!("../../../sql/postgres/members.sql"), &[("asked", &asked.join(",\n"))]);
    for row in session.query(sql).await? {
        let kind = match text(&row, 4)? {
            "p" => MemberKind::Root,
            "f" => MemberKind::Foreign,
            _ => MemberKind::Table,
        };
        let name = TableName::new(text(&row, 2)?, text(&row, 3)?);
        let (relid, owner) = (number(&row, 1)?, text(&row, 6)?.to_string());
        let member = Member { relid, name, kind, owned: flag(&row, 5), owner };
        if let Some(subject) = subjects.get_mut(number::<usize>(&row, 0)?) {
            subject.members.push(member);
        }
    }
    Ok(())
}

async fn key_columns(session: &mut Session, tables: &[&TablePlan]) -> Result<Vec<Vec<KeyColumn>>> {
    let mut keys = vec![Vec::new(); tables.len()];
    let mut asked = Vec::new();
    for (number, table) in tables.iter().enumerate().filter(|(_, t)| t.strategy == Strategy::Keyed) {
        let (schema, name) = (name_literal(table.source.schema.as_deref()), literal(&table.source.name));
        for (place, column) in table.key.iter().enumerate() {
            asked.push(format!("({number}, {place}, {schema}, {name}, {})", literal(column)));
        }
    }
    if asked.is_empty() {
        return Ok(keys);
    }
    let query =
        fill(include_str!("../../../sql/postgres/capture_keys.sql"), &[("asked", &asked.join(",\n"))]);
    for row in session.query(query).await? {
        let column = KeyColumn {
            name: text(&row, 1)?.to_string(),
            type_id: number(&row, 2)?,
            log_type: text(&row, 3)?.to_string(),
            collation: maybe(&row, 4).map(str::to_string),
            operators: text(&row, 5)?.to_string(),
            indexed: flag(&row, 6),
        };
        if let Some(key) = keys.get_mut(number::<usize>(&row, 0)?) {
            key.push(column);
        }
    }
    Ok(keys)
}

async fn add_heirs(session: &mut Session, subjects: &mut [Subject]) -> Result<()> {
    let by_relid: HashMap<u32, usize> = subjects
        .iter()
        .enumerate()
        .filter(|(_, s)| s.captured)
        .filter_map(|(i, s)| s.relid().map(|relid| (relid, i)))
        .collect();
    for row in session.query(include_str!("../../../sql/postgres/heirs.sql")).await? {
        let (ancestor, heir) = (by_relid.get(&number(&row, 0)?), by_relid.get(&number(&row, 1)?));
        if let (Some(ancestor), Some(heir)) = (ancestor, heir) {
            subjects[*ancestor].heirs.push(*heir);
        }
    }
    Ok(())
}

fn name_literal(schema: Option<&str>) -> String {
    literal(schema.unwrap_or("public"))
}
