//! Further targets of a table: wherever the matched columns are those of a key stand just the rows that
//! the rule's select yields for it.
//!
//! What is matched and what is wanted waits in temporary tables. Wanted rows wait with the target's types,
//! so that they compare with its rows as they would stand there.

use super::catalog::Shape;
use super::connect::Session;
use super::replace::content;
use super::select::enclosed;
use super::stage::{Pick, Staging};
use super::value;
use crate::error::{Error, Result};
use crate::model::{Into, TablePlan, quote};

/// A further target with its temporary tables.
#[derive(Debug, Clone)]
pub(super) struct Further {
    /// The table, as errors name it.
    pub(super) name: String,
    table: String,
    /// What tells a row, as SQL.
    identity: Vec<String>,
    /// Matched columns, as SQL, with SQL over `changed`.
    matches: Vec<(String, String)>,
    /// The types of matched columns, collation included.
    match_kinds: Vec<String>,
    select: String,
    /// The columns, as SQL, with their types, collation included.
    columns: Vec<(String, String)>,
    /// Those by which a row is found again, as SQL.
    key: Vec<String>,
    /// What is matched: `hw_n`, `m1`, ..
    matched: String,
    /// The wanted rows, with the target's names.
    wanted: String,
    /// Makes the indexes of both.
    indexes: Vec<String>,
}

impl Further {
    /// The further target with that number, which has that shape.
    ///
    /// # Errors
    /// [`crate::error::Kind::Table`] when its rows can't be told from each other.
    pub(super) fn new(table: &TablePlan, number: usize, into: &Into, shape: &Shape) -> Result<Self> {
        let identity = shape.row_identity();
        if identity.is_empty() {
            let what = format!("{}: nothing tells the rows of {} apart", table.label(), into.target);
            return Err(Error::table(what).remedy("give it a primary key"));
        }
        let kind = |name: &str| {
            let kind = shape.column(name).map_or("BLOB", |c| shape.affinity(c));
            format!("{kind}{}", shape.key_collation(name).unwrap_or_default())
        };
        let bare = |of: &str| quote(&format!("hw_{of}_{number}_{}", table.source.name));
        let index = |of: &str, columns: Vec<String>| {
            let (index, table) = (bare(&format!("{of}_index")), bare(of));
            let sql = || format!("CREATE INDEX temp.{index} ON {table} ({})", columns.join(", "));
            (!columns.is_empty()).then(sql)
        };
        let matched = (1..=into.matches.len()).map(|m| format!("m{m}")).collect();
        let found = into.key.iter().map(|c| quote(c)).collect();
        let temp = |of: &str| format!("temp.{}", bare(of));
        Ok(Further {
            indexes: index("match", matched).into_iter().chain(index("want", found)).collect(),
            match_kinds: into.matches.iter().map(|(c, _)| kind(c)).collect(),
            name: into.target.to_string(),
            table: format!("main.{}", quote(&shape.name)),
            identity,
            matches: into.matches.iter().map(|(c, sql)| (quote(c), enclosed(sql))).collect(),
            select: into.select.clone(),
            columns: into.columns.iter().map(|c| (quote(&c.name), kind(&c.name))).collect(),
            key: into.key.iter().map(|c| quote(c)).collect(),
            matched: temp("match"),
            wanted: temp("want"),
        })
    }

    /// The temporary tables.
    pub(super) fn tables(&self) -> [&str; 2] {
        [&self.matched, &self.wanted]
    }

    /// Makes the temporary tables anew.
    pub(super) async fn make(&self, session: &mut Session) -> Result<(), sqlx::Error> {
        let matched = self.match_kinds.iter().enumerate();
        let matched = value::join(matched.map(|(i, kind)| format!(", m{} {kind}", i + 1)), "");
        let wanted = value::join(self.columns.iter().map(|(c, kind)| format!("{c} {kind}")), ", ");
        for (table, columns) in
            [(&self.matched, format!("hw_n INTEGER PRIMARY KEY{matched}")), (&self.wanted, wanted)]
        {
            session.run(format!("DROP TABLE IF EXISTS {table}")).await?;
            session.run(format!("CREATE TABLE {table} ({columns})")).await?;
        }
        for index in &self.indexes {
            session.run(index.clone()).await?;
        }
        Ok(())
    }

    /// Empties the temporary tables.
    pub(super) fn clear(&self) -> [String; 2] {
        self.tables().map(|table| format!("DELETE FROM {table}"))
    }

    /// Notes what is matched for picked keys: those that are present, or the others.
    pub(super) fn note_matched(&self, staging: &Staging, pick: Pick<'_>, present: bool) -> String {
        format!(
            "INSERT INTO {} {} SELECT hw_n{} FROM changed",
            self.matched,
            staging.changed(pick, present, true),
            value::join(self.matches.iter().map(|(_, sql)| format!(", {sql}")), "")
        )
    }

    /// Deletes the rows that are matched.
    pub(super) fn delete_matched(&self) -> String {
        self.delete("")
    }

