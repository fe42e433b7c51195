//! The source's catalogue, as far as capture is concerned, in a few queries for all tables.

use std::collections::{BTreeMap, BTreeSet};

use super::capture::Trigger;
use super::cascade::{Action, Edge, Graph, Link, Place};
use super::comparison::Comparison;
use super::connect::Flavour;
use super::fault::{classify, code, is_missing};
use super::fence::{self, State};
use super::names::Names;
use super::numbers::{Numbers, pattern};
use super::schema;
use super::session::{Session, maybe, number, records, text};
use super::value::{join, literal, quote};
use crate::engine::Record;
use crate::engine::template::fill;
use crate::error::{Error, Result};
use crate::model::{Column, UniqueIndex};

/// No such database or table, or no privilege on it.
const NOT_THERE: [u16; 4] = [1044, 1049, 1142, 1146];

/// A table of the captured database.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// Its columns, in order.
    pub(super) columns: Vec<Column>,
    /// Its primary key's columns; none where it has none.
    pub(super) primary_key: Vec<String>,
    /// Its other unique indexes.
    pub(super) unique: Vec<UniqueIndex>,
}

/// A captured table as the source has it registered.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    /// Its log's generation.
    pub(super) generation: String,
    /// Its key's columns, as JSON.
    pub(super) key: String,
    /// The numbers of table and log when capture was made; `None` when a DBA has made it.
    pub(super) fingerprint: Option<String>,
}

impl Registered {
    /// Whether its fingerprint is about what can be seen now.
    pub(super) fn is_comparable(&self, now: &Facts) -> bool {
        self.fingerprint.as_ref().is_some_and(|noted| noted.starts_with(now.numbers_kind()))
    }
}

/// What capture's own database says of a captured database.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    /// The version of what is installed.
    pub(super) version: i64,
    /// Whether it was installed on this very server.
    pub(super) here: bool,
    /// The server it was installed on.
    pub(super) server: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The base tables.
    pub(super) tables: BTreeMap<String, Shape>,
    /// The tables of capture's own database, with the names and types of their columns.
    pub(super) own: BTreeMap<String, Vec<(String, String)>>,
    /// The triggers of the captured database and of capture's own, by database and name.
    pub(super) triggers: BTreeMap<Place, Trigger>,
    /// When the triggers of the captured database were made, by name; times of the server.
    pub(super) made: BTreeMap<String, String>,
    /// When they were made as capture was installed; nothing of those that a DBA has made.
    pub(super) noted: BTreeMap<String, String>,
    /// What tells tables from others of the same names.
    pub(super) numbers: Numbers,
    /// Whether `numbers` are times, which tell less.
    pub(super) only_times: bool,
    /// The captured tables.
    pub(super) registered: BTreeMap<String, Registered>,
    /// What capture says of this database; `None` where it is not installed.
    pub(super) meta: Option<Meta>,
    /// The numbers of the fence; `None` where they are lost.
    pub(super) fence: Option<State>,
    /// The logs that have missed writes: gone for a moment, or a refusal of the fence that was caught.
    pub(super) unlogged: BTreeSet<String>,
    /// The tables as they were when the plan was made.
    pub(super) planned: BTreeMap<String, Shape>,
}

impl Facts {
    /// Looks at everything but foreign keys.
    pub(super) async fn read(session: &mut Session, names: &Names, flavour: Flavour) -> Result<Self> {
        let mut facts = Facts::default();
        facts.read_tables(session, names).await?;
        facts.read_triggers(session, names).await?;
        facts.read_numbers(session, names, flavour).await?;
        facts.registered = registered(session, names).await?;
        facts.noted = noted(session, names).await?;
        facts.meta = meta(session, names).await?;
        facts.fence = fence::state(session, names).await?;
        for (table, condition) in unlogged_in(names) {
            let sql = format!("SELECT DISTINCT log FROM {table} WHERE {condition}");
            for row in if_there(session, sql).await?.unwrap_or_default() {
                facts.unlogged.insert(text(&row, 0)?.to_string());
            }
        }
        Ok(facts)
    }

