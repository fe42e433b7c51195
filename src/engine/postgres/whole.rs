//! Rows that have no key, or none that is used: they are compared as a whole, duplicates counted, and
//! those that are the same stay untouched.

/// What is compared with what.
pub(super) struct Whole<'a> {
    /// The target table.
    pub(super) table: &'a str,
    /// `ONLY ` where rows of heirs are not the table's own.
    pub(super) only: &'a str,
    /// The condition on the rows `t` that are meant.
    pub(super) scope: String,
    /// The rows that should stand there, as a table expression without an alias.
    pub(super) wanted: String,
    /// The values of a row `t` by which it is compared.
    pub(super) theirs: Vec<String>,
    /// The values of a wanted row `n` by which it is compared.
    pub(super) ours: Vec<String>,
    /// The columns that are inserted.
    pub(super) names: String,
    /// Their values in a wanted row `s`.
    pub(super) values: String,
}

/// Tells rows of the same digest apart.
const NUMBERED: &str = "row_number() OVER (PARTITION BY digest) AS nth";

impl Whole<'_> {
    /// Deletes surplus rows.
    pub(super) fn delete(&self) -> String {
        format!(
            "DELETE FROM {}{} AS t USING (SELECT p.tab, p.place FROM (SELECT *, {NUMBERED} FROM ({}) AS p) AS p \
             LEFT JOIN (SELECT digest, count(*) AS times FROM ({}) AS w GROUP BY digest) AS w USING (digest) \
             WHERE p.nth > coalesce(w.times, 0)) AS surplus \
             WHERE t.ctid = surplus.place AND t.tableoid = surplus.tab",
            self.only,
            self.table,
            self.present(),
            self.wanted()
        )
    }

    /// Inserts missing rows.
    pub(super) fn insert(&self) -> String {
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM (SELECT *, {NUMBERED} FROM ({}) AS w) AS s \
             LEFT JOIN (SELECT digest, count(*) AS times FROM ({}) AS p GROUP BY digest) AS p USING (digest) \
             WHERE s.nth > coalesce(p.times, 0)",
            self.table,
            self.names,
            self.values,
            self.wanted(),
            self.present()
        )
    }

    fn present(&self) -> String {
        format!(
            "SELECT t.tableoid AS tab, t.ctid AS place, {} AS digest FROM {}{} AS t WHERE {}",
            digest(&self.theirs),
            self.only,
            self.table,
            self.scope
        )
    }

    fn wanted(&self) -> String {
        format!("SELECT n.*, {} AS digest FROM {} AS n", digest(&self.ours), self.wanted)
    }
}

/// A digest of the row's text, which every type has.
fn digest(values: &[String]) -> String {
    format!("pg_catalog.sha256(pg_catalog.convert_to(ROW({})::text, 'UTF8'))", values.join(", "))
}