    /// Computes the rows that are wanted for picked keys.
    pub(super) fn note_wanted(&self, staging: &Staging, pick: Pick<'_>) -> String {
        // Behind the select's name, as a bare quoted name that nothing has would be a text.
        let columns = self.columns.iter().map(|(c, _)| format!("hw_s.{c}"));
        format!(
            "INSERT INTO {} {} SELECT {} FROM {} AS hw_s",
            self.wanted,
            staging.changed(pick, true, false),
            value::join(columns, ", "),
            enclosed(&self.select)
        )
    }

    /// Counts wanted rows that `match` would not find again.
    pub(super) fn count_strange(&self) -> String {
        let same = self.same("w", "m");
        format!(
            "SELECT count(*) FROM {} AS w WHERE NOT EXISTS (SELECT 1 FROM {} AS m WHERE {same})",
            self.wanted, self.matched
        )
    }

    /// Counts the keys that several wanted rows have.
    pub(super) fn count_doubled(&self) -> Option<String> {
        let null = value::join(self.key.iter().map(|k| format!("{k} IS NULL")), " OR ");
        (!self.key.is_empty()).then(|| {
            format!(
                "SELECT count(*) FROM (SELECT 1 FROM {} WHERE NOT ({null}) GROUP BY {} HAVING count(*) > 1)",
                self.wanted,
                self.key.join(", ")
            )
        })
    }

    /// Deletes what is not wanted, updates what is otherwise (only found by a key), inserts what is missing.
    pub(super) fn settle(&self) -> Vec<String> {
        if self.key.is_empty() {
            return self.settle_whole();
        }
        let by_key = value::join(self.key.iter().map(|k| format!("t.{k} IS w.{k}")), " AND ");
        let wanted = format!(" AND NOT EXISTS (SELECT 1 FROM {} AS w WHERE {by_key})", self.wanted);
        let set = value::join(self.columns.iter().map(|(c, _)| format!("{c} = w.{c}")), ", ");
        let differs = self.columns.iter().map(|(c, _)| format!("t.{c} IS NOT w.{c} COLLATE BINARY"));
        let update = format!(
            "UPDATE OR ABORT {} AS t SET {set} FROM {} AS w WHERE {by_key} AND {} AND ({})",
            self.table,
            self.wanted,
            self.in_scope("t"),
            value::join(differs, " OR ")
        );
        // A row of that key that belongs to somebody else is in the way.
        let stands = self.matches.iter().map(|(c, _)| format!("t.{c} = w.{c}"));
        let insert = format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} AS w WHERE NOT EXISTS \
             (SELECT 1 FROM {} AS t WHERE {by_key} AND {})",
            self.table,
            self.list(""),
            self.list("w."),
            self.wanted,
            self.table,
            value::join(stands, " AND ")
        );
        vec![self.delete(&wanted), update, insert]
    }

    /// Rows are compared as a whole, and equal ones are counted.
    fn settle_whole(&self) -> Vec<String> {
        let columns = |row: &str| {
            let columns: Vec<String> = self.columns.iter().map(|(c, _)| format!("{row}.{c}")).collect();
            content(&columns)
        };
        let identity: Vec<String> = self.identity.iter().map(|c| format!("t.{c}")).collect();
        let named = identity.iter().enumerate().map(|(i, c)| format!("{c} AS r{}", i + 1));
        let have = format!(
            "SELECT {}, {c} AS content, row_number() OVER (PARTITION BY {c}) AS n FROM {} AS t WHERE {}",
            value::join(named, ", "),
            self.table,
            self.in_scope("t"),
            c = columns("t")
        );
        let want = format!(
            "SELECT w.rowid AS r1, {c} AS content, row_number() OVER (PARTITION BY {c}) AS n FROM {} AS w",
            self.wanted,
            c = columns("w")
        );
        let found = value::join((1..=identity.len()).map(|r| format!("r{r}")), ", ");
        let delete = format!(
            "DELETE FROM {} WHERE ({}) IN (SELECT {found} FROM ({have}) WHERE (content, n) NOT IN \
             (SELECT content, n FROM ({want})))",
            self.table,
            self.identity.join(", ")
        );
        let insert = format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} AS w WHERE w.rowid IN \
             (SELECT r1 FROM ({want}) WHERE (content, n) NOT IN (SELECT content, n FROM ({have})))",
            self.table,
            self.list(""),
            self.list("w."),
            self.wanted
        );
        vec![delete, insert]
    }

    fn delete(&self, more: &str) -> String {
        format!("DELETE FROM {} AS t WHERE {}{more}", self.table, self.in_scope("t"))
    }

    /// That a row of the table belongs to a key: found from the keys, by the table's index.
    fn in_scope(&self, row: &str) -> String {
        let list = |row: &str| value::join(self.identity.iter().map(|c| format!("{row}.{c}")), ", ");
        format!(
            "({}) IN (SELECT {} FROM {} AS m JOIN {} AS i ON {})",
            list(row),
            list("i"),
            self.matched,
            self.table,
            self.same("i", "m")
        )
    }

    /// That the matched columns of a row are those of a key; NULL matches nothing.
    fn same(&self, row: &str, matched: &str) -> String {
        let same = self.matches.iter().enumerate();
        value::join(same.map(|(i, (c, _))| format!("{row}.{c} = {matched}.m{}", i + 1)), " AND ")
    }

    fn list(&self, before: &str) -> String {
        value::join(self.columns.iter().map(|(c, _)| format!("{before}{c}")), ", ")
    }
}
