//! What must be known of a target table to write rows into it, read from its catalogue.

use std::hash::{DefaultHasher, Hash, Hasher};

use sqlx::{PgConnection, Row};

use super::catalog;
use super::changed::{self, LookedUp, Shown};
use super::fits::{self, Changes, Conversion, Via};
use super::further::Further;
use crate::error::{Error, Result};
use crate::model::{Form, On, OnDelete, Staged, TablePlan, quote};

/// A carried column.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    /// Its quoted name on the target.
    pub(super) name: String,
    /// The type that staged values are converted to.
    pub(super) cast: String,
    /// How they are converted.
    pub(super) conversion: Conversion,
    /// The type in which values are staged.
    pub(super) staged: String,
    /// Whether it is GENERATED ALWAYS AS IDENTITY: it can be inserted, never updated.
    pub(super) always: bool,
    /// Whether rows are found by it.
    pub(super) in_key: bool,
    /// Whether it is kept once its row is made.
    pub(super) kept: bool,
}

/// A column by which the target's row of a key is found; the key's first, in key order.
#[derive(Debug, Clone)]
pub(super) struct Matched {
    /// Its quoted name on the target.
    pub(super) name: String,
    /// The type that staged values are converted to.
    pub(super) cast: String,
    /// What stands between the staged column and its cast.
    pub(super) via: Via,
    /// The column of the stage that has its value.
    pub(super) at: String,
    /// The type in which that is staged.
    pub(super) staged: String,
    /// The operator that says whether two values are the same.
    pub(super) equal: String,
    /// Its SQL, where it is the same in all rows of this table.
    pub(super) constant: Option<String>,
}

/// A unique or exclusion constraint that the server leaves unchecked where triggers are silenced.
#[derive(Debug, Clone)]
pub(super) struct Deferrable {
    /// Its name.
    pub(super) name: String,
    /// Quoted columns, each with the operator that says whether two rows collide.
    pub(super) columns: Vec<(String, String)>,
}

/// What must be known of a target table to write rows into it.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The text it was read under; see `sql/postgres/fingerprint.sql`.
    pub(super) fingerprint: String,
    /// The table's quoted name.
    pub(super) table: String,
    /// `ONLY ` where rows of heirs are not the table's own.
    pub(super) only: &'static str,
    /// What temporary tables of this shape have in their names.
    pub(super) tag: String,
    /// Whether rows come in COPY's binary form.
    pub(super) binary: bool,
    /// The types in which the key's columns are staged.
    pub(super) key: Vec<String>,
    /// The columns by which rows are found.
    pub(super) matched: Vec<Matched>,
    /// The carried columns.
    pub(super) carried: Vec<Carried>,
    /// The columns that are computed here.
    pub(super) looked_up: Vec<LookedUp>,
    /// The types in which columns are staged besides.
    pub(super) also: Vec<String>,
    /// The columns of `changed`.
    pub(super) shown: Vec<Shown>,
    /// Further targets.
    pub(super) further: Vec<Further>,
    /// Whether rows stay when the source deletes theirs.
    pub(super) keeps_deleted: bool,
    /// Quoted names of the other columns that can be written: they are the target's own.
    pub(super) others: Vec<String>,
    /// Whether a unique index over what rows are found by stands behind it.
    pub(super) indexed: bool,
    /// Constraints to be checked by us where triggers are silenced.
    pub(super) deferrable: Vec<Deferrable>,
}

/// A column as the catalogue has it.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) full_type: String,
    is_enum: bool,
    pub(super) always: bool,
    computed: bool,
    pub(super) not_null: bool,
    pub(super) partitioned: bool,
}

/// Identifies what a plan says of a table, within this process.
pub(super) fn plan_tag(plan: &TablePlan) -> u64 {
    let mut hasher = DefaultHasher::new();
    plan.decision().hash(&mut hasher);
    hasher.finish()
}

