//! The statements that make a target table's rows equal to staged ones.
//!
//! Staged rows are converted in a subquery with `OFFSET 0`: it keeps the server from converting rows
//! that were filtered out (so that halving a batch isolates the row that can't be converted), and from
//! converting a value once for each use.

use super::connect::literal;
use super::shape::{Carried, Deferrable, Matched, Shape};
use super::whole::Whole;

/// Joins by the key's index, whatever the statistics say: the stage has none, and a hash join would
/// read the whole target table for every batch.
const BY_INDEX: [&str; 2] = ["SET LOCAL enable_hashjoin = off", "SET LOCAL enable_mergejoin = off"];

/// Leaves the choice to the planner again.
pub(super) const BY_PLANNER: [&str; 2] =
    ["SET LOCAL enable_hashjoin TO DEFAULT", "SET LOCAL enable_mergejoin TO DEFAULT"];

/// Statements that run in one go, and at which places the counts stand that matter.
#[derive(Default)]
pub(super) struct Script {
    statements: Vec<String>,
    /// The places of the statements that were marked.
    pub(super) marks: Vec<usize>,
}

impl Script {
    /// Adds a statement, or several with semicolons between.
    pub(super) fn then(&mut self, sql: impl Into<String>) {
        self.statements.push(sql.into());
    }

    /// Adds one statement of which the count matters. All before it must be single ones.
    pub(super) fn counted(&mut self, sql: impl Into<String>) {
        self.marks.push(self.statements.len());
        self.statements.push(sql.into());
    }

    /// The text to run.
    pub(super) fn sql(&self) -> String {
        self.statements.join(";\n")
    }
}

/// Some of the stage's rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pick<'a> {
    /// All rows.
    All,
    /// Those numbers.
    These(&'a [i64]),
    /// Rows that stand for target rows to go: they have negative numbers.
    Doomed,
}

impl<'a> From<Option<&'a [i64]>> for Pick<'a> {
    fn from(numbers: Option<&'a [i64]>) -> Self {
        numbers.map_or(Pick::All, Pick::These)
    }
}

