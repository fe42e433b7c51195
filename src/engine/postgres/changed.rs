//! The staged rows as the operator's SQL on the target sees them: the table `changed`; and the columns
//! that are computed from it.

use sqlx::{PgConnection, Row};

use super::fits::Changes;
use super::shape::{Shape, place};
use super::statements::{Pick, Script, Which, make_temporary};
use crate::model::{Staged, TablePlan, quote};

/// A column that is computed on the target.
#[derive(Debug, Clone)]
pub(super) struct LookedUp {
    /// Its quoted name.
    pub(super) name: String,
    /// The type that its values are converted to.
    pub(super) cast: String,
    /// SQL over `changed`.
    pub(super) expression: String,
    /// Whether it is GENERATED ALWAYS AS IDENTITY.
    pub(super) always: bool,
    /// Whether it is kept once its row is made.
    pub(super) kept: bool,
    /// Whether a value would change.
    pub(super) changes: Option<Changes>,
}

/// A column of `changed`.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// Its quoted name.
    name: String,
    /// The type that it has there.
    cast: String,
    /// The column of the stage.
    at: String,
}

/// The columns of `changed`. They have their type of the source; where this server does not know it,
/// that of the target column, else text.
pub(super) async fn shown(
    connection: &mut PgConnection,
    plan: &TablePlan,
) -> Result<Vec<Shown>, sqlx::Error> {
    let columns = plan.changed();
    let types: Vec<String> = columns.iter().map(|(_, type_name, _)| (*type_name).to_string()).collect();
    let known = sqlx::query(
        "SELECT pg_catalog.to_regtype(t.name) IS NOT NULL FROM unnest($1::text[]) WITH ORDINALITY AS t (name, place) \
         ORDER BY t.place",
    )
    .bind(&types)
    .fetch_all(connection)
    .await?;
    let mut shown = Vec::with_capacity(columns.len());
    for ((name, type_name, staged), known) in columns.into_iter().zip(known) {
        let cast = if known.try_get(0)? { type_name } else { other_type(plan, name, staged) };
        shown.push(Shown { name: quote(name), cast: cast.to_string(), at: place(staged) });
    }
    Ok(shown)
}

fn other_type<'a>(plan: &'a TablePlan, name: &str, staged: Staged) -> &'a str {
    match staged {
        Staged::Carried(n) => plan.columns.get(n).map_or("text", |c| &c.target_type),
        Staged::Key(_) => {
            let pair = plan.columns.iter().find(|c| c.source == name && c.expression.is_none());
            pair.map_or("text", |c| &c.target_type)
        }
        Staged::Also(_) => "text",
    }
}

/// `changed` without rows, to try SQL on.
pub(super) fn empty(shown: &[Shown]) -> String {
    let columns: String = shown.iter().map(|s| format!(", NULL::{} AS {}", s.cast, s.name)).collect();
    format!("changed AS (SELECT NULL::bigint AS hw_n{columns} WHERE false)")
}

impl Shape {
    /// The name of the table of staged rows with the columns that were looked up.
    pub(super) fn resolved(&self) -> String {
        format!("pg_temp.hw_full_{}", self.tag)
    }

    /// Makes that table where it is missing, if there is anything to look up.
    pub(super) fn make_resolved(&self) -> Option<String> {
        if self.looked_up.is_empty() {
            return None;
        }
        let matched = self.matched.iter().enumerate().map(|(n, m)| format!("m{n} {}", m.cast));
        let carried = self.carried.iter().enumerate().map(|(n, c)| format!("c{n} {}", c.cast));
        let looked_up = self.looked_up.iter().enumerate().map(|(n, c)| format!("x{n} {}", c.cast));
        let all = ["hw_n bigint".to_string()].into_iter().chain(matched).chain(carried).chain(looked_up);
        Some(make_temporary(&self.resolved(), &all.collect::<Vec<_>>()))
    }

    /// `changed` as a part of WITH. Rows are picked before they are converted, so that one that can't
    /// be converted fails alone.
    pub(super) fn changed(&self, which: Which, pick: Pick<'_>) -> String {
        let columns: String =
            self.shown.iter().map(|s| format!(", {}::{} AS {}", s.at, s.cast, s.name)).collect();
        format!(
            "changed AS MATERIALIZED (SELECT hw_n{columns} FROM (SELECT * FROM {} OFFSET 0) AS hw_s)",
            self.picked(which, pick)
        )
    }

    /// Looks columns up for the present rows of the pick. What is kept is computed only for rows of
    /// which `stands` (a condition on `s`) does not hold.
    pub(super) fn resolve(&self, script: &mut Script, pick: Pick<'_>, stands: &str) {
        let looked_up = self.looked_up.iter().enumerate().map(|(n, c)| {
            // What comes behind stands on a line of its own, in case a comment ends the expression.
            let value = format!("({}\n)::{}", c.expression, c.cast);
            if c.kept {
                format!(
                    ", CASE WHEN changed.hw_n IN (SELECT f.hw_n FROM hw_fresh AS f) THEN {value} END AS x{n}"
                )
            } else {
                format!(", {value} AS x{n}")
            }
        });
        let values = (0..self.matched.len()).map(|n| format!(", s.m{n}"));
        let values = values.chain((0..self.carried.len()).map(|n| format!(", s.c{n}")));
        let values = values.chain((0..self.looked_up.len()).map(|n| format!(", l.x{n}")));
        script.then(format!("DELETE FROM {}", self.resolved()));
        script.then(format!(
            "WITH {}, hw_fresh AS MATERIALIZED (SELECT s.hw_n FROM {} WHERE NOT {stands}), \
             hw_looked AS MATERIALIZED (SELECT changed.hw_n{} FROM changed) \
             INSERT INTO {} SELECT s.hw_n{} FROM {} JOIN hw_looked AS l ON l.hw_n = s.hw_n",
            self.changed(Which::Present, pick),
            self.converted(Which::Present, pick, false),
            looked_up.collect::<String>(),
            self.resolved(),
            values.collect::<String>(),
            self.converted(Which::Present, pick, true),
        ));
    }
}

/// Sets the search path under which the catalogue is read: types are shown with their schema.
pub(super) const OWN_PATH: &str = "SET LOCAL search_path = pg_catalog";
