//! Further targets: the rows that a table's rule puts into other tables.

use sqlx::PgConnection;

use super::catalog;
use super::probe::one_statement;
use super::shape::{Found, Shape, read_columns};
use super::statements::{Pick, Script, Which, make_temporary};
use super::whole::Whole;
use crate::error::{Error, Result};
use crate::model::{Into, quote};

/// A further target.
#[derive(Debug, Clone)]
pub(super) struct Further {
    /// Its quoted name.
    pub(super) table: String,
    only: &'static str,
    /// The columns that say whose a row is.
    matches: Vec<Match>,
    /// The columns that are written.
    columns: Vec<Written>,
    /// The places among those of the columns by which rows are found again.
    key: Vec<usize>,
    select: String,
}

/// A column that says whose a row is.
#[derive(Debug, Clone)]
struct Match {
    /// Its place among the columns that are written.
    place: usize,
    /// SQL over `changed`.
    expression: String,
}

/// A column that is written.
#[derive(Debug, Clone)]
struct Written {
    name: String,
    cast: String,
    equal: String,
    always: bool,
    nullable: bool,
}

impl Further {
    /// Reads what must be known of a further target.
    pub(super) async fn read(
        connection: &mut PgConnection,
        into: &Into,
        failed: impl Fn(sqlx::Error) -> Error,
    ) -> Result<Further> {
        let table = into.target.sql();
        let found = read_columns(connection, &table).await.map_err(&failed)?;
        let names: Vec<String> = into.columns.iter().map(|c| c.name.clone()).collect();
        let compared = catalog::key_columns(connection, &into.target, &names).await.map_err(&failed)?;
        let column = |name: &String| -> Result<Written> {
            let found: &Found = found.iter().find(|f| &f.name == name).ok_or_else(|| missing(into, name))?;
            let compared = compared.iter().find(|c| &c.name == name);
            Ok(Written {
                name: quote(name),
                cast: found.type_name.clone(),
                equal: compared.map_or("OPERATOR(pg_catalog.=)", |c| c.equal.as_str()).to_string(),
                always: found.always,
                nullable: !found.not_null,
            })
        };
        let place = |name: &String| names.iter().position(|n| n == name).ok_or_else(|| missing(into, name));
        let matches = into
            .matches
            .iter()
            .map(|(name, expression)| Ok(Match { place: place(name)?, expression: expression.clone() }));
        Ok(Further {
            only: if found.iter().any(|c| c.partitioned) { "" } else { "ONLY " },
            matches: matches.collect::<Result<_>>()?,
            columns: names.iter().map(column).collect::<Result<_>>()?,
            key: into.key.iter().map(place).collect::<Result<_>>()?,
            select: one_statement(&into.select).to_string(),
            table,
        })
    }

    /// The match values of the rows of `changed`.
    fn matched(&self) -> String {
        let values = self
            .matches
            .iter()
            .map(|m| format!(", ({}\n)::{} AS w{}", m.expression, self.columns[m.place].cast, m.place));
        format!("SELECT changed.hw_n{} FROM changed", values.collect::<String>())
    }

    /// Whether `left` and `right` (aliases) are one key's. NULL is nobody's.
    fn same_owner(&self, left: impl Fn(usize) -> String, right: &str) -> String {
        let same = self
            .matches
            .iter()
            .map(|m| format!("{} {} {right}.w{}", left(m.place), self.columns[m.place].equal, m.place));
        same.collect::<Vec<_>>().join(" AND ")
    }

    /// The column at that place of the target's row `t`.
    fn their(&self, place: usize) -> String {
        format!("t.{}", self.columns[place].name)
    }

    /// Whether the target's row `t` and the wanted row `w` have the same key.
    fn same_key(&self) -> String {
        let same = self.key.iter().map(|n| {
            let (column, theirs) = (&self.columns[*n], self.their(*n));
            let equal = format!("{theirs} {} w.w{n}", column.equal);
            if column.nullable { format!("({equal} OR {theirs} IS NULL AND w.w{n} IS NULL)") } else { equal }
        });
        same.collect::<Vec<_>>().join(" AND ")
    }
}

