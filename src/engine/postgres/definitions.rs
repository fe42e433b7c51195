//! The statements that make the source's tables on a target, in the order of its stages.

use std::collections::{HashMap, HashSet};

use super::pg_dump;
use super::session::{Session, name_list, text};
use super::source::PostgresSource;
use super::split::{Entry, entries};
use crate::engine::template::fill;
use crate::engine::{Definition, Stage};
use crate::error::Result;
use crate::model::{Plan, TableName, TablePlan};

/// As [`Source::definitions`](crate::engine::Source::definitions).
pub(super) async fn definitions(
    source: &PostgresSource,
    plan: &Plan,
    whole: bool,
) -> Result<Vec<Definition>> {
    let mut session = source.session().await?;
    let standing = source.standing(&mut session).await?;
    let known = Known::read(&mut session, plan, whole).await?;
    session.close();
    let excluded = if whole { &[][..] } else { &plan.excluded[..] };
    let dump = pg_dump::definitions(source, standing.capture.server, excluded).await?;
    let mut made = Vec::new();
    let mut refresh = Vec::new();
    for entry in entries(&dump).iter().filter(|entry| !is_ours(entry)) {
        let table = known.table_of(entry);
        if !whole && !known.is_wanted(entry, table) {
            continue;
        }
        let stage = known.stage(entry);
        for statement in &entry.statements {
            made.push(Definition { stage, table: table.map(str::to_string), sql: statement.clone() });
        }
        if entry.kind == "MATERIALIZED VIEW" {
            let view = TableName::new(&entry.schema, &entry.name).sql();
            let sql = format!("REFRESH MATERIALIZED VIEW {view}");
            refresh.push(Definition { stage: Stage::Rest, table: None, sql });
        }
    }
    made.extend(refresh);
    // Stable: within a stage the dump's order stands, which knows what depends on what.
    made.sort_by_key(|definition| definition.stage);
    Ok(made)
}

/// Capture itself, also that of other migrations, and what only an extension's owner may say.
fn is_ours(entry: &Entry) -> bool {
    let own = |name: &str| name.starts_with("highwater_capture") || name.starts_with("highwater_ledger");
    match entry.kind.as_str() {
        "SCHEMA" => own(&entry.name),
        "TRIGGER" => entry.statements.iter().any(|sql| {
            sql.contains(" EXECUTE FUNCTION highwater_capture")
                || sql.contains(" EXECUTE FUNCTION \"highwater_capture")
        }),
        "COMMENT" => entry.name.starts_with("EXTENSION "),
        _ => own(&entry.schema),
    }
}

/// What the catalogue says about names in the dump.
struct Known {
    /// Schema and name of tables and partitions, and the label of the whole table.
    tables: HashMap<(String, String), String>,
    /// Schema and name of unique indexes, with table and columns.
    indexes: HashMap<(String, String), Index>,
    /// The key of each carried table by label.
    keys: HashMap<String, HashSet<String>>,
    /// The labels of the tables that are to be made.
    create: HashSet<String>,
    /// Kind, schema and name of what these need.
    needs: HashSet<(String, String, String)>,
}

struct Index {
    table: String,
    columns: HashSet<String>,
}

impl Known {
    async fn read(session: &mut Session, plan: &Plan, whole: bool) -> Result<Known> {
        let mut known = Known {
            tables: HashMap::new(),
            indexes: HashMap::new(),
            keys: plan.tables.iter().map(|t| (t.label(), t.key.iter().cloned().collect())).collect(),
            create: plan.tables.iter().filter(|t| t.create).map(TablePlan::label).collect(),
            needs: HashSet::new(),
        };
        let mut oids = Vec::new();
        for row in session.query(include_str!("../../../sql/postgres/dumped_tables.sql")).await? {
            let label = TableName::new(text(&row, 2)?, text(&row, 3)?).to_string();
            if known.create.contains(&label) {
                oids.push(text(&row, 4)?.to_string());
            }
            known.tables.insert((text(&row, 0)?.to_string(), text(&row, 1)?.to_string()), label);
        }
        for row in session.query(include_str!("../../../sql/postgres/dumped_indexes.sql")).await? {
            let index = Index { table: text(&row, 1)?.to_string(), columns: name_list(&row, 3)? };
            known.indexes.insert((text(&row, 0)?.to_string(), text(&row, 2)?.to_string()), index);
        }
        if !whole {
            let sql = include_str!("../../../sql/postgres/dumped_needs.sql");
            for row in session.query(fill(sql, &[("oids", &oids.join(","))])).await? {
                known.needs.insert((text(&row, 0)?.into(), text(&row, 1)?.into(), text(&row, 2)?.into()));
            }
        }
        Ok(known)
    }

