//! The schema in highwater's words, and the definitions that make it elsewhere.

use std::collections::HashMap;

use super::catalog::{Catalog, Shape, Sort, is_own};
use super::connect::{Db, Session};
use super::fault::Doing;
use super::parse;
use super::value::{self, integer, text};
use crate::engine::{Definition, Stage};
use crate::error::Result;
use crate::model::{
    CheckConstraint, Column, ForeignKey, Generation, Plan, Schema, Sequence, Table, TableKind, TableName,
    TablePlan, Transfer, UniqueIndex, quote,
};

/// Up to so many rows are counted; larger tables are estimated.
const COUNTED: u64 = 1_000_000;

/// How many rows give a table's average size.
const SAMPLE: u32 = 200;

/// All user tables and the counters of AUTOINCREMENT columns.
pub(super) async fn schema(db: &Db) -> Result<Schema> {
    let what = "reading the schema";
    let mut session = db.reading(what).await?;
    let catalog = db.catalog(&mut session).await?;
    let ledger = catalog.tables.iter().filter(|t| t.name.ends_with("ledger_ledger")).map(|t| t.order).min();
    let mut tables = Vec::new();
    for shape in catalog.tables.iter().filter(|t| t.sort != Sort::Shadow && !is_own(&t.name)) {
        let (rows, bytes) = match shape.sort {
            // What the application alone can read is named by the survey, if the table is carried.
            Sort::Ordinary => size(&mut session, shape).await.unwrap_or_default(),
            _ => (0, 0),
        };
        let id = id(shape, ledger);
        tables.push(Table { rows, bytes, id, ..table(&catalog, shape) });
    }
    let sequences = sequences_in(&mut session, &catalog).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    Ok(Schema { tables, sequences })
}

/// A table that was dropped and made again stands behind the ledger, which stood behind the first one.
fn id(shape: &Shape, ledger: Option<i64>) -> String {
    if ledger.is_some_and(|ledger| shape.order > ledger) { "made after the ledger" } else { "" }.to_string()
}

fn table(catalog: &Catalog, shape: &Shape) -> Table {
    let collations = parse::collations(&shape.sql);
    Table {
        name: TableName::bare(&shape.name),
        id: String::new(),
        kind: if shape.sort == Sort::Virtual { TableKind::Virtual } else { TableKind::Ordinary },
        columns: shape.columns.iter().map(|c| column(shape, c, &collations)).collect(),
        primary_key: shape.primary_key(),
        unique: shape.unique.iter().filter(|u| !u.primary && u.is_plain()).filter_map(unique).collect(),
        foreign_keys: shape.foreign_keys.iter().map(|r| foreign_key(catalog, r)).collect(),
        parts: Vec::new(),
        heirs: Vec::new(),
        triggers: catalog.user_triggers(&shape.name).map(|t| t.name.clone()).collect(),
        row_security: false,
        rows: 0,
        bytes: 0,
    }
}

fn column(shape: &Shape, column: &super::catalog::ShapeColumn, collations: &[(String, String)]) -> Column {
    let counts = shape.rowid_column.as_deref() == Some(&column.name);
    let collation = collations.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name));
    let collation = collation.map(|(_, c)| format!(" collate {}", c.to_lowercase())).unwrap_or_default();
    Column {
        name: column.name.clone(),
        type_name: shape.type_name(column),
        not_null: shape.is_not_null(column),
        compares_as: shape.affinity(column).to_string() + &collation,
        has_default: column.default.is_some() || column.computed || counts,
        default: column.default.clone(),
        generation: match (column.computed, counts) {
            (true, _) => Generation::Computed,
            (false, true) => Generation::Identity,
            (false, false) => Generation::Plain,
        },
        transfer: Transfer::Any,
    }
}

/// The CHECK constraints of all user tables.
pub(super) async fn check_constraints(db: &Db) -> Result<Vec<CheckConstraint>> {
    let catalog = db.catalog_now().await?;
    let of_table = |shape: &Shape| {
        let table = TableName::bare(&shape.name);
        let constraint = move |(name, condition)| CheckConstraint {
            table: table.clone(),
            name,
            condition,
            validated: true,
        };
        parse::checks(&shape.sql).into_iter().map(constraint)
    };
    Ok(catalog.user_tables().flat_map(of_table).collect())
}

fn unique(index: &super::catalog::Unique) -> Option<UniqueIndex> {
    Some(UniqueIndex { name: index.name.clone(), columns: index.columns()? })
}

fn foreign_key(catalog: &Catalog, reference: &super::catalog::Reference) -> ForeignKey {
    let parent = catalog.tables.iter().find(|t| t.name.eq_ignore_ascii_case(&reference.parent));
    let key = parent.map(Shape::primary_key).unwrap_or_default();
    let parent_column = |(i, (_, to)): (usize, &(String, Option<String>))| {
        to.clone().or_else(|| key.get(i).cloned()).unwrap_or_default()
    };
    ForeignKey {
        name: String::new(),
        columns: reference.columns.iter().map(|(from, _)| from.clone()).collect(),
        parent: TableName::bare(parent.map_or(&reference.parent, |p| &p.name)),
        parent_columns: reference.columns.iter().enumerate().map(parent_column).collect(),
    }
}