    async fn read_tables(&mut self, session: &mut Session, names: &Names) -> Result<()> {
        let capture = literal(&names.capture);
        let tables = base_tables(session, names).await?;
        self.tables = tables.into_iter().map(|table| (table, Shape::default())).collect();
        for row in session.query(include_str!("../../../sql/mysql/schema_columns.sql")).await? {
            if let Some(shape) = self.tables.get_mut(text(&row, 0)?) {
                shape.columns.push(schema::column(&row)?);
            }
        }
        let mut indexes: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for row in session.query(include_str!("../../../sql/mysql/schema_unique.sql")).await? {
            indexes.entry(text(&row, 0)?.to_string()).or_default().push(row);
        }
        for (table, rows) in indexes {
            if let Some(shape) = self.tables.get_mut(&table) {
                (shape.primary_key, shape.unique) = schema::indexes(&rows, &shape.columns)?;
            }
        }
        let sql = fill(include_str!("../../../sql/mysql/inspect_columns.sql"), &[("capture", &capture)]);
        for row in session.query(sql).await? {
            let column = (
                text(&row, 1)?.to_string(),
                schema::type_name(text(&row, 2)?, maybe(&row, 3), maybe(&row, 4)),
            );
            self.own.entry(text(&row, 0)?.to_string()).or_default().push(column);
        }
        Ok(())
    }

    /// Looks at triggers only.
    pub(super) async fn read_triggers(&mut self, session: &mut Session, names: &Names) -> Result<()> {
        let pairs = [("database", &*names.database_literal()), ("capture", &*literal(&names.capture))];
        let sql = fill(include_str!("../../../sql/mysql/inspect_triggers.sql"), &pairs);
        for row in session.query(sql).await? {
            let column = |i| text(&row, i).map(str::to_string);
            let trigger = Trigger {
                database: column(0)?,
                name: column(1)?,
                table: column(2)?,
                when: format!("{} {}", column(3)?, column(4)?),
                body: column(5)?,
                sql_mode: maybe(&row, 6).unwrap_or_default().to_string(),
            };
            if let Some(made) = maybe(&row, 7).filter(|_| trigger.database == names.database) {
                self.made.insert(trigger.name.clone(), made.to_string());
            }
            self.triggers.insert((trigger.database.clone(), trigger.name.clone()), trigger);
        }
        Ok(())
    }

    async fn read_numbers(&mut self, session: &mut Session, names: &Names, flavour: Flavour) -> Result<()> {
        let view = match flavour {
            Flavour::Mysql => "INNODB_TABLES",
            Flavour::Mariadb => "INNODB_SYS_TABLES",
        };
        let (database, capture) = (literal(&pattern(&names.database)), literal(&pattern(&names.capture)));
        let pairs = [("view", view), ("database", &*database), ("capture", &*capture)];
        let sql = fill(include_str!("../../../sql/mysql/inspect_numbers.sql"), &pairs);
        match records(session.connection()?, sql).await {
            Ok(rows) => {
                for row in rows {
                    self.numbers.add(text(&row, 0)?, format!("{}:{}", text(&row, 1)?, text(&row, 2)?));
                }
                Ok(())
            }
            // Without PROCESS.
            Err(error) if code(&error) == Some(1227) => self.read_times(session, names).await,
            Err(error) => Err(classify(error, &session.place)),
        }
    }

    async fn read_times(&mut self, session: &mut Session, names: &Names) -> Result<()> {
        self.only_times = true;
        let pairs = [("database", &*names.database_literal()), ("capture", &*literal(&names.capture))];
        let sql = fill(include_str!("../../../sql/mysql/inspect_times.sql"), &pairs);
        for row in session.query(sql).await? {
            let time = maybe(&row, 2).unwrap_or_default().to_string();
            self.numbers.add_plain(text(&row, 0)?, text(&row, 1)?, time);
        }
        Ok(())
    }

    /// What tells a table and its log from others of the same names. The log's is asked of `now`: it may
    /// have been made since.
    pub(super) fn fingerprint(&self, now: &Facts, names: &Names, table: &str) -> String {
        let kind = self.numbers_kind();
        let log = now.numbers.of(&names.capture, &names.log_name(table));
        format!("{kind} {} {log}", self.numbers.of(&names.database, table))
    }

