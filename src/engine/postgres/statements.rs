//! The statements that make a target table's rows equal to staged ones.
//!
//! Staged rows are converted in a subquery with `OFFSET 0`: it keeps the server from converting rows
//! that were filtered out (so that halving a batch isolates the row that can't be converted), and from
//! converting a value once for each use.

use super::connect::literal;
use super::shape::{Deferrable, Shape};

/// Joins by the key's index, whatever the statistics say: the stage has none, and a hash join would
/// read the whole target table for every batch.
const BY_INDEX: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;";

/// Leaves the choice to the planner again.
const BY_PLANNER: &str = "SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT;";

/// How many statements stand before the counts of [`Shape::equalise`]: those of [`BY_INDEX`].
pub(super) const EQUALISE_FIRST: usize = 2;

/// Which staged rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Present,
    Absent,
}

impl Shape {
    /// The stage's name.
    pub(super) fn stage(&self) -> String {
        format!("pg_temp.hw_stage_{}", self.tag)
    }

    /// The name of the table that holds rows lifted out.
    pub(super) fn lifted(&self) -> String {
        format!("pg_temp.hw_lift_{}", self.tag)
    }

    /// The name of the table that holds the source's keys.
    pub(super) fn keys(&self) -> String {
        format!("pg_temp.hw_keys_{}", self.tag)
    }

    /// The name of the table that holds a keyless table's rows.
    pub(super) fn rows(&self) -> String {
        format!("pg_temp.hw_rows_{}", self.tag)
    }