/// About how many rows and bytes a table holds.
async fn size(session: &mut Session, shape: &Shape) -> Result<(u64, u64), sqlx::Error> {
    let name = quote(&shape.name);
    let counted =
        session.integer(format!("SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {COUNTED})")).await?;
    let mut rows = counted.unsigned_abs();
    if rows >= COUNTED
        && let Some(rowid) = shape.rowid()
    {
        // Ids with large gaps say too much; a file can't hold more rows than this.
        let span = format!("SELECT CAST(max({rowid}) AS REAL) - min({rowid}) + 1 FROM {name}");
        let span: f64 = sqlx::Row::try_get_unchecked(&session.one(span).await?, 0)?;
        let bytes =
            session.integer("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").await?;
        rows = (span.min(bytes as f64 / 10.0) as u64).max(COUNTED);
    }
    let lengths = shape
        .columns
        .iter()
        .filter(|c| !c.computed)
        .map(|c| format!("coalesce(octet_length({}), 0) + 1", quote(&c.name)));
    let lengths = value::balanced(lengths, " + ");
    if lengths.is_empty() || rows == 0 {
        return Ok((rows, 0));
    }
    let sample = format!(
        "SELECT CAST(coalesce(avg({lengths}), 0) AS INTEGER) FROM (SELECT * FROM {name} LIMIT {SAMPLE})"
    );
    let average = session.integer(sample).await?.unsigned_abs();
    Ok((rows, rows.saturating_mul(average)))
}

/// Where the counters of AUTOINCREMENT columns stand.
pub(super) async fn sequences(db: &Db) -> Result<Vec<Sequence>> {
    let what = "reading the counters";
    let mut session = db.reading(what).await?;
    let catalog = db.catalog(&mut session).await?;
    let found = sequences_in(&mut session, &catalog).await.doing(&db.place, what)?;
    session.end().await.doing(&db.place, what)?;
    Ok(found)
}

async fn sequences_in(session: &mut Session, catalog: &Catalog) -> Result<Vec<Sequence>, sqlx::Error> {
    let known: HashMap<&str, &Shape> =
        catalog.user_tables().filter(|t| t.is_autoincrement()).map(|t| (t.name.as_str(), t)).collect();
    // SQLite makes its table of counters with the first AUTOINCREMENT.
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let rows = session.all("SELECT name, seq FROM sqlite_sequence ORDER BY name", Default::default()).await?;
    let mut found = Vec::new();
    for row in &rows {
        let name = text(row, 0)?;
        if known.contains_key(name.as_str()) {
            let last = integer(row, 1)?;
            found.push(Sequence { name: TableName::bare(name), last, called: true, increment: 1 });
        }
    }
    Ok(found)
}

/// The statements that make the tables which are marked `create`, or everything.
pub(super) fn definitions(catalog: &Catalog, plan: &Plan, whole: bool) -> Vec<Definition> {
    let made: HashMap<String, &TablePlan> =
        plan.tables.iter().filter(|t| t.create).map(|t| (t.source.name.to_lowercase(), t)).collect();
    let mut found: Vec<Definition> = Vec::new();
    let shadows = |name: &str| catalog.table(name).is_some_and(|t| t.sort == Sort::Shadow);
    for entry in
        catalog.entries.iter().filter(|e| !is_own(&e.name) && !is_own(&e.table) && !shadows(&e.table))
    {
        let table = made.get(&entry.table.to_lowercase());
        if table.is_none() && !whole {
            continue;
        }
        let stage = match entry.kind.as_str() {
            "table" => Stage::Tables,
            "index" => index_stage(catalog, &entry.table, &entry.name, table.copied()),
            _ => Stage::Rest,
        };
        found.push(Definition { stage, table: table.map(|t| t.label()), sql: entry.sql.clone() });
    }
    // Triggers may be on views.
    found.sort_by_key(|d| d.stage);
    found
}

fn index_stage(catalog: &Catalog, table: &str, index: &str, plan: Option<&TablePlan>) -> Stage {
    let Some(shape) = catalog.tables.iter().find(|t| t.name.eq_ignore_ascii_case(table)) else {
        return Stage::Rest;
    };
    let Some(found) = shape.unique.iter().find(|u| u.name == index) else { return Stage::Rest };
    let key: Vec<&str> = plan.map(|p| p.key.iter().map(String::as_str).collect()).unwrap_or_default();
    match shape.key_index(&key) {
        Some(own) if std::ptr::eq(own, found) => Stage::Key,
        _ => Stage::Unique,
    }
}