    /// The first word of a fingerprint.
    pub(super) fn numbers_kind(&self) -> &'static str {
        if self.only_times { "times" } else { "numbers" }
    }

    /// What is wrong with one trigger.
    pub(super) fn trigger_fault(&self, wanted: &Trigger) -> Option<String> {
        let Trigger { database, name, .. } = wanted;
        match self.triggers.get(&(database.clone(), name.clone())) {
            None => Some(format!("trigger {name} is missing")),
            Some(found) if !found.is_as(wanted) => Some(format!("trigger {name} was altered")),
            Some(found) => {
                let noted = self.noted.get(name).filter(|_| found.database == *database)?;
                (self.made.get(name) != Some(noted)).then(|| {
                    format!("trigger {name} was dropped and made again: writes meanwhile are in no log")
                })
            }
        }
    }

    /// The triggers of this migration on a table.
    pub(super) fn own_triggers<'a>(
        &'a self,
        names: &'a Names,
        table: &'a str,
    ) -> impl Iterator<Item = &'a Trigger> {
        let triggers = self.triggers.values().filter(|t| t.database == names.database);
        triggers.filter(move |t| t.table == table && t.is_of(names))
    }

    /// The catalogue garbles odd names and texts; where a trigger does not look as it should, the server is
    /// asked for its own text.
    pub(super) async fn look_closer<'a>(
        &mut self,
        session: &mut Session,
        wanted: impl Iterator<Item = &'a Trigger>,
    ) -> Result<()> {
        for trigger in wanted {
            let place = (trigger.database.clone(), trigger.name.clone());
            let Some(found) = self.triggers.get_mut(&place).filter(|found| !found.is_as(trigger)) else {
                continue;
            };
            let sql = format!("SHOW CREATE TRIGGER {}", trigger.sql_name());
            let rows = if_there(session, sql).await?.unwrap_or_default();
            let said = rows.first().and_then(|row| maybe(row, 2)).unwrap_or_default();
            // Whatever stands before the body was compared already.
            if said
                .split_whitespace()
                .collect::<Vec<_>>()
                .ends_with(&trigger.body.split_whitespace().collect::<Vec<_>>())
            {
                found.body.clone_from(&trigger.body);
            }
        }
        Ok(())
    }
}

/// The tables of the captured database, without views and sequences.
pub(super) async fn base_tables(session: &mut Session, names: &Names) -> Result<BTreeSet<String>> {
    let pairs = [("database", &*names.database_literal())];
    let sql = fill(include_str!("../../../sql/mysql/inspect_tables.sql"), &pairs);
    let rows = session.query(sql).await?;
    let tables = rows.iter().map(|row| text(row, 0).map(str::to_string)).collect::<Result<BTreeSet<_>>>()?;
    Ok(tables.into_iter().filter(|table| !schema::is_own_table(table)).collect())
}

/// The rows of a query; `None` where what it asks is not there, or hidden.
pub(super) async fn if_there(session: &mut Session, sql: String) -> Result<Option<Vec<Record>>> {
    match records(session.connection()?, sql).await {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if is_missing(&error) || code(&error).is_some_and(|c| NOT_THERE.contains(&c)) => Ok(None),
        // A trigger that does not exist.
        Err(error) if code(&error) == Some(1360) => Ok(None),
        Err(error) => Err(classify(error, &session.place)),
    }
}

/// The captured tables by name; none where nothing is installed.
pub(super) async fn registered(session: &mut Session, names: &Names) -> Result<BTreeMap<String, Registered>> {
    let sql = format!(
        "SELECT table_name, generation, key_json, fingerprint FROM {} WHERE database_name = {} AND generation <> ''",
        names.own("tables"),
        names.database_literal()
    );
    let rows = if_there(session, sql).await?.unwrap_or_default();
    rows.iter()
        .map(|row| {
            let registered = Registered {
                generation: text(row, 1)?.to_string(),
                key: text(row, 2)?.to_string(),
                fingerprint: maybe(row, 3).map(str::to_string),
            };
            Ok((text(row, 0)?.to_string(), registered))
        })
        .collect()
}