    /// The label of the table that an entry belongs to.
    fn table_of(&self, entry: &Entry) -> Option<&str> {
        let label =
            |name: &str| self.tables.get(&(entry.schema.clone(), name.to_string())).map(String::as_str);
        match entry.kind.as_str() {
            "TABLE" | "FOREIGN TABLE" | "TABLE ATTACH" | "ROW SECURITY" => label(&entry.name),
            "INDEX" | "INDEX ATTACH" => {
                let index = self.indexes.get(&(entry.schema.clone(), entry.name.clone()));
                index.and_then(|index| label(&index.table)).or_else(|| self.table_named(entry))
            }
            "CONSTRAINT" | "CHECK CONSTRAINT" | "FK CONSTRAINT" | "TRIGGER" | "RULE" | "POLICY"
            | "DEFAULT" => {
                // The table's name, a space, and the object's own; both may hold spaces.
                let ends = entry.name.match_indices(' ').map(|(at, _)| at).rev();
                ends.map(|at| &entry.name[..at]).find_map(label)
            }
            "COMMENT" => {
                let name =
                    entry.name.strip_prefix("TABLE ").or_else(|| entry.name.strip_prefix("COLUMN "))?;
                label(name).or_else(|| label(name.split('.').next()?))
            }
            _ => None,
        }
    }

    /// The table of an index that is not unique, by the statement that makes it.
    fn table_named(&self, entry: &Entry) -> Option<&str> {
        let statement = entry.statements.first()?;
        let (_, behind) = statement.split_once(" ON ")?;
        let name = behind.strip_prefix("ONLY ").unwrap_or(behind);
        let found = self.tables.iter().filter(|((schema, _), _)| schema == &entry.schema).find(
            |((schema, table), _)| {
                let plain = format!("{schema}.{table} ");
                let quoted = format!("{} ", TableName::new(schema, table).sql());
                name.starts_with(&plain)
                    || name.starts_with(&quoted)
                    || name.replace('"', "").starts_with(&plain)
            },
        );
        found.map(|(_, label)| label.as_str())
    }

    fn is_wanted(&self, entry: &Entry, table: Option<&str>) -> bool {
        if let Some(table) = table {
            return self.create.contains(table);
        }
        let needs = |kind: &str, name: &str| {
            self.needs.contains(&(kind.to_string(), entry.schema.clone(), name.to_string()))
        };
        let own = entry.name.split_once('(').map_or(entry.name.as_str(), |(name, _)| name);
        match entry.kind.as_str() {
            "TYPE" | "DOMAIN" | "SHELL TYPE" => needs("TYPE", &entry.name),
            "FUNCTION" | "PROCEDURE" | "AGGREGATE" => needs("FUNCTION", own),
            "SEQUENCE" | "SEQUENCE OWNED BY" => needs("SEQUENCE", &entry.name),
            kind @ ("COLLATION" | "EXTENSION" | "SCHEMA") => needs(kind, &entry.name),
            _ => false,
        }
    }

    fn stage(&self, entry: &Entry) -> Stage {
        match entry.kind.as_str() {
            "CONSTRAINT" | "INDEX" | "INDEX ATTACH" => self.index_stage(entry),
            "CHECK CONSTRAINT" | "FK CONSTRAINT" | "TRIGGER" | "RULE" | "POLICY" | "ROW SECURITY"
            | "EVENT TRIGGER" | "STATISTICS" => Stage::Rest,
            "COMMENT" if !is_early(&entry.name) => Stage::Rest,
            _ => Stage::Tables,
        }
    }

    fn index_stage(&self, entry: &Entry) -> Stage {
        let table = self.table_of(entry);
        let of_constraint = || {
            self.indexes.iter().find(|((schema, name), index)| {
                schema == &entry.schema && entry.name == format!("{} {name}", index.table)
            })
        };
        let index = self
            .indexes
            .get(&(entry.schema.clone(), entry.name.clone()))
            .or_else(|| of_constraint().map(|f| f.1));
        let Some(index) = index else { return Stage::Rest };
        let key = table.and_then(|table| self.keys.get(table));
        if key.is_some_and(|key| !key.is_empty() && key == &index.columns) {
            Stage::Key
        } else {
            Stage::Unique
        }
    }
}

/// Whether a comment is on something that is made first.
fn is_early(name: &str) -> bool {
    !["INDEX ", "CONSTRAINT ", "TRIGGER ", "RULE ", "POLICY ", "STATISTICS "]
        .iter()
        .any(|kind| name.starts_with(kind))
}
