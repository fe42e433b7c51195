//! Reads what a database holds from its catalogue, in a few queries whatever the number of tables.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::model::{
    CheckConstraint, Column, ForeignKey, Generation, Schema, Sequence, Table, TableKind, TableName, Transfer,
    UniqueIndex, quote, sql,
};

/// How many sequences one statement reads.
const SEQUENCES_AT_ONCE: usize = 200;

/// All user tables and sequences, without `own_schemas` and any other schema of highwater's. Sequences
/// that the user may not read are left out: see [`unreadable_sequences`].
pub(super) async fn read_schema(
    connection: &mut PgConnection,
    own_schemas: &[String],
) -> Result<Schema, sqlx::Error> {
    let mut tables = read_tables(connection, own_schemas).await?;
    let oids: Vec<i64> = tables.keys().copied().collect();
    read_columns(connection, &oids, &mut tables).await?;
    read_indexes(connection, &oids, &mut tables).await?;
    read_foreign_keys(connection, &oids, &mut tables).await?;
    let mut tables: Vec<Table> = tables.into_values().collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let found = list_sequences(connection, own_schemas).await?;
    let readable: Vec<_> = found.into_iter().filter(|s| s.readable).collect();
    let sequences = read_sequences(connection, &readable).await?;
    Ok(Schema { tables, sequences })
}

/// User sequences whose position the user may not read.
pub(super) async fn unreadable_sequences(
    connection: &mut PgConnection,
    own_schemas: &[String],
) -> Result<Vec<TableName>, sqlx::Error> {
    let found = list_sequences(connection, own_schemas).await?;
    Ok(found.into_iter().filter(|s| !s.readable).map(|s| s.name).collect())
}

async fn read_tables(
    connection: &mut PgConnection,
    own_schemas: &[String],
) -> Result<HashMap<i64, Table>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../../../sql/postgres/tables.sql"))
        .bind(own_schemas)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.try_get("oid")?, table(row)?))).collect()
}

fn table(row: &PgRow) -> Result<Table, sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    let persistence: String = row.try_get("persistence")?;
    let schemas: Vec<String> = row.try_get("member_schemas")?;
    let names: Vec<String> = row.try_get("member_names")?;
    let members: Vec<TableName> = schemas.into_iter().zip(names).map(|(s, n)| TableName::new(s, n)).collect();
    let kind = match (kind.as_str(), persistence.as_str()) {
        ("p", _) => TableKind::Partitioned,
        ("f", _) => TableKind::Foreign,
        (_, "u") => TableKind::Unlogged,
        _ => TableKind::Ordinary,
    };
    let (parts, heirs) =
        if kind == TableKind::Partitioned { (members, Vec::new()) } else { (Vec::new(), members) };
    Ok(Table {
        name: TableName::new(row.try_get::<String, _>("schema")?, row.try_get::<String, _>("name")?),
        id: row.try_get::<i64, _>("oid")?.to_string(),
        kind,
        columns: Vec::new(),
        primary_key: Vec::new(),
        unique: Vec::new(),
        foreign_keys: Vec::new(),
        parts,
        heirs,
        triggers: row.try_get("triggers")?,
        row_security: row.try_get("row_security")?,
        rows: row.try_get::<i64, _>("rows")?.unsigned_abs(),
        bytes: row.try_get::<i64, _>("bytes")?.unsigned_abs(),
    })
}

async fn read_columns(
    connection: &mut PgConnection,
    oids: &[i64],
    tables: &mut HashMap<i64, Table>,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(include_str!("../../../sql/postgres/columns.sql"))
        .bind(oids)
        .fetch_all(connection)
        .await?;
    for row in rows {
        let Some(table) = tables.get_mut(&row.try_get("oid")?) else { continue };
        let generation = match row.try_get::<&str, _>("generation")? {
            "computed" => Generation::Computed,
            "identity" => Generation::Identity,
            _ => Generation::Plain,
        };
        table.columns.push(Column {
            name: row.try_get("name")?,
            type_name: row.try_get("type_name")?,
            not_null: row.try_get("not_null")?,
            compares_as: row.try_get("compares_as")?,
            has_default: row.try_get("has_default")?,
            default: row.try_get("default_value")?,
            generation,
            transfer: if row.try_get("by_text")? { Transfer::Text } else { Transfer::Any },
        });
    }
    Ok(())
}

async fn read_indexes(
    connection: &mut PgConnection,
    oids: &[i64],
    tables: &mut HashMap<i64, Table>,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(include_str!("../../../sql/postgres/indexes.sql"))
        .bind(oids)
        .fetch_all(connection)
        .await?;
    for row in rows {
        let Some(table) = tables.get_mut(&row.try_get("oid")?) else { continue };
        let columns: Vec<String> = row.try_get("columns")?;
        if row.try_get("is_primary")? {
            table.primary_key = columns;
        } else {
            table.unique.push(UniqueIndex { name: row.try_get("name")?, columns });
        }
    }
    Ok(())
}