impl Shape {
    /// Reads the shape of the plan's target table, which stands under `fingerprint`.
    pub(super) async fn read(
        connection: &mut PgConnection,
        plan: &TablePlan,
        fingerprint: String,
        failed: impl Fn(sqlx::Error) -> Error,
    ) -> Result<Shape> {
        let table = plan.target.sql();
        let found = read_columns(connection, &table).await.map_err(&failed)?;
        let binary = plan.form == Form::CopyBinary;
        let (compared, indexed) = compared(connection, plan).await.map_err(&failed)?;
        let mut matched = Vec::new();
        for (pair, staged) in plan.matched() {
            let column = find(&found, plan, &pair.target)?;
            let compared = compared.iter().find(|c| c.name == pair.target);
            matched.push(Matched {
                name: quote(&pair.target),
                cast: column.type_name.clone(),
                via: fits::via(pair),
                at: place(staged),
                staged: staged_type(column, binary),
                equal: compared.map_or("OPERATOR(pg_catalog.=)", |c| c.equal.as_str()).to_string(),
                constant: pair.expression.clone().filter(|_| pair.is_constant()),
            });
        }
        let mut key = Vec::with_capacity(plan.key.len());
        for pair in plan.key_columns() {
            let column = find(&found, plan, &pair.target)?;
            key.push(match (&pair.expression, binary) {
                (Some(_), true) => pair.source_type.clone(),
                (Some(_), false) => "text".to_string(),
                (None, _) => staged_type(column, binary),
            });
        }
        let mut carried = Vec::with_capacity(plan.columns.len());
        for (n, pair) in plan.columns.iter().enumerate() {
            let column = find(&found, plan, &pair.target)?;
            if binary && without_length(&column.full_type) != without_length(&pair.target_type) {
                return Err(retyped(plan, column));
            }
            let name = quote(&pair.target);
            carried.push(Carried {
                in_key: matched.iter().any(|m| m.name == name),
                name,
                cast: column.type_name.clone(),
                conversion: Conversion::of(plan, pair, column, &place(Staged::Carried(n))),
                staged: staged_type(column, binary),
                always: column.always,
                kept: pair.on == On::Insert,
            });
        }
        let mut looked_up = Vec::with_capacity(plan.rule.lookups.len());
        for (n, lookup) in plan.rule.lookups.iter().enumerate() {
            let column = find(&found, plan, &lookup.target)?;
            looked_up.push(LookedUp {
                name: quote(&lookup.target),
                cast: column.type_name.clone(),
                expression: lookup.expression.clone(),
                always: column.always,
                kept: lookup.on == On::Insert,
                changes: Changes::of_lookup(lookup, column, &format!("x{n}")),
            });
        }
        let mut further = Vec::with_capacity(plan.rule.into.len());
        for into in &plan.rule.into {
            further.push(Further::read(connection, into, &failed).await?);
        }
        let shown = if plan.rule.is_computed_on_target() {
            changed::shown(connection, plan).await.map_err(&failed)?
        } else {
            Vec::new()
        };
        let also = plan.rule.also.iter();
        let also = also.map(|c| if binary { c.type_name.clone() } else { "text".to_string() }).collect();
        let is_carried = |column: &Found| {
            plan.columns
                .iter()
                .map(|pair| &pair.target)
                .chain(plan.rule.lookups.iter().map(|l| &l.target))
                .any(|name| *name == column.name)
        };
        let others = found.iter().filter(|c| !c.computed && !is_carried(c)).map(|c| quote(&c.name)).collect();
        let mut hasher = DefaultHasher::new();
        fingerprint.hash(&mut hasher);
        Ok(Shape {
            only: if found.iter().any(|c| c.partitioned) { "" } else { "ONLY " },
            tag: format!("{:016x}{:016x}", plan_tag(plan), hasher.finish()),
            indexed,
            deferrable: read_deferrable(connection, plan, &table).await.map_err(&failed)?,
            fingerprint,
            table,
            binary,
            key,
            matched,
            carried,
            looked_up,
            also,
            shown,
            further,
            keeps_deleted: plan.rule.on_delete == OnDelete::Keep,
            others,
        })
    }
}