fn missing(into: &Into, name: &str) -> Error {
    Error::table(format!("the target table {} has no column `{name}`, or `select` yields none", into.target))
        .remedy("`highwater plan` shows both sides as they are now")
}

impl Shape {
    fn owners(&self, place: usize) -> String {
        format!("pg_temp.hw_own{place}_{}", self.tag)
    }

    fn wanted(&self, place: usize) -> String {
        format!("pg_temp.hw_want{place}_{}", self.tag)
    }

    /// Makes the tables that rows of further targets pass through, where they are missing.
    pub(super) fn make_further(&self) -> Vec<String> {
        let mut made = Vec::new();
        for (place, further) in self.further.iter().enumerate() {
            let column = |n: usize| format!("w{n} {}", further.columns[n].cast);
            let owners = further.matches.iter().map(|m| column(m.place));
            let owners = ["hw_n bigint".to_string()].into_iter().chain(owners).collect::<Vec<_>>();
            made.push(make_temporary(&self.owners(place), &owners));
            let wanted: Vec<String> = (0..further.columns.len()).map(column).collect();
            made.push(make_temporary(&self.wanted(place), &wanted));
        }
        made
    }

    /// The names of those tables.
    pub(super) fn further_tables(&self) -> Vec<String> {
        (0..self.further.len()).flat_map(|place| [self.owners(place), self.wanted(place)]).collect()
    }

    /// Deletes what belongs to absent keys in further targets: whose it is is asked for all before
    /// anything goes, and the last target goes first.
    pub(super) fn take_away(&self, pick: Pick<'_>) -> Script {
        let mut script = Script::default();
        self.find_owners(&mut script, Which::Absent, pick);
        for (place, further) in self.further.iter().enumerate().rev() {
            let owners = self.owners(place);
            script.then(format!("ANALYZE {owners}"));
            script.then(format!(
                "DELETE FROM {}{} AS t USING {owners} AS o WHERE {}",
                further.only,
                further.table,
                further.same_owner(|n| further.their(n), "o")
            ));
        }
        script
    }

    fn find_owners(&self, script: &mut Script, which: Which, pick: Pick<'_>) {
        for (place, further) in self.further.iter().enumerate() {
            let owners = self.owners(place);
            script.then(format!("DELETE FROM {owners}"));
            script.then(format!(
                "WITH {} INSERT INTO {owners} {}",
                self.changed(which, pick),
                further.matched()
            ));
        }
    }

    /// Finds what should stand in the further targets for present keys.
    pub(super) fn want(&self, pick: Pick<'_>) -> Script {
        let mut script = Script::default();
        self.find_owners(&mut script, Which::Present, pick);
        for (place, further) in self.further.iter().enumerate() {
            let wanted = self.wanted(place);
            let names: Vec<String> = (0..further.columns.len()).map(|n| format!("w{n}")).collect();
            let values: Vec<String> =
                further.columns.iter().enumerate().map(|(n, c)| format!("q.w{n}::{}", c.cast)).collect();
            script.then(format!("DELETE FROM {wanted}"));
            script.then(format!(
                "WITH {} INSERT INTO {wanted} SELECT {} FROM ({}\n) AS q({})",
                self.changed(Which::Present, pick),
                values.join(", "),
                further.select,
                names.join(", ")
            ));
            script.then(format!("ANALYZE {}, {wanted}", self.owners(place)));
        }
        script
    }

    /// Finds a wanted row that is nobody's, then one that has another's key: two statements for each
    /// further target that has a key, else one.
    pub(super) fn strays(&self, place: usize) -> [Option<String>; 2] {
        let Some(further) = self.further.get(place) else { return [None, None] };
        let (owners, wanted) = (self.owners(place), self.wanted(place));
        let key: Vec<String> = further.key.iter().map(|n| format!("w{n}")).collect();
        let twice = format!("SELECT 1 FROM {wanted} GROUP BY {} HAVING count(*) > 1 LIMIT 1", key.join(", "));
        [
            Some(format!(
                "SELECT 1 FROM {wanted} AS w WHERE NOT EXISTS (SELECT FROM {owners} AS o WHERE {}) LIMIT 1",
                further.same_owner(|n| format!("w.w{n}"), "o")
            )),
            (!key.is_empty()).then_some(twice),
        ]
    }