/// When the triggers were made that capture has made, by name.
async fn noted(session: &mut Session, names: &Names) -> Result<BTreeMap<String, String>> {
    let (triggers, database) = (names.own("triggers"), names.database_literal());
    let sql = format!("SELECT trigger_name, made_at FROM {triggers} WHERE database_name = {database}");
    let rows = if_there(session, sql).await?.unwrap_or_default();
    rows.iter().map(|row| Ok((text(row, 0)?.to_string(), text(row, 1)?.to_string()))).collect()
}

/// The registered tables with the names of their logs, those without a generation too.
pub(super) async fn logs(session: &mut Session, names: &Names) -> Result<Vec<(String, String)>> {
    let sql = format!(
        "SELECT table_name, log FROM {} WHERE database_name = {}",
        names.own("tables"),
        names.database_literal()
    );
    let rows = if_there(session, sql).await?.unwrap_or_default();
    rows.iter().map(|row| Ok((text(row, 0)?.to_string(), text(row, 1)?.to_string()))).collect()
}

/// Removes a table's log and its row among the captured tables. No trigger may write it any more.
pub(super) async fn forget(session: &mut Session, names: &Names, table: &str, log: &str) -> Result<()> {
    session.execute(format!("DROP TABLE IF EXISTS {}", names.own(log))).await?;
    let sql = format!(
        "DELETE FROM {} WHERE database_name = {} AND table_name = {}",
        names.own("tables"),
        names.database_literal(),
        literal(table)
    );
    session.execute(sql).await.map(|_| ())
}

/// The tables that note writes which are in no log, with the condition for those of this database.
pub(super) fn unlogged_in(names: &Names) -> [(String, String); 2] {
    let of_this = format!("database_name = {}", names.database_literal());
    [(names.own(&names.missed_name()), "slot IS NULL".to_string()), (names.own("passed"), of_this)]
}

/// What capture says of this database.
pub(super) async fn meta(session: &mut Session, names: &Names) -> Result<Option<Meta>> {
    let sql = format!(
        "SELECT version, server, server = LEFT({}, 255) FROM {} WHERE database_name = {}",
        super::catalog::SELF,
        names.own("meta"),
        names.database_literal()
    );
    let rows = if_there(session, sql).await?.unwrap_or_default();
    let meta = |row: &Record| {
        Ok(Meta {
            version: number(row, 0)?,
            server: text(row, 1)?.to_string(),
            here: super::session::flag(row, 2),
        })
    };
    rows.first().map(meta).transpose()
}

/// What hides the actions of foreign keys, if anything: MariaDB shows a key's columns to whoever may read
/// the table, but its actions only to those with a privilege on the whole database. A cascade that can't
/// be seen would not be captured.
pub(super) async fn hidden_actions(session: &mut Session, database: &str) -> Result<Option<String>> {
    let pairs = [("database", &*literal(database))];
    let sql = fill(include_str!("../../../sql/mysql/hidden_actions.sql"), &pairs);
    let hidden: i64 = number(&session.row(sql).await?, 0)?;
    Ok((hidden > 0).then(|| {
        format!(
            "the actions of {hidden} foreign keys can't be seen with privileges on single tables, and what \
             they change would not be captured"
        )
    }))
}

/// The foreign keys with an action around the captured database, through other databases too.
///
/// # Errors
/// When not all can be seen: a graph without them would take triggers away.
pub(super) async fn graph(session: &mut Session, names: &Names, flavour: Flavour) -> Result<Graph> {
    if let Some(hidden) = hidden_actions(session, &names.database).await? {
        let remedy = format!("GRANT SELECT ON {}.* TO the user of the URL", quote(&names.database));
        return Err(Error::table(format!("{}: {hidden}", session.place)).remedy(remedy));
    }
    let mut edges: Vec<Edge> = Vec::new();
    let mut known = BTreeSet::new();
    let mut next = vec![names.database.clone()];
    while let Some(database) = next.pop() {
        if !known.insert(database.clone()) {
            continue;
        }
        for edge in edges_of(session, &database).await? {
            next.push(edge.child.0.clone());
            if !edges.contains(&edge) {
                edges.push(edge);
            }
        }
    }
    set_comparisons(session, &mut edges).await?;
    if flavour == Flavour::Mariadb && !edges.is_empty() {
        let versioned = versioned(session, &known).await?;
        for edge in &mut edges {
            edge.versioned = versioned.contains(&edge.child);
        }
    }
    Ok(Graph::new(edges, flavour))
}

