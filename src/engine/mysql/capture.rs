//! What capture is made of: the statements, as [`super::install`] runs them, as `plan --ddl` prints them,
//! and as [`super::inspect`] expects to find them.
//!
//! Triggers fire for each row and log its key by VALUES; the log's key columns have the very types of the
//! table's (but for [`super::comparison`]), so that a key is the same here and there.

use std::collections::BTreeMap;

use super::cascade::{Bodies, Graph, Logged, Place};
use super::catalog::SELF;
use super::comparison::Comparison;
use super::connect::Flavour;
use super::names::Names;
use super::value::{join, key_names, literal, quote};
use crate::engine::template::fill;
use crate::model::{Plan, TableName, TablePlan};

/// The version of what is installed. Another one is refused.
pub(super) const VERSION: i64 = 3;

/// What the fence's triggers raise.
pub(super) const REFUSED: &str = "HW001";

/// The events that triggers stand for.
const EVENTS: [&str; 3] = ["insert", "update", "delete"];

/// A trigger, as it is wanted or as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trigger {
    /// The database of trigger and table.
    pub(super) database: String,
    /// Its name.
    pub(super) name: String,
    /// The table it stands on.
    pub(super) table: String,
    /// When it fires: `AFTER INSERT`.
    pub(super) when: String,
    /// What it does.
    pub(super) body: String,
    /// Its `sql_mode`.
    pub(super) sql_mode: String,
}

impl Trigger {
    /// Its name as SQL.
    pub(super) fn sql_name(&self) -> String {
        format!("{}.{}", quote(&self.database), quote(&self.name))
    }

    /// The table as SQL.
    pub(super) fn sql_table(&self) -> String {
        format!("{}.{}", quote(&self.database), quote(&self.table))
    }

    /// The statement that makes it.
    pub(super) fn create(&self) -> String {
        let (name, table) = (self.sql_name(), self.sql_table());
        format!("CREATE TRIGGER {name} {} ON {table} FOR EACH ROW\n{}", self.when, self.body)
    }

    /// The statement that removes it.
    pub(super) fn remove(&self) -> String {
        format!("DROP TRIGGER IF EXISTS {}", self.sql_name())
    }

    /// Whether it was made for this migration, wherever that was.
    pub(super) fn is_of(&self, names: &Names) -> bool {
        let rest = self.name.strip_prefix(&names.capture);
        let mentions = format!("{}.", quote(&names.capture));
        rest.is_some_and(|rest| rest.starts_with('_')) && self.body.contains(&mentions)
    }

    /// Whether what was found does what is `wanted`. Lines may have been broken otherwise.
    pub(super) fn is_as(&self, wanted: &Trigger) -> bool {
        (&self.table, &self.when, &self.sql_mode) == (&wanted.table, &wanted.when, &wanted.sql_mode)
            && self.body.split_whitespace().eq(wanted.body.split_whitespace())
    }
}

/// A table with what capture puts on it.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// Its name.
    pub(super) table: String,
    /// How it is carried; `None` for a table that gets the fence only.
    pub(super) plan: Option<&'a TablePlan>,
    /// Its triggers.
    pub(super) triggers: Vec<Trigger>,
    /// Why it can't be captured.
    pub(super) refusal: Option<String>,
}

impl Subject<'_> {
    /// Its label.
    pub(super) fn label(&self) -> String {
        TableName::bare(&self.table).to_string()
    }

    /// Whether a trigger logs what foreign keys' actions do to other tables.
    pub(super) fn hands_on(&self, trigger: &Trigger, graph: &Graph) -> bool {
        let logs = ["UPDATE", "DELETE"].iter().any(|event| trigger.when.ends_with(event));
        logs && !graph.descendants(&(trigger.database.clone(), self.table.clone())).is_empty()
    }
}

/// The statements for what all tables share.
pub(super) fn base(names: &Names) -> Vec<String> {
    let pairs = [
        ("capture", &*quote(&names.capture)),
        ("database", &*names.database_literal()),
        ("server", SELF),
        ("canary", &*names.own(&names.canary_name())),
        ("missed", &*names.own(&names.missed_name())),
        ("lowered", &*names.lowered_sequence()),
        ("version", &*VERSION.to_string()),
    ];
    let lowered = match names.flavour {
        Flavour::Mysql => include_str!("../../../sql/mysql/capture_lowered_mysql.sql"),
        Flavour::Mariadb => include_str!("../../../sql/mysql/capture_lowered_mariadb.sql"),
    };
    let mut statements = paragraphs(include_str!("../../../sql/mysql/capture_base.sql"), &pairs);
    statements.extend(paragraphs(lowered, &pairs));
    statements
}