/// Which staged rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
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
    pub(super) fn join_how(&self) -> String {
        if self.indexed { BY_INDEX.join("; ") } else { BY_PLANNER.join("; ") }
    }

    /// Makes the stage, and what else the rows of one batch pass through, where it is missing.
    pub(super) fn make_stage(&self) -> String {
        let keys = self.key.iter().enumerate().map(|(n, staged)| format!("k{n} {staged}"));
        let columns = self.carried.iter().enumerate().map(|(n, c)| format!("c{n} {}", c.staged));
        let also = self.also.iter().enumerate().map(|(n, staged)| format!("a{n} {staged}"));
        let all: Vec<String> = ["hw_xid bigint", "hw_n bigint", "hw_present boolean"]
            .into_iter()
            .map(str::to_string)
            .chain(keys)
            .chain(columns)
            .chain(also)
            .collect();
        let mut tables = vec![make_temporary(&self.stage(), &all)];
        tables.extend(self.make_resolved());
        tables.extend(self.make_further());
        tables.join("; ")
    }

    /// Makes the table that holds the source's keys, where it is missing.
    pub(super) fn make_keys(&self) -> String {
        let keys = self.key.iter().enumerate().map(|(n, staged)| format!("k{n} {staged}"));
        let computed = self.computed_matches().map(|m| format!("{} {}", m.at, m.staged));
        make_temporary(&self.keys(), &keys.chain(computed).collect::<Vec<_>>())
    }

    /// The columns that rows are found by in place of a column of the key.
    pub(super) fn computed_matches(&self) -> impl Iterator<Item = &Matched> {
        self.matched.iter().filter(|m| m.constant.is_none() && m.at.starts_with('c'))
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
        let names: Vec<&str> = self.carried.iter().map(|c| c.name.as_str()).collect();
        format!("{} ({})", self.table, names.join(", "))
    }

    /// Deletes, updates and inserts: three counts, in this order.
    pub(super) fn equalise(&self, pick: Pick<'_>) -> Script {
        let mut script = Script::default();
        self.by_index(&mut script);
        script.counted(if self.keeps_deleted { NOTHING.to_string() } else { self.delete(pick) });
        if !self.looked_up.is_empty() {
            by_planner(&mut script);
            self.resolve(&mut script, pick, &self.finds_row());
            self.by_index(&mut script);
        }
        script.counted(self.update(pick).unwrap_or_else(|| NOTHING.to_string()));
        script.counted(self.insert(pick));
        by_planner(&mut script);
        script
    }

    fn by_index(&self, script: &mut Script) {
        for how in if self.indexed { BY_INDEX } else { BY_PLANNER } {
            script.then(how);
        }
    }

    fn delete(&self, pick: Pick<'_>) -> String {
        format!(
            "DELETE FROM {}{} AS t USING {} WHERE {}",
            self.only,
            self.table,
            self.staged(Which::Absent, pick, false),
            self.same_key()
        )
    }

    /// Whether the staged row `s` has a row of the target, as a condition that is joined.
    pub(super) fn has_row(&self) -> String {
        format!("EXISTS (SELECT FROM {}{} AS t WHERE {})", self.only, self.table, self.same_key())
    }

    /// The same as a condition that is looked at for each staged row, where an index serves it: the
    /// planner, which is free otherwise, would read the whole target table.
    fn finds_row(&self) -> String {
        let each = if self.indexed { " OFFSET 0" } else { "" };
        format!("EXISTS (SELECT FROM {}{} AS t WHERE {}{each})", self.only, self.table, self.same_key())
    }

    /// Updates in place the rows that differ in any bit; `None` when no column can differ.
    fn update(&self, pick: Pick<'_>) -> Option<String> {
        let written = self.written();
        let sets: Vec<String> = written
            .iter()
            .filter(|w| !w.always && !w.kept)
            .map(|w| format!("{} = {}", w.name, w.value))
            .collect();
        if sets.is_empty() {
            return None;
        }
        let differs = self.differs(|w| !w.always && !w.kept)?;
        let fixed = self.differs(is_fixed).map_or(String::new(), |d| format!(" AND NOT ({d})"));
        Some(format!(
            "UPDATE {}{} AS t SET {} FROM {} WHERE {} AND {differs}{fixed}",
            self.only,
            self.table,
            sets.join(", "),
            self.staged(Which::Present, pick, true),
            self.same_key()
        ))
    }

    fn insert(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} WHERE NOT {}",
            self.table,
            self.written_names(),
            self.written_values(),
            self.staged(Which::Present, pick, true),
            self.has_row()
        )
    }

    /// Finds a staged row whose GENERATED ALWAYS identity differs: an UPDATE can't change it.
    pub(super) fn fixed_differs(&self, pick: Pick<'_>) -> Option<String> {
        let differs = self.differs(is_fixed)?;
        Some(format!(
            "{}; SELECT s.hw_n FROM {} JOIN {}{} AS t ON {} WHERE {differs} LIMIT 1; {}",
            self.join_how(),
            self.staged(Which::Present, pick, true),
            self.only,
            self.table,
            self.same_key(),
            BY_PLANNER.join("; ")
        ))
    }

    /// Finds a row of the staged keys that collides with another under a constraint that the server
    /// leaves unchecked where triggers are silenced.
    pub(super) fn collides(&self, constraint: &Deferrable, pick: Pick<'_>) -> String {
        let collide: Vec<String> =
            constraint.columns.iter().map(|(name, op)| format!("o.{name} {op} t.{name}")).collect();
        format!(
            "{}; SELECT s.hw_n FROM {} JOIN {only}{table} AS t ON {} JOIN {only}{table} AS o ON {} \
             WHERE (o.tableoid, o.ctid) <> (t.tableoid, t.ctid) LIMIT 1; {}",
            self.join_how(),
            self.staged(Which::Present, pick, false),
            self.same_key(),
            collide.join(" AND "),
            BY_PLANNER.join("; "),
            only = self.only,
            table = self.table,
        )
    }

    /// Moves the target's rows of the staged keys into the table for lifted ones: one count.
    pub(super) fn lift(&self, pick: Pick<'_>) -> Script {
        let all: Vec<String> = self.writable().map(|name| format!("t.{name}")).collect();
        let which = if self.keeps_deleted { Which::Present } else { Which::All };
        let mut script = Script::default();
        self.by_index(&mut script);
        script.counted(format!(
            "WITH gone AS (DELETE FROM {}{} AS t USING {} WHERE {} RETURNING s.hw_n, {}) \
             INSERT INTO {} SELECT * FROM gone",
            self.only,
            self.table,
            self.staged(which, pick, false),
            self.same_key(),
            all.join(", "),
            self.lifted()
        ));
        by_planner(&mut script);
        script
    }

    /// Puts lifted rows back with their staged values, inserts those that were not there, and forgets
    /// lifted ones that are to be absent: three counts, in this order.
    pub(super) fn put(&self, pick: Pick<'_>) -> Script {
        let lifted = self.lifted();
        let was_lifted = format!("EXISTS (SELECT FROM {lifted} AS l WHERE l.hw_n = s.hw_n)");
        let mut script = Script::default();
        if !self.looked_up.is_empty() {
            self.resolve(&mut script, pick, &was_lifted);
        }
        let written = self.written();
        let back =
            written.iter().enumerate().map(|(n, w)| if w.kept { format!("l.l{n}") } else { w.value.clone() });
        let own = (written.len()..written.len() + self.others.len()).map(|n| format!("l.l{n}"));
        let values: Vec<String> = back.chain(own).collect();
        let names: Vec<&str> = self.writable().collect();
        let staged = self.staged(Which::Present, pick, true);
        let forget = |which| {
            format!(
                "DELETE FROM {lifted} AS l USING {} WHERE l.hw_n = s.hw_n",
                self.staged(which, pick, false)
            )
        };
        script.counted(format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {staged} \
             JOIN {lifted} AS l ON l.hw_n = s.hw_n",
            self.table,
            names.join(", "),
            values.join(", "),
        ));
        script.counted(format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {staged} WHERE NOT {was_lifted}",
            self.table,
            self.written_names(),
            self.written_values(),
        ));
        script.counted(forget(Which::Absent));
        script.then(forget(Which::Present));
        script
    }

    /// Puts lifted rows back as they were, and forgets them.
    pub(super) fn put_back(&self, numbers: &[i64]) -> String {
        let names: Vec<&str> = self.writable().collect();
        let values: Vec<String> = (0..names.len()).map(|n| format!("l{n}")).collect();
        let these = among(Pick::These(numbers));
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {lifted} WHERE true{these}; \
             DELETE FROM {lifted} WHERE true{these}",
            self.table,
            names.join(", "),
            values.join(", "),
            lifted = self.lifted(),
        )
    }

    /// Takes rows out of the stage.
    pub(super) fn unstage(&self, pick: Pick<'_>) -> String {
        format!("DELETE FROM {} WHERE true{}", self.stage(), among(pick))
    }

    /// Deletes surplus rows, then inserts missing ones, duplicates counted: two counts.
    pub(super) fn replace(&self) -> Script {
        let compared = self.carried.iter().enumerate().filter(|(_, c)| !c.kept);
        let casts: Vec<String> = self.converted_columns().collect();
        let names: Vec<&str> = self.carried.iter().map(|c| c.name.as_str()).collect();
        let scope = self.own_rows();
        let whole = Whole {
            table: &self.table,
            only: self.only,
            scope: if scope.is_empty() { "true".to_string() } else { scope.join(" AND ") },
            wanted: format!("(SELECT {} FROM {} OFFSET 0)", casts.join(", "), self.rows()),
            theirs: compared.clone().map(|(_, c)| format!("t.{}::{}", c.name, c.cast)).collect(),
            ours: compared.map(|(n, _)| format!("n.c{n}")).collect(),
            names: names.join(", "),
            values: (0..self.carried.len()).map(|n| format!("s.c{n}")).collect::<Vec<_>>().join(", "),
        };
        let mut script = Script::default();
        script.counted(if self.keeps_deleted { NOTHING.to_string() } else { whole.delete() });
        script.counted(whole.insert());
        script
    }

    /// The numbers in the stage, or the keys of `numbers` in the engine's own notation.
    pub(super) fn staged_keys(&self, numbers: &[i64]) -> String {
        let keys: Vec<String> = (0..self.key.len()).map(|n| notation(&format!("k{n}"))).collect();
        format!(
            "SELECT hw_n::text, {} FROM {} WHERE true{}",
            keys.join(", "),
            self.stage(),
            among(Pick::These(numbers))
        )
    }

    /// Staged rows as `s`: their number, what they are found by, and (where `values`) what is written,
    /// converted. Where columns are looked up, values are those that were resolved last.
    pub(super) fn staged(&self, which: Which, pick: Pick<'_>, values: bool) -> String {
        if values && !self.looked_up.is_empty() {
            return format!("{} AS s", self.resolved());
        }
        self.converted(which, pick, values)
    }

    /// Staged rows as `s`, converted.
    pub(super) fn converted(&self, which: Which, pick: Pick<'_>, values: bool) -> String {
        let mut columns = vec!["hw_n".to_string()];
        let matched = |(n, m): (usize, &Matched)| format!("{}::{} AS m{n}", m.via.of(&m.at), m.cast);
        columns.extend(self.matched.iter().enumerate().map(matched));
        if values {
            columns.extend(self.converted_columns());
        }
        format!("(SELECT {} FROM {} OFFSET 0) AS s", columns.join(", "), self.picked(which, pick))
    }

    /// The carried columns of a staged row, converted.
    fn converted_columns(&self) -> impl Iterator<Item = String> {
        let converted = |(n, c): (usize, &Carried)| {
            format!("{}::{} AS c{n}", c.conversion.via.of(&format!("c{n}")), c.cast)
        };
        self.carried.iter().enumerate().map(converted)
    }

    /// The stage with the rows that are meant.
    pub(super) fn picked(&self, which: Which, pick: Pick<'_>) -> String {
        let which = match which {
            Which::All => "true",
            Which::Present => "hw_present",
            Which::Absent => "NOT hw_present",
        };
        format!("{} WHERE {which}{}", self.stage(), among(pick))
    }

    pub(super) fn same_key(&self) -> String {
        let same = self.matched.iter().enumerate().map(|(n, m)| format!("t.{} {} s.m{n}", m.name, m.equal));
        same.collect::<Vec<_>>().join(" AND ")
    }

    /// Whether the target's row `t` and the staged row `s` differ in any bit of the columns that are
    /// `compared`. Unlike equality, every type has this, and 1.0 differs from 1.00.
    fn differs(&self, compared: impl Fn(&Written<'_>) -> bool) -> Option<String> {
        let written = self.written();
        let chosen: Vec<_> = written.iter().filter(|w| compared(w)).collect();
        if chosen.is_empty() {
            return None;
        }
        let theirs: Vec<String> = chosen.iter().map(|w| format!("t.{}::{}", w.name, w.cast)).collect();
        let ours: Vec<&str> = chosen.iter().map(|w| w.value.as_str()).collect();
        Some(format!(
            "ROW({})::record OPERATOR(pg_catalog.*<>) ROW({})::record",
            theirs.join(", "),
            ours.join(", ")
        ))
    }

    /// The columns that are written: the carried ones, then those that are looked up.
    fn written(&self) -> Vec<Written<'_>> {
        let carried = self.carried.iter().enumerate().map(|(n, c)| Written {
            name: &c.name,
            cast: &c.cast,
            value: format!("s.c{n}"),
            always: c.always,
            in_key: c.in_key,
            kept: c.kept,
        });
        let looked_up = self.looked_up.iter().enumerate().map(|(n, c)| Written {
            name: &c.name,
            cast: &c.cast,
            value: format!("s.x{n}"),
            always: c.always,
            in_key: false,
            kept: c.kept,
        });
        carried.chain(looked_up).collect()
    }

    fn written_names(&self) -> String {
        self.written().iter().map(|w| w.name).collect::<Vec<_>>().join(", ")
    }

    fn written_values(&self) -> String {
        self.written().into_iter().map(|w| w.value).collect::<Vec<_>>().join(", ")
    }

    /// Every column that can be written: those that are, then the target's own.
    fn writable(&self) -> impl Iterator<Item = &str> {
        let written = self.carried.iter().map(|c| c.name.as_str());
        let looked_up = self.looked_up.iter().map(|c| c.name.as_str());
        written.chain(looked_up).chain(self.others.iter().map(String::as_str))
    }
}