/// Notes how the columns of foreign keys compare.
async fn set_comparisons(session: &mut Session, edges: &mut [Edge]) -> Result<()> {
    let databases: BTreeSet<String> = edges.iter().map(|edge| literal(&edge.parent.0)).collect();
    if databases.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA IN ({}) AND DATA_TYPE IN ('timestamp', 'enum', 'set')",
        join(databases, ", ")
    );
    let mut known = BTreeMap::new();
    for row in session.query(sql).await? {
        let part = |i| text(&row, i).map(str::to_string);
        known.insert(((part(0)?, part(1)?), part(2)?), Comparison::of(text(&row, 3)?));
    }
    for edge in edges {
        for link in &mut edge.columns {
            let how = known.get(&(edge.parent.clone(), link.parent.clone()));
            link.how = how.copied().unwrap_or(Comparison::Plain);
        }
    }
    Ok(())
}

/// The system-versioned tables of databases.
async fn versioned(session: &mut Session, databases: &BTreeSet<String>) -> Result<BTreeSet<Place>> {
    let databases: Vec<String> = databases.iter().map(|database| literal(database)).collect();
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA IN ({}) AND TABLE_TYPE = 'SYSTEM VERSIONED'",
        databases.join(", ")
    );
    let place = |row: &Record| Ok((text(row, 0)?.to_string(), text(row, 1)?.to_string()));
    session.query(sql).await?.iter().map(place).collect()
}

/// The foreign keys with an action whose parent or child is in a database.
async fn edges_of(session: &mut Session, database: &str) -> Result<Vec<Edge>> {
    let database = literal(database);
    // Apart, so that the server looks into that one database for the first.
    let inside = format!("r.CONSTRAINT_SCHEMA = {database} AND k.TABLE_SCHEMA = {database}");
    let outside = format!("r.UNIQUE_CONSTRAINT_SCHEMA = {database} AND r.CONSTRAINT_SCHEMA <> {database}");
    let primary = primary_widths(session, &database).await?;
    let mut edges: Vec<Edge> = Vec::new();
    let mut last = None;
    for schemas in [inside, outside] {
        let pairs = [("database", &*database), ("schemas", &*schemas)];
        let sql = fill(include_str!("../../../sql/mysql/capture_edges.sql"), &pairs);
        for row in session.query(sql).await? {
            let column = |i| text(&row, i).map(str::to_string);
            let name = (column(0)?, column(3)?, column(1)?);
            if last.as_ref() != Some(&name) {
                edges.push(Edge {
                    parent: (column(5)?, column(6)?),
                    child: (column(2)?, column(3)?),
                    versioned: false,
                    columns: Vec::new(),
                    by_primary: maybe(&row, 10) == Some("PRIMARY"),
                    on_delete: Action::of(text(&row, 8)?),
                    on_update: Action::of(text(&row, 9)?),
                });
                last = Some(name);
            }
            let edge = edges.last_mut().ok_or_else(|| Error::failed("a foreign key without columns"))?;
            edge.columns.push(Link { child: column(4)?, parent: column(7)?, how: Comparison::Plain });
        }
    }
    for edge in &mut edges {
        edge.by_primary = edge.by_primary && primary.get(&edge.parent) == Some(&edge.columns.len());
    }
    Ok(edges)
}

/// How many columns the primary keys of a database's tables have. A foreign key may refer to less.
async fn primary_widths(session: &mut Session, database: &str) -> Result<BTreeMap<Place, usize>> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COUNT(*) FROM information_schema.KEY_COLUMN_USAGE \
         WHERE TABLE_SCHEMA = {database} AND CONSTRAINT_NAME = 'PRIMARY' GROUP BY 1, 2"
    );
    let rows = session.query(sql).await?;
    let width = |row: &Record| Ok(((text(row, 0)?.to_string(), text(row, 1)?.to_string()), number(row, 2)?));
    rows.iter().map(width).collect()
}