/// How the matched columns are compared, and whether a unique index stands behind them. Constants need
/// not be part of it.
async fn compared(
    connection: &mut PgConnection,
    plan: &TablePlan,
) -> Result<(Vec<catalog::KeyColumn>, bool), sqlx::Error> {
    let names: Vec<String> = plan.matched().map(|(pair, _)| pair.target.clone()).collect();
    let compared = catalog::key_columns(connection, &plan.target, &names).await?;
    let indexed = !compared.is_empty() && compared.iter().all(|c| c.indexed);
    Ok((compared, indexed))
}

/// The column of the stage that a value stands in.
pub(super) fn place(staged: Staged) -> String {
    match staged {
        Staged::Key(n) => format!("k{n}"),
        Staged::Carried(n) => format!("c{n}"),
        Staged::Also(n) => format!("a{n}"),
    }
}

fn find<'a>(found: &'a [Found], plan: &TablePlan, name: &str) -> Result<&'a Found> {
    found.iter().find(|c| c.name == name).ok_or_else(|| {
        Error::table(format!("the target table {} has no column `{name}` any more", plan.target))
            .remedy("`highwater plan` shows both sides as they are now")
    })
}

/// Rows in binary form fit the types that were planned with, and no others.
fn retyped(plan: &TablePlan, column: &Found) -> Error {
    Error::table(format!(
        "the column `{}` of the target table {} is now {}",
        column.name, plan.target, column.full_type
    ))
    .remedy("`highwater plan` shows both sides as they are now")
}

/// A type without the length or precision that stands in brackets.
fn without_length(full_type: &str) -> String {
    let mut depth = 0_u32;
    let outside = full_type.chars().filter(|c| {
        depth = if *c == '(' { depth + 1 } else { depth };
        let outside = depth == 0;
        depth = if *c == ')' { depth.saturating_sub(1) } else { depth };
        outside
    });
    outside.collect()
}

/// The type in which a column is staged. A value that its column can't take must fail alone, not with
/// the whole COPY: an enum's label may be missing on the target, so labels come as text; in text form
/// everything does.
fn staged_type(column: &Found, binary: bool) -> String {
    if binary && !column.is_enum { column.type_name.clone() } else { "text".to_string() }
}

pub(super) async fn read_columns(
    connection: &mut PgConnection,
    table: &str,
) -> Result<Vec<Found>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../../../sql/postgres/shape.sql"))
        .bind(table)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Found {
                name: row.try_get("name")?,
                type_name: row.try_get("type_name")?,
                full_type: row.try_get("full_type")?,
                is_enum: row.try_get("is_enum")?,
                always: row.try_get("always")?,
                computed: row.try_get("computed")?,
                not_null: row.try_get("not_null")?,
                partitioned: row.try_get("partitioned")?,
            })
        })
        .collect()
}

async fn read_deferrable(
    connection: &mut PgConnection,
    plan: &TablePlan,
    table: &str,
) -> Result<Vec<Deferrable>, sqlx::Error> {
    let rows = sqlx::query(include_str!("../../../sql/postgres/deferrable.sql"))
        .bind(table)
        .fetch_all(&mut *connection)
        .await?;
    let mut constraints = Vec::with_capacity(rows.len());
    for row in rows {
        let columns: Vec<String> = row.try_get("columns")?;
        let mut operators: Vec<String> = row.try_get("operators")?;
        if operators.is_empty() {
            let compared = catalog::key_columns(connection, &plan.target, &columns).await?;
            operators = compared.into_iter().map(|c| c.equal).collect();
        }
        let columns = columns.iter().map(|c| quote(c)).zip(operators).collect();
        constraints.push(Deferrable { name: row.try_get("name")?, columns });
    }
    Ok(constraints)
}

#[cfg(test)]
mod tests {
    use super::without_length;

    #[test]
    fn a_length_is_no_other_type() {
        assert_eq!(without_length("character varying(10)"), without_length("character varying"));
        assert_eq!(without_length("timestamp(3) without time zone"), "timestamp without time zone");
        assert_eq!(without_length("numeric(10,2)[]"), "numeric[]");
        assert_ne!(without_length("integer"), without_length("bigint"));
    }
}
