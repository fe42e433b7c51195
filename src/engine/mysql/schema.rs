//! The schema in highwater's words.

use std::collections::HashMap;

use super::checks::{doubled_quotes, unescaped};
use super::connect::{Flavour, Server};
use super::session::{Session, flag, maybe, text};
use crate::engine::Record;
use crate::error::Result;
use crate::model::{
    Column, ForeignKey, Generation, Schema, Table, TableKind, TableName, Transfer, UniqueIndex,
};

/// What the names of highwater's own tables and triggers begin with, whatever the migration.
const OWN_TABLES: &str = "highwater_ledger";
const OWN_TRIGGERS: &str = "highwater_capture";

/// Storage engines that keep their rows elsewhere.
const ELSEWHERE: [&str; 5] = ["FEDERATED", "CONNECT", "SPIDER", "MRG_MYISAM", "S3"];

/// Whether a table belongs to the ledger of some migration.
pub(super) fn is_own_table(name: &str) -> bool {
    begins(name, OWN_TABLES)
}

/// Whether a trigger belongs to the capture of some migration.
pub(super) fn is_own_trigger(name: &str) -> bool {
    begins(name, OWN_TRIGGERS)
}

fn begins(name: &str, own: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// All user tables and the counters of AUTO_INCREMENT columns.
pub(super) async fn schema(server: &Server) -> Result<Schema> {
    let mut session = server.session().await?;
    let tables = tables(&mut session, server.flavour).await?;
    let sequences = super::sequences::of(&mut session, server.flavour).await?;
    session.close();
    Ok(Schema { tables, sequences })
}

async fn tables(session: &mut Session, flavour: Flavour) -> Result<Vec<Table>> {
    if flavour == Flavour::Mysql {
        // Else the sizes may be a day old.
        session.execute("SET SESSION information_schema_stats_expiry = 0").await?;
    }
    let found = session.query(include_str!("../../../sql/mysql/schema_tables.sql")).await?;
    let columns = grouped(session, include_str!("../../../sql/mysql/schema_columns.sql")).await?;
    let unique = grouped(session, include_str!("../../../sql/mysql/schema_unique.sql")).await?;
    let foreign = grouped(session, include_str!("../../../sql/mysql/schema_foreign_keys.sql")).await?;
    let triggers = grouped(session, include_str!("../../../sql/mysql/schema_triggers.sql")).await?;
    let mut tables = Vec::with_capacity(found.len());
    for row in found.iter().filter(|row| !is_own_table(maybe(row, 0).unwrap_or_default())) {
        let name = text(row, 0)?;
        let of = |parts: &HashMap<String, Vec<Record>>| parts.get(name).cloned().unwrap_or_default();
        let columns = of(&columns).iter().map(column).collect::<Result<Vec<_>>>()?;
        let (primary_key, unique) = indexes(&of(&unique), &columns)?;
        tables.push(Table {
            name: TableName::bare(name),
            // No id outlives an ALTER TABLE: a foreign key or a full-text index may rebuild the table.
            id: String::new(),
            kind: kind(maybe(row, 1)),
            columns,
            primary_key,
            unique,
            foreign_keys: foreign_keys(&of(&foreign))?,
            parts: Vec::new(),
            heirs: Vec::new(),
            triggers: names(&of(&triggers)),
            row_security: false,
            rows: size(row, 2),
            bytes: size(row, 3),
        });
    }
    Ok(tables)
}

/// The rows of a query by their first column, a table.
async fn grouped(session: &mut Session, sql: &str) -> Result<HashMap<String, Vec<Record>>> {
    let mut groups: HashMap<String, Vec<Record>> = HashMap::new();
    for row in session.query(sql).await? {
        groups.entry(text(&row, 0)?.to_string()).or_default().push(row);
    }
    Ok(groups)
}

fn kind(engine: Option<&str>) -> TableKind {
    let elsewhere = engine.is_some_and(|engine| ELSEWHERE.contains(&engine.to_ascii_uppercase().as_str()));
    if elsewhere { TableKind::Foreign } else { TableKind::Ordinary }
}

/// An estimate of the server's; it may have none.
fn size(row: &Record, column: usize) -> u64 {
    maybe(row, column).and_then(|size| size.parse().ok()).unwrap_or(0)
}

fn names(rows: &[Record]) -> Vec<String> {
    let names = rows.iter().filter_map(|row| maybe(row, 1));
    names.filter(|name| !is_own_trigger(name)).map(str::to_string).collect()
}

/// A column, from a row of `schema_columns.sql`.
pub(super) fn column(row: &Record) -> Result<Column> {
    let (not_null, counts, computed) = (flag(row, 5), flag(row, 7), flag(row, 8));
    let type_name = type_name(text(row, 2)?, maybe(row, 3), maybe(row, 4));
    Ok(Column {
        name: text(row, 1)?.to_string(),
        default: default(row, &type_name).filter(|_| !counts && !computed),
        compares_as: type_name.clone(),
        type_name,
        not_null,
        has_default: !not_null || flag(row, 6) || counts || computed,
        generation: match (computed, counts) {
            (true, _) => Generation::Computed,
            (false, true) => Generation::Identity,
            (false, false) => Generation::Plain,
        },
        transfer: Transfer::Any,
    })
}

/// A column's default as SQL. The catalogue writes `?` for some characters: what it says then is not told.
fn default(row: &Record, type_name: &str) -> Option<String> {
    let Some(said) = maybe(row, 9) else { return (!flag(row, 5)).then(|| "NULL".to_string()) };
    if said.contains('?') || !said.is_ascii() {
        return None;
    }
    let is_bare = ["bit", "binary", "varbinary"].iter().any(|word| type_name.starts_with(word))
        || (said.parse::<f64>().is_ok() && !type_name.contains(" CHARACTER SET "));
    Some(match maybe(row, 10) {
        Some("value") if !is_bare => format!("'{}'", said.replace('\\', "\\\\").replace('\'', "''")),
        Some("escaped") => doubled_quotes(&unescaped(said)),
        _ => doubled_quotes(said),
    })
}

/// The primary key's columns, and the other unique indexes. Those with an expression or a computed
/// column are left out: no row can be found by what is not carried. (An index on a column's beginning
/// tells rows apart by less than the column, which therefore tells them apart too.)
pub(super) fn indexes(rows: &[Record], columns: &[Column]) -> Result<(Vec<String>, Vec<UniqueIndex>)> {
    let mut found: Vec<UniqueIndex> = Vec::new();
    for row in rows {
        let name = text(row, 1)?;
        if found.last().is_none_or(|index| index.name != name) {
            found.push(UniqueIndex { name: name.to_string(), columns: Vec::new() });
        }
        if let Some(index) = found.last_mut() {
            index.columns.push(maybe(row, 2).unwrap_or_default().to_string());
        }
    }
    let carried =
        |name: &String| columns.iter().any(|c| &c.name == name && c.generation != Generation::Computed);
    found.retain(|index| index.columns.iter().all(carried));
    let (primary, others) = found.into_iter().partition(|index| index.name == "PRIMARY");
    let primary: Vec<UniqueIndex> = primary;
    Ok((primary.into_iter().next().map(|index| index.columns).unwrap_or_default(), others))
}

fn foreign_keys(rows: &[Record]) -> Result<Vec<ForeignKey>> {
    let mut found: Vec<ForeignKey> = Vec::new();
    for row in rows {
        let name = text(row, 1)?;
        if found.last().is_none_or(|key| key.name != name) {
            let parent = TableName::bare(text(row, 4)?);
            found.push(ForeignKey {
                name: name.to_string(),
                columns: Vec::new(),
                parent: TableName { schema: maybe(row, 3).map(str::to_string), ..parent },
                parent_columns: Vec::new(),
            });
        }
        if let Some(key) = found.last_mut() {
            key.columns.push(text(row, 2)?.to_string());
            key.parent_columns.push(text(row, 5)?.to_string());
        }
    }
    Ok(found)
}

/// A type as both servers would write it: without what changes no value (display widths, comments), and
/// with character set and collation.
pub(super) fn type_name(said: &str, charset: Option<&str>, collation: Option<&str>) -> String {
    let mut name = plain(said);
    let integer = ["tinyint", "smallint", "mediumint", "int", "bigint", "year"]
        .into_iter()
        .find(|word| name.strip_prefix(word).is_some_and(|rest| rest.starts_with('(')));
    if let (Some(word), false, Some(close)) = (integer, name.contains("zerofill"), name.find(')')) {
        name.replace_range(word.len()..=close, "");
    }
    if name == "geomcollection" {
        name = "geometrycollection".into();
    }
    match (charset, collation) {
        (Some(charset), Some(collation)) => format!("{name} CHARACTER SET {charset} COLLATE {collation}"),
        _ => name,
    }
}

/// In lower case and without comments, but for what stands in quotes.
fn plain(said: &str) -> String {
    let (mut plain, mut quoted, mut comment) = (String::new(), false, false);
    let mut chars = said.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match c {
            '*' if comment && next == Some('/') => {
                chars.next();
                comment = false;
            }
            _ if comment => {}
            '/' if !quoted && next == Some('*') => comment = true,
            '\'' => {
                quoted = !quoted;
                plain.push(c);
            }
            c if quoted => plain.push(c),
            c => plain.extend(c.to_lowercase()),
        }
    }
    plain.trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_alike() {
        for (said, written) in [
            ("int(11)", "int"),
            ("BIGINT(20) UNSIGNED", "bigint unsigned"),
            ("tinyint(1)", "tinyint"),
            ("bigint(20) unsigned zerofill", "bigint(20) unsigned zerofill"),
            ("year(4)", "year"),
            ("decimal(10,2)", "decimal(10,2)"),
            ("datetime(6) /* mariadb-5.3 */", "datetime(6)"),
            ("blob /*M!100301 COMPRESSED*/", "blob"),
            ("int", "int"),
        ] {
            assert_eq!(type_name(said, None, None), written);
        }
        let labels = type_name("enum('A b(3)','it''s /*')", Some("latin1"), Some("latin1_bin"));
        assert_eq!(labels, "enum('A b(3)','it''s /*') CHARACTER SET latin1 COLLATE latin1_bin");
    }

    #[test]
    fn own_names_are_whole_words() {
        assert!(is_own_table("highwater_ledger") && is_own_table("highwater_ledger_blue_chunk"));
        assert!(!is_own_table("highwater_ledgers") && is_own_trigger("highwater_capture_insert_t"));
    }
}