/// The trigger of highwater's own table that carries the fence of excluded tables.
pub(super) fn canary_trigger(names: &Names) -> Trigger {
    let canary = names.canary_name();
    let own = trigger(names, "fence_insert", &canary, "AFTER INSERT", On::Excluded, "");
    Trigger { database: names.capture.clone(), ..own }
}

/// The fence's trigger of an attempt on a table of capture's own: a change log, or the table of missed
/// writes. Its name and its text carry the attempt.
pub(super) fn fence_trigger(names: &Names, table: &str, attempt: i64) -> Trigger {
    fence_trigger_named(names, table, attempt, names.fence_name(&attempt.to_string(), table))
}

/// The trigger that shows on highwater's own table that the fence could be raised. It refuses nothing.
pub(super) fn trial_trigger(names: &Names) -> Trigger {
    let canary = names.canary_name();
    fence_trigger_named(names, &canary, 0, names.fence_name("try", &canary))
}

fn fence_trigger_named(names: &Names, table: &str, attempt: i64, name: String) -> Trigger {
    let lowered = names.lowered();
    let pairs = [
        ("trigger", &*quote(&name)),
        ("table", &*names.own(table)),
        ("stamp", lowered.stamp),
        ("lowered", &*lowered.from),
        ("only", &*lowered.only),
        ("attempt", &*attempt.to_string()),
        ("passed", &*names.own("passed")),
        ("database", &*names.database_literal()),
        ("log", &*literal(table)),
    ];
    Trigger {
        database: names.capture.clone(),
        name,
        table: table.to_string(),
        when: "BEFORE INSERT".to_string(),
        body: body_of(include_str!("../../../sql/mysql/fence_trigger.sql"), &pairs),
        sql_mode: String::new(),
    }
}

/// All tables of a plan, with what capture puts on them.
pub(super) fn subjects<'a>(names: &Names, plan: &'a Plan, graph: &Graph) -> Vec<Subject<'a>> {
    let place = |table: &str| -> Place { (names.database.clone(), table.to_string()) };
    let logged = |table: &TablePlan| Logged {
        log: names.log(&table.source.name),
        key: table.key.clone(),
        types: table.key_columns().map(|column| column.source_type.clone()).collect(),
        missed: names.note_missed(&table.source.name),
    };
    let captured: BTreeMap<Place, Logged> =
        plan.tables.iter().map(|table| (place(&table.source.name), logged(table))).collect();
    let subject = |table: &str, plan: Option<&'a TablePlan>| {
        let (bodies, error) = match graph.bodies(&place(table), &captured) {
            Ok(bodies) => (bodies, None),
            Err(error) => (Bodies::default(), Some(error.summary())),
        };
        let foreign = plan.and_then(|_| graph.foreign_parent(&place(table))).map(|(database, parent)| {
            format!(
                "foreign keys change its rows from {database}.{parent}, in another database, where nothing is captured"
            )
        });
        Subject {
            table: table.to_string(),
            plan,
            triggers: triggers(names, table, plan, &bodies),
            refusal: error.or(foreign),
        }
    };
    let carried = plan.tables.iter().map(|table| subject(&table.source.name, Some(table)));
    carried.chain(plan.excluded.iter().map(|name| subject(&name.name, None))).collect()
}

fn triggers(names: &Names, table: &str, plan: Option<&TablePlan>, bodies: &Bodies) -> Vec<Trigger> {
    let mut triggers = Vec::new();
    let on = if plan.is_some() { On::Captured } else { On::Excluded };
    for event in EVENTS {
        let kind = if plan.is_some() { event.to_string() } else { format!("fence_{event}") };
        let mut body = plan.map_or_else(String::new, |plan| log_body(names, plan, event));
        match event {
            "update" => body.push_str(&bodies.after_update),
            "delete" => body.push_str(&bodies.after_delete),
            _ => {}
        }
        let when = format!("AFTER {}", event.to_uppercase());
        triggers.push(trigger(names, &kind, table, &when, on, &body));
    }
    for (kind, when, body) in [
        ("cascade_update", "BEFORE UPDATE", &bodies.before_update),
        ("cascade_delete", "BEFORE DELETE", &bodies.before_delete),
    ] {
        if !body.is_empty() {
            triggers.push(trigger(names, kind, table, when, on, body));
        }
    }
    triggers
}

