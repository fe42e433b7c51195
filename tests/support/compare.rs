//! A comparison of two databases, row by row, that shares nothing with highwater.
//!
//! It reads whole tables into memory through the server's own text form and compares the columns
//! that both sides have: by primary key where the source has one, else as multisets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::database::Rows;
use super::engine::{Db, Engine, Pair};
use super::wait::eventually;

/// How many differences of one table are told.
const TOLD: usize = 10;

/// Panics with the first differences of each table, if there are any.
pub async fn assert_same(pair: &Pair) {
    assert_same_except(pair, &[]).await;
}

/// As [`assert_same`], leaving out the tables named (`table`, whatever their schema).
pub async fn assert_same_except(pair: &Pair, except: &[&str]) {
    let differences = differences(&pair.source, &pair.target, except).await;
    assert!(differences.is_empty(), "source and target differ:\n{}", differences.join("\n"));
}

/// Waits until both sides are the same. (In sync is less: a lag under `replay.in_sync_lag`.)
pub async fn eventually_same(pair: &Pair) {
    eventually_same_except(pair, &[]).await;
}

/// As [`eventually_same`], leaving out the tables named.
pub async fn eventually_same_except(pair: &Pair, except: &[&str]) {
    eventually(Duration::from_secs(30), || async {
        let differences = differences(&pair.source, &pair.target, except).await;
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    })
    .await;
}

/// What differs between the two, in words; every table of `source` counts.
pub async fn differences(source: &Db, target: &Db, except: &[&str]) -> Vec<String> {
    let tables: Vec<String> = except.iter().map(|&table| table.to_owned()).collect();
    differences_except(source, target, &Except { tables: &tables, columns: &[] }).await
}

/// What is not compared.
pub struct Except<'a> {
    /// Whole tables, whatever their schema.
    pub tables: &'a [String],
    /// Columns, as `table.column`.
    pub columns: &'a [String],
}

/// As [`differences`], leaving more out.
pub async fn differences_except(source: &Db, target: &Db, except: &Except<'_>) -> Vec<String> {
    let there = tables(target).await;
    let mut told = Vec::new();
    for (name, mut table) in tables(source).await {
        if except.tables.contains(&name.table) {
            continue;
        }
        table.columns.retain(|c| !except.columns.contains(&format!("{}.{}", name.table, c.name)));
        match there.get(&name) {
            Some(other) => told.extend(compare_table(source, target, &name, &table, other).await),
            None => told.push(format!("{name}: no such table on the target")),
        }
    }
    told
}