    /// How the planner is to join the stage with the table.
    fn join_how(&self) -> &'static str {
        if self.indexed { BY_INDEX } else { BY_PLANNER }
    }

    /// Makes the stage where it is missing.
    pub(super) fn make_stage(&self) -> String {
        let keys = self.key.iter().enumerate().map(|(n, k)| format!("k{n} {}", k.staged));
        let columns = self.carried.iter().enumerate().map(|(n, c)| format!("c{n} {}", c.staged));
        let all: Vec<String> = ["hw_xid bigint", "hw_n bigint", "hw_present boolean"]
            .into_iter()
            .map(str::to_string)
            .chain(keys)
            .chain(columns)
            .collect();
        make_temporary(&self.stage(), &all)
    }

    /// Makes the table that holds the source's keys, where it is missing.
    pub(super) fn make_keys(&self) -> String {
        let keys: Vec<String> =
            self.key.iter().enumerate().map(|(n, k)| format!("k{n} {}", k.staged)).collect();
        make_temporary(&self.keys(), &keys)
    }

    /// Makes the table that holds a keyless table's rows, where it is missing.
    pub(super) fn make_rows(&self) -> String {
        let columns: Vec<String> =
            self.carried.iter().enumerate().map(|(n, c)| format!("c{n} {}", c.staged)).collect();
        make_temporary(&self.rows(), &columns)
    }

    /// Makes the table for rows lifted out, where it is missing.
    pub(super) fn make_lifted(&self) -> String {
        let columns: Vec<String> =
            self.writable().enumerate().map(|(n, name)| format!("t.{name} AS l{n}")).collect();
        format!(
            "CREATE TEMP TABLE IF NOT EXISTS {} AS SELECT 0::bigint AS hw_n, {} FROM {} t WITH NO DATA",
            self.lifted(),
            columns.join(", "),
            self.table
        )
    }

    /// The COPY that fills `into`, a table or a table with its columns.
    pub(super) fn copy_into(&self, into: &str) -> String {
        let form = if self.binary { "binary" } else { "text" };
        format!("COPY {into} FROM STDIN (FORMAT {form})")
    }

    /// The table with its carried columns.
    pub(super) fn table_columns(&self) -> String {
        format!("{} ({})", self.table, self.carried_names())
    }

    /// Deletes, updates and inserts. Their counts stand at the places from [`EQUALISE_FIRST`] on.
    pub(super) fn equalise(&self, numbers: Option<&[i64]>) -> String {
        format!(
            "{} {}; {}; {}; {BY_PLANNER}",
            self.join_how(),
            self.delete(numbers),
            self.update(numbers).unwrap_or_else(|| "SELECT WHERE false".to_string()),
            self.insert(numbers),
        )
    }

    fn delete(&self, numbers: Option<&[i64]>) -> String {
        format!(
            "DELETE FROM {}{} AS t USING {} WHERE {}",
            self.only,
            self.table,
            self.staged(Which::Absent, numbers, false),
            self.same_key()
        )
    }

    /// Updates in place the rows that differ in any bit; `None` when no column can differ.
    fn update(&self, numbers: Option<&[i64]>) -> Option<String> {
        let sets: Vec<String> = self
            .carried
            .iter()
            .enumerate()
            .filter(|(_, c)| !c.always)
            .map(|(n, c)| format!("{} = s.c{n}", c.name))
            .collect();
        if sets.is_empty() {
            return None;
        }
        let differs = self.differs(|c| !c.always)?;
        let fixed =
            self.differs(|c| c.always && !c.in_key).map_or(String::new(), |d| format!(" AND NOT ({d})"));
        Some(format!(
            "UPDATE {}{} AS t SET {} FROM {} WHERE {} AND {differs}{fixed}",
            self.only,
            self.table,
            sets.join(", "),
            self.staged(Which::Present, numbers, true),
            self.same_key()
        ))
    }

    fn insert(&self, numbers: Option<&[i64]>) -> String {
        format!(
            "INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT {} FROM {} \
             WHERE NOT EXISTS (SELECT FROM {}{} AS t WHERE {})",
            self.table_columns(),
            self.carried_values(),
            self.staged(Which::Present, numbers, true),
            self.only,
            self.table,
            self.same_key()
        )
    }

    /// Finds a staged row whose GENERATED ALWAYS identity differs: an UPDATE can't change it.
    pub(super) fn fixed_differs(&self, numbers: Option<&[i64]>) -> Option<String> {
        let differs = self.differs(|c| c.always && !c.in_key)?;
        Some(format!(
            "{} SELECT s.hw_n FROM {} JOIN {}{} AS t ON {} WHERE {differs} LIMIT 1; {BY_PLANNER}",
            self.join_how(),
            self.staged(Which::Present, numbers, true),
            self.only,
            self.table,
            self.same_key()
        ))
    }

    /// Finds a row of the staged keys that collides with another under a constraint that the server
    /// leaves unchecked where triggers are silenced.
    pub(super) fn collides(&self, constraint: &Deferrable, numbers: Option<&[i64]>) -> String {
        let collide: Vec<String> =
            constraint.columns.iter().map(|(name, op)| format!("o.{name} {op} t.{name}")).collect();
        format!(
            "{} SELECT s.hw_n FROM {} JOIN {only}{table} AS t ON {} JOIN {only}{table} AS o ON {} \
             WHERE (o.tableoid, o.ctid) <> (t.tableoid, t.ctid) LIMIT 1; {BY_PLANNER}",
            self.join_how(),
            self.staged(Which::Present, numbers, false),
            self.same_key(),
            collide.join(" AND "),
            only = self.only,
            table = self.table,
        )
    }

    /// Moves the target's rows of the staged keys into the table for lifted ones.
    pub(super) fn lift(&self, numbers: Option<&[i64]>) -> String {
        let all: Vec<String> = self.writable().map(|name| format!("t.{name}")).collect();
        format!(
            "{} WITH gone AS (DELETE FROM {}{} AS t USING {} WHERE {} RETURNING s.hw_n, {}) \
             INSERT INTO {} SELECT * FROM gone; {BY_PLANNER}",
            self.join_how(),
            self.only,
            self.table,
            self.staged(Which::All, numbers, false),
            self.same_key(),
            all.join(", "),
            self.lifted()
        )
    }

    /// Puts lifted rows back with their staged values, inserts those that were not there, and forgets
    /// lifted ones that are to be absent: three counts, in this order.
    pub(super) fn put(&self, numbers: Option<&[i64]>) -> [String; 4] {
        let lifted = self.lifted();
        let own: String = self.own_columns().map(|(n, _)| format!(", l.l{n}")).collect();
        let own_names: String = self.own_columns().map(|(_, name)| format!(", {name}")).collect();
        let staged = self.staged(Which::Present, numbers, true);
        let forget = |which| {
            format!(
                "DELETE FROM {lifted} AS l USING {} WHERE l.hw_n = s.hw_n",
                self.staged(which, numbers, false)
            )
        };
        [
            format!(
                "INSERT INTO {} ({}{own_names}) OVERRIDING SYSTEM VALUE SELECT {}{own} FROM {staged} \
                 JOIN {lifted} AS l ON l.hw_n = s.hw_n",
                self.table,
                self.carried_names(),
                self.carried_values(),
            ),
            format!(
                "INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT {} FROM {staged} \
                 WHERE NOT EXISTS (SELECT FROM {lifted} AS l WHERE l.hw_n = s.hw_n)",
                self.table_columns(),
                self.carried_values(),
            ),
            forget(Which::Absent),
            forget(Which::Present),
        ]
    }

    /// Puts lifted rows back as they were, and forgets them.
    pub(super) fn put_back(&self, numbers: &[i64]) -> String {
        let names: Vec<&str> = self.writable().collect();
        let values: Vec<String> = (0..names.len()).map(|n| format!("l{n}")).collect();
        let these = among(Some(numbers));
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {lifted} WHERE true{these}; \
             DELETE FROM {lifted} WHERE true{these}",
            self.table,
            names.join(", "),
            values.join(", "),
            lifted = self.lifted(),
        )
    }

    /// Deletes target rows whose key is not among the source's.
    pub(super) fn prune(&self) -> String {
        let casts: Vec<String> =
            self.key.iter().enumerate().map(|(n, k)| format!("k{n}::{} AS k{n}", k.cast)).collect();
        format!(
            "ANALYZE {keys}; DELETE FROM {}{} AS t WHERE NOT EXISTS \
             (SELECT FROM (SELECT {} FROM {keys} OFFSET 0) AS s WHERE {})",
            self.only,
            self.table,
            casts.join(", "),
            self.same_key(),
            keys = self.keys(),
        )
    }

    /// Deletes surplus rows, then inserts missing ones, duplicates counted. Rows are compared by a
    /// digest of their text, which every type has.
    pub(super) fn replace(&self) -> [String; 2] {
        let digest =
            |values: &str| format!("pg_catalog.sha256(pg_catalog.convert_to(ROW({values})::text, 'UTF8'))");
        let theirs: Vec<String> = self.carried.iter().map(|c| format!("t.{}::{}", c.name, c.cast)).collect();
        let casts: Vec<String> =
            self.carried.iter().enumerate().map(|(n, c)| format!("c{n}::{} AS c{n}", c.cast)).collect();
        let ours: Vec<String> = (0..self.carried.len()).map(|n| format!("n.c{n}")).collect();
        let present = format!(
            "SELECT t.tableoid AS tab, t.ctid AS place, {} AS digest FROM {}{} AS t",
            digest(&theirs.join(", ")),
            self.only,
            self.table
        );
        let wanted = format!(
            "SELECT n.*, {} AS digest FROM (SELECT {} FROM {} OFFSET 0) AS n",
            digest(&ours.join(", ")),
            casts.join(", "),
            self.rows()
        );
        let numbered = "row_number() OVER (PARTITION BY digest) AS nth";
        [
            format!(
                "DELETE FROM {}{} AS t USING (SELECT p.tab, p.place FROM (SELECT *, {numbered} FROM ({present}) AS p) AS p \
                 LEFT JOIN (SELECT digest, count(*) AS times FROM ({wanted}) AS w GROUP BY digest) AS w USING (digest) \
                 WHERE p.nth > coalesce(w.times, 0)) AS surplus \
                 WHERE t.ctid = surplus.place AND t.tableoid = surplus.tab",
                self.only, self.table
            ),
            format!(
                "INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT {} FROM (SELECT *, {numbered} FROM ({wanted}) AS w) AS s \
                 LEFT JOIN (SELECT digest, count(*) AS times FROM ({present}) AS p GROUP BY digest) AS p USING (digest) \
                 WHERE s.nth > coalesce(p.times, 0)",
                self.table_columns(),
                self.carried_values()
            ),
        ]
    }

    /// The numbers in the stage, or the keys of `numbers` in the engine's own notation.
    pub(super) fn staged_keys(&self, numbers: &[i64]) -> String {
        // Not a cast to text, which strips the padding of char and renames booleans.
        let keys: Vec<String> =
            (0..self.key.len()).map(|n| format!("pg_catalog.format('%s', k{n})")).collect();
        format!(
            "SELECT hw_n::text, {} FROM {} WHERE true{}",
            keys.join(", "),
            self.stage(),
            among(Some(numbers))
        )
    }

    /// Staged rows as `s`: their number, key and (where `values`) carried columns, converted.
    fn staged(&self, which: Which, numbers: Option<&[i64]>, values: bool) -> String {
        let mut columns = vec!["hw_n".to_string()];
        columns.extend(self.key.iter().enumerate().map(|(n, k)| format!("k{n}::{} AS k{n}", k.cast)));
        if values {
            columns.extend(self.carried.iter().enumerate().map(|(n, c)| format!("c{n}::{} AS c{n}", c.cast)));
        }
        let which = match which {
            Which::All => "true",
            Which::Present => "hw_present",
            Which::Absent => "NOT hw_present",
        };
        format!(
            "(SELECT {} FROM {} WHERE {which}{} OFFSET 0) AS s",
            columns.join(", "),
            self.stage(),
            among(numbers)
        )
    }

    fn same_key(&self) -> String {
        let same: Vec<String> =
            self.key.iter().enumerate().map(|(n, k)| format!("t.{} {} s.k{n}", k.name, k.equal)).collect();
        same.join(" AND ")
    }

    /// Whether the target's row `t` and the staged row `s` differ in any bit of the columns that are
    /// `compared`. Unlike equality, every type has this, and 1.0 differs from 1.00.
    fn differs(&self, compared: impl Fn(&super::shape::Carried) -> bool) -> Option<String> {
        let chosen: Vec<_> = self.carried.iter().enumerate().filter(|(_, c)| compared(c)).collect();
        if chosen.is_empty() {
            return None;
        }
        let theirs: Vec<String> = chosen.iter().map(|(_, c)| format!("t.{}::{}", c.name, c.cast)).collect();
        let ours: Vec<String> = chosen.iter().map(|(n, _)| format!("s.c{n}")).collect();
        Some(format!(
            "ROW({})::record OPERATOR(pg_catalog.*<>) ROW({})::record",
            theirs.join(", "),
            ours.join(", ")
        ))
    }

    fn carried_names(&self) -> String {
        let names: Vec<&str> = self.carried.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    }

    fn carried_values(&self) -> String {
        let values: Vec<String> = (0..self.carried.len()).map(|n| format!("s.c{n}")).collect();
        values.join(", ")
    }

    /// Every column that can be written: the carried ones, then the target's own.
    fn writable(&self) -> impl Iterator<Item = &str> {
        self.carried.iter().map(|c| c.name.as_str()).chain(self.others.iter().map(String::as_str))
    }

    /// The target's own columns, with their places among the writable ones.
    fn own_columns(&self) -> impl Iterator<Item = (usize, &str)> {
        self.writable().enumerate().skip(self.carried.len())
    }
}

/// The fingerprint of a table that is locked against alteration by the same text.
pub(super) fn lock_and_fingerprint(table: &str, stage: &str) -> String {
    let name = literal(table);
    let fingerprint = crate::engine::template::fill(
        include_str!("../../../sql/postgres/fingerprint.sql"),
        &[("table", &name)],
    );
    format!(
        "LOCK TABLE ONLY {table} IN ROW EXCLUSIVE MODE; {fingerprint} \
         SELECT pg_catalog.to_regclass({})::text",
        literal(stage)
    )
}

fn make_temporary(name: &str, columns: &[String]) -> String {
    format!("CREATE TEMP TABLE IF NOT EXISTS {name} ({})", columns.join(", "))
}

/// A condition on the stage's numbers; none is all of them.
fn among(numbers: Option<&[i64]>) -> String {
    let Some(numbers) = numbers else { return String::new() };
    let list: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!(" AND hw_n = ANY ('{{{}}}'::bigint[])", list.join(","))
}