/// What logs the row itself.
fn log_body(names: &Names, plan: &TablePlan, event: &str) -> String {
    let log = names.log(&plan.source.name);
    if plan.key.is_empty() {
        return format!("    INSERT INTO {log} (kind, captured_at) VALUES ('W', UTC_TIMESTAMP(6));\n");
    }
    let key: Vec<(Comparison, String)> =
        plan.key_columns().map(|c| (Comparison::of(&c.source_type), quote(&c.source))).collect();
    let columns = |row: &str| join(key.iter().map(|(how, k)| how.logged(&format!("{row}.{k}"))), ", ");
    let changed = key.iter().map(|(how, k)| how.differs(&format!("OLD.{k}"), &format!("NEW.{k}")));
    let (k, old, new) = (key_names("", key.len()), columns("OLD"), columns("NEW"));
    let changed = join(changed, " OR ");
    let pairs =
        [("log", &*log), ("k", &*k), ("old key", &*old), ("new key", &*new), ("key changed", &*changed)];
    let plain = |kind: char, row: &str| {
        format!(
            "    INSERT INTO {log} (kind, captured_at, {k}) VALUES ('{kind}', UTC_TIMESTAMP(6), {row});\n"
        )
    };
    match event {
        "insert" => plain('I', &new),
        "delete" => plain('D', &old),
        _ => fill(include_str!("../../../sql/mysql/capture_update.sql"), &pairs),
    }
}

/// What kind of table a trigger stands on.
#[derive(Debug, Clone, Copy)]
enum On {
    /// Its log has the fence.
    Captured,
    /// Its triggers read whether the fence is up.
    Excluded,
}

fn trigger(names: &Names, kind: &str, table: &str, when: &str, on: On, body: &str) -> Trigger {
    let name = names.trigger_name(kind, table);
    let lowered = names.lowered();
    // What writes no log leaves the writer's `insert_id` alone.
    let body = if body.is_empty() { String::new() } else { names.discard_insert_id() + body };
    let pairs = [
        ("trigger", &*quote(&name)),
        ("when", when),
        ("table", &*quote(table)),
        ("fence", &*names.own("fence")),
        ("stamp", lowered.stamp),
        ("lowered", &*lowered.from),
        ("only", &*lowered.only),
        ("database", &*names.database_literal()),
        ("missed", &*names.note_missed(table)),
        ("body", &*body),
    ];
    let text = match on {
        On::Captured => include_str!("../../../sql/mysql/capture_trigger.sql"),
        On::Excluded => include_str!("../../../sql/mysql/capture_trigger_excluded.sql"),
    };
    Trigger {
        database: names.database.clone(),
        name,
        table: table.to_string(),
        when: when.to_string(),
        body: body_of(text, &pairs),
        sql_mode: String::new(),
    }
}

/// What a trigger does, of the file that makes one.
fn body_of(text: &str, pairs: &[(&str, &str)]) -> String {
    let text = paragraphs(text, pairs).join("\n\n");
    text.split_once("FOR EACH ROW\n").map_or(text.as_str(), |(_, body)| body).to_string()
}

/// The key columns of a table's change log, with their types.
pub(super) fn log_columns(plan: &TablePlan) -> Vec<(String, String)> {
    let columns = plan.key_columns().map(|c| Comparison::of(&c.source_type).logged_type(&c.source_type));
    columns.enumerate().map(|(i, kind)| (format!("k{}", i + 1), kind)).collect()
}

/// The statement that makes a table's change log.
pub(super) fn log(names: &Names, plan: &TablePlan) -> String {
    let columns = log_columns(plan).into_iter().map(|(name, kind)| format!(",\n    {name} {kind} NULL"));
    let columns: String = columns.collect();
    let pairs = [("log", &*names.log(&plan.source.name)), ("key columns", &*columns)];
    paragraphs(include_str!("../../../sql/mysql/capture_log.sql"), &pairs).join("\n\n")
}

/// The statements of a file, which empty lines separate, without the comment lines above them.
fn paragraphs(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    text.split("\n\n")
        .map(|paragraph| {
            let lines = paragraph.lines().filter(|line| !line.starts_with("--"));
            lines.collect::<Vec<_>>().join("\n").trim().to_string()
        })
        .filter(|statement| !statement.is_empty())
        .map(|statement| fill(&statement, pairs))
        .collect()
}