async fn read_foreign_keys(
    connection: &mut PgConnection,
    oids: &[i64],
    tables: &mut HashMap<i64, Table>,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(include_str!("../../../sql/postgres/foreign_keys.sql"))
        .bind(oids)
        .fetch_all(connection)
        .await?;
    for row in rows {
        let Some(table) = tables.get_mut(&row.try_get("oid")?) else { continue };
        let parent = TableName::new(
            row.try_get::<String, _>("parent_schema")?,
            row.try_get::<String, _>("parent_name")?,
        );
        table.foreign_keys.push(ForeignKey {
            name: row.try_get("name")?,
            columns: row.try_get("columns")?,
            parent,
            parent_columns: row.try_get("parent_columns")?,
        });
    }
    Ok(())
}

/// The enforced CHECK constraints of all user tables.
pub(super) async fn read_check_constraints(
    connection: &mut PgConnection,
    own_schemas: &[String],
) -> Result<Vec<CheckConstraint>, sqlx::Error> {
    let tables = read_tables(connection, own_schemas).await?;
    let oids: Vec<i64> = tables.keys().copied().collect();
    let rows = sqlx::query(include_str!("../../../sql/postgres/check_constraints.sql"))
        .bind(oids)
        .fetch_all(connection)
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(table) = tables.get(&row.try_get("oid")?) else { continue };
        let condition: String = row.try_get("condition")?;
        let condition = match row.try_get::<Option<String>, _>("value")? {
            Some(column) => sql::with_name(&condition, "VALUE", &quote(&column)),
            None => condition,
        };
        found.push(CheckConstraint {
            table: table.name.clone(),
            name: row.try_get("name")?,
            condition: sql::without_brackets(&condition).to_string(),
            validated: row.try_get("validated")?,
        });
    }
    Ok(found)
}

/// A sequence in the catalogue, before its position was read.
pub(super) struct FoundSequence {
    pub(super) name: TableName,
    pub(super) increment: i64,
    pub(super) readable: bool,
}

/// All user sequences.
pub(super) async fn list_sequences(
    connection: &mut PgConnection,
    own_schemas: &[String],
) -> Result<Vec<FoundSequence>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../../../sql/postgres/sequences.sql"))
        .bind(own_schemas)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(FoundSequence {
                name: TableName::new(row.try_get::<String, _>("schema")?, row.try_get::<String, _>("name")?),
                increment: row.try_get("increment")?,
                readable: row.try_get("readable")?,
            })
        })
        .collect()
}

/// Where the given sequences stand. The catalogue's views don't tell a sequence that was set from one
/// that was never used, so the sequences themselves are read.
pub(super) async fn read_sequences(
    connection: &mut PgConnection,
    found: &[FoundSequence],
) -> Result<Vec<Sequence>, sqlx::Error> {
    let mut sequences = Vec::with_capacity(found.len());
    for some in found.chunks(SEQUENCES_AT_ONCE) {
        let reads: Vec<String> = some
            .iter()
            .enumerate()
            .map(|(n, s)| format!("SELECT {n}::bigint, last_value, is_called FROM {}", s.name.sql()))
            .collect();
        let sql = format!("SELECT * FROM ({}) AS s (n, last, called)", reads.join(" UNION ALL "));
        let rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *connection).await?;
        for row in rows {
            let place: i64 = row.try_get("n")?;
            let Some(found) = usize::try_from(place).ok().and_then(|n| some.get(n)) else { continue };
            sequences.push(Sequence {
                name: found.name.clone(),
                last: row.try_get("last")?,
                called: row.try_get("called")?,
                increment: found.increment,
            });
        }
    }
    Ok(sequences)
}

/// How a key column is compared.
#[derive(Debug, Clone)]
pub(super) struct KeyColumn {
    /// The column's name.
    pub(super) name: String,
    /// The operator that says whether two of its values are the same key, as `OPERATOR(schema.=)`.
    pub(super) equal: String,
    /// Whether a unique index over just the asked columns stands behind it.
    pub(super) indexed: bool,
}

/// How the columns `names` of `table` are compared, in that order; a column that the table does not
/// have is left out.
pub(super) async fn key_columns(
    connection: &mut PgConnection,
    table: &TableName,
    names: &[String],
) -> Result<Vec<KeyColumn>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../../../sql/postgres/key_columns.sql"))
        .bind(table.sql())
        .bind(names)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(KeyColumn {
                name: row.try_get("name")?,
                equal: row.try_get("equal")?,
                indexed: row.try_get("indexed")?,
            })
        })
        .collect()
}