/// Every table with its columns, all as SQL names them.
pub async fn tables_with_columns(db: &Db) -> Vec<(String, Vec<String>)> {
    let columns = |table: Table| table.columns.iter().map(|column| quoted(&column.name)).collect();
    tables(db).await.into_iter().map(|(name, table)| (name.to_string(), columns(table))).collect()
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// Empty where a database has none.
    schema: String,
    table: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.schema.is_empty() {
            return f.write_str(&quoted(&self.table));
        }
        write!(f, "{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

#[derive(Default)]
struct Table {
    columns: Vec<Column>,
    key: BTreeSet<String>,
}

struct Column {
    name: String,
    /// Its type, where that decides how it is read.
    kind: String,
}

/// One line per column: schema, table, column, whether it belongs to the primary key, type.
const POSTGRES_COLUMNS: &str = "
    SELECT n.nspname, c.relname, a.attname,
           CASE WHEN a.attnum = ANY (i.indkey) THEN 'key' END, ''
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND n.nspname !~ '^(pg_|information_schema$|highwater)'
    ORDER BY n.nspname, c.relname, a.attnum";

const SQLITE_COLUMNS: &str = "
    SELECT 'main', t.name, c.name, CASE WHEN c.pk > 0 THEN 'key' END, ''
    FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
      AND t.name NOT LIKE 'highwater\\_%' ESCAPE '\\' AND c.hidden <> 1
    ORDER BY t.name, c.cid";

const MYSQL_COLUMNS: &str = "
    SELECT '', c.table_name, c.column_name, CASE WHEN k.column_name IS NOT NULL THEN 'key' END, c.data_type
    FROM information_schema.tables t
    JOIN information_schema.columns c ON c.table_schema = DATABASE() AND c.table_name = t.table_name
    LEFT JOIN information_schema.key_column_usage k
      ON k.table_schema = DATABASE() AND k.table_name = t.table_name
      AND k.constraint_name = 'PRIMARY' AND k.column_name = c.column_name
    WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'
      AND t.table_name NOT LIKE 'highwater\\_%'
    ORDER BY c.table_name, c.ordinal_position";

async fn tables(db: &Db) -> BTreeMap<Name, Table> {
    let mut tables = BTreeMap::new();
    for row in db.rows_as_text(db.engine().pick(POSTGRES_COLUMNS, SQLITE_COLUMNS, MYSQL_COLUMNS)).await {
        let [Some(schema), Some(table), Some(column), key, Some(kind)] = row.as_slice() else {
            panic!("a line of the catalogue: {row:?}")
        };
        let name = Name { schema: schema.clone(), table: table.clone() };
        let table: &mut Table = tables.entry(name).or_default();
        table.columns.push(Column { name: column.clone(), kind: kind.clone() });
        if key.is_some() {
            table.key.insert(column.clone());
        }
    }
    tables
}

async fn compare_table(source: &Db, target: &Db, name: &Name, here: &Table, there: &Table) -> Vec<String> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for column in &here.columns {
        if let Some(other) = there.columns.iter().find(|other| other.name == column.name) {
            left.push(column);
            right.push(other);
        }
    }
    let columns: Vec<_> = left.iter().map(|column| column.name.clone()).collect();
    let ours = read(source, name, &left).await;
    let theirs = read(target, name, &right).await;
    let keys: Vec<_> = (0..columns.len()).filter(|&i| here.key.contains(&columns[i])).collect();
    let found = if keys.is_empty() || keys.len() < here.key.len() {
        compare_multisets(ours, theirs)
    } else {
        compare_keyed(&columns, &keys, ours, theirs)
    };
    let left_out = found.len().saturating_sub(TOLD);
    let mut told: Vec<_> =
        found.into_iter().take(TOLD).map(|difference| format!("{name}: {difference}")).collect();
    if left_out > 0 {
        told.push(format!("{name}: and {left_out} more differences"));
    }
    told
}

async fn read(db: &Db, name: &Name, columns: &[&Column]) -> Rows {
    // A first column of its own: without columns in common it is the number of rows that counts, and
    // rows of MySQL that begin with a value of 16 MiB are not seen at all.
    let mut expressions = vec!["1".to_owned()];
    expressions.extend(columns.iter().map(|column| expression(db.engine(), column)));
    let mut rows = db.rows_as_text(&format!("SELECT {} FROM {name}", expressions.join(", "))).await;
    for row in &mut rows {
        row.remove(0);
    }
    rows
}

/// PostgreSQL's text protocol writes a value as its type does, and so does that of MySQL, but for
/// FLOAT, of which it leaves digits out. SQLite's classes are told apart, and neither digits nor bytes
/// are lost.
fn expression(engine: Engine, column: &Column) -> String {
    let name = quoted(&column.name);
    match engine {
        Engine::Postgres => name,
        Engine::Mariadb | Engine::Mysql if column.kind == "float" => format!("CAST({name} AS DOUBLE)"),
        // A type that sqlx does not know.
        Engine::Mariadb | Engine::Mysql if column.kind == "vector" => format!("HEX({name})"),
        Engine::Mariadb | Engine::Mysql => name,
        Engine::Sqlite => format!(
            "CASE typeof({name}) WHEN 'null' THEN NULL \
             WHEN 'integer' THEN 'integer ' || {name} \
             WHEN 'real' THEN 'real ' || printf('%!.17g', {name}) \
             ELSE typeof({name}) || ' ' || hex({name}) END"
        ),
    }
}

type Row = Vec<Option<String>>;

fn compare_keyed(columns: &[String], keys: &[usize], ours: Rows, theirs: Rows) -> Vec<String> {
    let by_key = |rows: Rows| -> BTreeMap<Row, Vec<Row>> {
        let mut map = BTreeMap::<Row, Vec<Row>>::new();
        for row in rows {
            map.entry(keys.iter().map(|&key| row[key].clone()).collect()).or_default().push(row);
        }
        map
    };
    let (ours, mut theirs) = (by_key(ours), by_key(theirs));
    let mut found = Vec::new();
    for (key, mut rows) in ours {
        let mut others = theirs.remove(&key).unwrap_or_default();
        rows.sort();
        others.sort();
        if rows == others {
            continue;
        }
        found.push(match (rows.as_slice(), others.as_slice()) {
            ([row], [other]) => format!("key {}: {}", shown(&key), changes(columns, row, other)),
            ([row], []) => format!("key {}: missing on the target: {}", shown(&key), shown(row)),
            _ => format!(
                "key {}: {} rows on the source, {} on the target",
                shown(&key),
                rows.len(),
                others.len()
            ),
        });
    }
    let extra =
        theirs.into_iter().flat_map(|(key, rows)| rows.into_iter().map(move |row| (key.clone(), row)));
    found.extend(extra.map(|(key, row)| format!("key {}: only on the target: {}", shown(&key), shown(&row))));
    found
}

fn compare_multisets(ours: Rows, theirs: Rows) -> Vec<String> {
    let mut counts = BTreeMap::<Row, (usize, usize)>::new();
    for row in ours {
        counts.entry(row).or_default().0 += 1;
    }
    for row in theirs {
        counts.entry(row).or_default().1 += 1;
    }
    let differing = counts.into_iter().filter(|(_, (here, there))| here != there);
    differing
        .map(|(row, (here, there))| {
            format!("{here} times on the source, {there} on the target: {}", shown(&row))
        })
        .collect()
}

fn changes(columns: &[String], row: &Row, other: &Row) -> String {
    let cells = columns.iter().zip(row.iter().zip(other)).filter(|(_, (here, there))| here != there);
    let cells = cells.map(|(column, (here, there))| {
        format!("{column} is {} on the source, {} on the target", cell(here.as_ref()), cell(there.as_ref()))
    });
    cells.collect::<Vec<_>>().join("; ")
}

fn shown(row: &Row) -> String {
    let cells: Vec<_> = row.iter().map(|value| cell(value.as_ref())).collect();
    format!("({})", cells.join(", "))
}

/// A value as told: NULL apart from text, and cut where it is long.
fn cell(value: Option<&String>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(text) if text.chars().count() > 100 => {
            format!("'{}..' ({} bytes)", text.chars().take(100).collect::<String>(), text.len())
        }
        Some(text) => format!("'{text}'"),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