/// A column that is written.
struct Written<'a> {
    name: &'a str,
    cast: &'a str,
    /// Its value in the staged row `s`.
    value: String,
    always: bool,
    in_key: bool,
    kept: bool,
}

/// Whether no UPDATE may change what should be changed.
fn is_fixed(column: &Written<'_>) -> bool {
    column.always && !column.in_key && !column.kept
}

/// A statement that does nothing, in the place of one that counts.
const NOTHING: &str = "SELECT WHERE false";

fn by_planner(script: &mut Script) {
    for how in BY_PLANNER {
        script.then(how);
    }
}

/// A value in the notation of keys: not as a cast to text has it, which strips the padding of char and
/// renames booleans.
pub(super) fn notation(value: &str) -> String {
    format!("pg_catalog.format('%s', {value})")
}

/// The fingerprint of a table that is locked against alteration by the same text, with its further
/// targets: whether the stage is there, then one fingerprint for each table.
pub(super) fn lock_and_fingerprint(table: &str, stage: &str, further: &[String]) -> String {
    let fingerprint = |table: &str| {
        let name = literal(table);
        crate::engine::template::fill(
            include_str!("../../../sql/postgres/fingerprint.sql"),
            &[("table", &name)],
        )
    };
    let locks: String = further.iter().map(|name| format!(", ONLY {name}")).collect();
    let others: String = further
        .iter()
        .map(|name| format!("; {}", fingerprint(name).trim_end().trim_end_matches(';')))
        .collect();
    format!(
        "LOCK TABLE ONLY {table}{locks} IN ROW EXCLUSIVE MODE; {} \
         SELECT pg_catalog.to_regclass({})::text{others}",
        fingerprint(table),
        literal(stage)
    )
}

pub(super) fn make_temporary(name: &str, columns: &[String]) -> String {
    format!("CREATE TEMP TABLE IF NOT EXISTS {name} ({})", columns.join(", "))
}

/// A condition on the stage's numbers; none is all of them.
pub(super) fn among(pick: Pick<'_>) -> String {
    match pick {
        Pick::All => String::new(),
        Pick::Doomed => " AND hw_n < 0".to_string(),
        Pick::These(numbers) => {
            let list: Vec<String> = numbers.iter().map(i64::to_string).collect();
            format!(" AND hw_n = ANY ('{{{}}}'::bigint[])", list.join(","))
        }
    }
}