    /// Makes the further targets hold what is wanted: what is not goes, the last target's first.
    pub(super) fn bring(&self) -> Script {
        let mut script = Script::default();
        for (place, further) in self.further.iter().enumerate().rev() {
            script.then(if further.key.is_empty() {
                self.whole(place, further).delete()
            } else {
                self.delete_unwanted(place, further)
            });
        }
        for (place, further) in self.further.iter().enumerate() {
            if further.key.is_empty() {
                script.then(self.whole(place, further).insert());
            } else {
                self.update_and_insert(&mut script, place, further);
            }
        }
        script
    }

    /// The condition that a target row `t` is a present key's.
    fn in_scope(&self, place: usize, further: &Further) -> String {
        format!(
            "EXISTS (SELECT FROM {} AS o WHERE {})",
            self.owners(place),
            further.same_owner(|n| further.their(n), "o")
        )
    }

    fn delete_unwanted(&self, place: usize, further: &Further) -> String {
        format!(
            "DELETE FROM {}{} AS t WHERE {} AND NOT EXISTS (SELECT FROM {} AS w WHERE {})",
            further.only,
            further.table,
            self.in_scope(place, further),
            self.wanted(place),
            further.same_key()
        )
    }

    fn update_and_insert(&self, script: &mut Script, place: usize, further: &Further) {
        let (only, table, wanted) = (further.only, &further.table, self.wanted(place));
        let changeable: Vec<(usize, &Written)> =
            further.columns.iter().enumerate().filter(|(_, c)| !c.always).collect();
        let list = |one: &dyn Fn(usize, &Written) -> String| {
            changeable.iter().map(|(n, c)| one(*n, c)).collect::<Vec<_>>().join(", ")
        };
        if !changeable.is_empty() {
            script.then(format!(
                "UPDATE {only}{table} AS t SET {} FROM {wanted} AS w WHERE {} AND {} \
                 AND ROW({})::record OPERATOR(pg_catalog.*<>) ROW({})::record",
                list(&|n, c| format!("{} = w.w{n}", c.name)),
                further.same_key(),
                self.in_scope(place, further),
                list(&|_, c| format!("t.{}::{}", c.name, c.cast)),
                list(&|n, _| format!("w.w{n}")),
            ));
        }
        // A row of that key that is somebody else's is in the way: the server refuses a second one.
        let names: Vec<&str> = further.columns.iter().map(|c| c.name.as_str()).collect();
        let values: Vec<String> = (0..further.columns.len()).map(|n| format!("w.w{n}")).collect();
        script.then(format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {wanted} AS w \
             WHERE NOT EXISTS (SELECT FROM {only}{table} AS t WHERE {} AND {})",
            names.join(", "),
            values.join(", "),
            further.same_key(),
            further.same_owner(|n| further.their(n), "w")
        ));
    }

    fn whole(&self, place: usize, further: &Further) -> Whole<'_> {
        let names: Vec<&str> = further.columns.iter().map(|c| c.name.as_str()).collect();
        let all = |one: &dyn Fn(usize, &Written) -> String| -> Vec<String> {
            further.columns.iter().enumerate().map(|(n, c)| one(n, c)).collect()
        };
        Whole {
            table: &self.further[place].table,
            only: further.only,
            scope: self.in_scope(place, further),
            wanted: self.wanted(place),
            theirs: all(&|_, c| format!("t.{}::{}", c.name, c.cast)),
            ours: all(&|n, _| format!("n.w{n}")),
            names: names.join(", "),
            values: all(&|n, _| format!("s.w{n}")).join(", "),
        }
    }
}
