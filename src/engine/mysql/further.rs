//! Further targets of a table: wherever the matched columns are those of a key stand just the rows that the
//! rule's select yields.

use super::changed::{Changed, apart, index};
use super::connect::Flavour;
use super::replace::Rows;
use super::shape::{Column, Shape};
use super::stage::{Pick, temporary};
use super::value::join;
use crate::error::{Error, Result};
use crate::model::{Into, TablePlan};

/// A further target with its temporary tables.
pub(super) struct Further {
    table: String,
    /// What the select yields.
    columns: Vec<Column>,
    /// The matched columns, and where they are among `columns`.
    matches: Vec<(Column, usize)>,
    /// What gives them their values.
    expressions: Vec<String>,
    /// Where the key's columns are among `columns`.
    key: Vec<usize>,
    /// Columns that an UPDATE would touch by itself.
    touched: Vec<String>,
    select: String,
    /// How often it reads `changed`, where that matters.
    mentions: usize,
    /// The matched values of the keys.
    found: String,
    /// The rows that shall be.
    wanted: String,
    /// Tables for rows that are compared as a whole.
    name: String,
}

/// An operator's select as part of a statement, and how often it reads `changed`, where that matters.
pub(super) fn statement(select: &str, flavour: Flavour) -> (String, usize) {
    let select = select.trim().trim_end_matches(';');
    match flavour {
        Flavour::Mysql => apart(select),
        Flavour::Mariadb => (select.to_string(), 1),
    }
}

impl Further {
    /// The target `into` of `table`, which it has in that shape.
    ///
    /// # Errors
    /// When a column is gone, or the rule was not tried.
    pub(super) fn new(table: &TablePlan, into: &Into, shape: &Shape, flavour: Flavour) -> Result<Self> {
        let column = |name: &str| {
            shape.column(name).cloned().ok_or_else(|| {
                Error::table(format!("{}: column {name} is gone from the target", into.target))
                    .remedy("`highwater plan` shows both sides")
            })
        };
        let place = |name: &str| {
            let found = into.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name));
            found.ok_or_else(|| Error::table(format!("{}: the select does not yield {name}", into.target)))
        };
        let columns: Vec<Column> = into.columns.iter().map(|c| column(&c.name)).collect::<Result<_>>()?;
        let is_yielded = |name: &String| columns.iter().any(|c| c.name == *name);
        let touched = shape.columns.iter().filter(|c| c.touched).map(|c| c.name.clone());
        let name = format!("{}\0{}\0{}", table.source.name, into.target.name, into.select);
        let (select, mentions) = statement(&into.select, flavour);
        Ok(Further {
            select,
            mentions,
            table: shape.table.clone(),
            touched: touched.filter(|name| !is_yielded(name)).collect(),
            matches: into
                .matches
                .iter()
                .map(|(name, _)| Ok((column(name)?, place(name)?)))
                .collect::<Result<_>>()?,
            expressions: into.matches.iter().map(|(_, sql)| sql.clone()).collect(),
            key: into.key.iter().map(|name| place(name)).collect::<Result<_>>()?,
            found: temporary("found", &name),
            wanted: temporary("wanted", &name),
            name,
            columns,
        })
    }

    /// How often its select reads `changed`, where that matters.
    pub(super) fn mentions(&self) -> usize {
        self.mentions
    }

    /// Whether its rows are found again by a unique index.
    pub(super) fn is_keyed(&self) -> bool {
        !self.key.is_empty()
    }

    /// The rows, to be compared as a whole with those that the keys have.
    pub(super) fn rows(&self) -> Rows<'_> {
        let names = join((1..=self.matches.len()).map(|n| format!("m{n}")), ", ");
        let from = format!(
            "(SELECT DISTINCT {names} FROM {}) AS m STRAIGHT_JOIN {} AS t ON {}",
            self.found,
            self.table,
            self.is_found("t")
        );
        Rows::among(&self.table, self.columns.iter().collect(), from, &self.wanted, &self.name)
    }

    /// Removes the temporary tables.
    pub(super) fn forget(&self) -> String {
        let rows = if self.is_keyed() { String::new() } else { format!("; {}", self.rows().forget_others()) };
        format!("DROP TEMPORARY TABLE IF EXISTS {}, {}{rows}", self.found, self.wanted)
    }

    /// Makes them, empty.
    pub(super) fn make(&self) -> String {
        let matches = self.matches.iter().enumerate();
        let found: Vec<(String, String)> =
            matches.map(|(i, (c, _))| (format!("m{}", i + 1), c.declared())).collect();
        let wanted: Vec<(String, String)> =
            self.columns.iter().enumerate().map(|(i, c)| (format!("c{}", i + 1), c.declared())).collect();
        let key: Vec<(String, String)> = self.key.iter().map(|k| wanted[*k].clone()).collect();
        let declared = |columns: &[(String, String)]| {
            columns.iter().map(|(name, kind)| format!(", {name} {kind}")).collect::<String>()
        };
        let rows = if self.is_keyed() { String::new() } else { format!("; {}", self.rows().make_others()) };
        format!(
            "{}; CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL PRIMARY KEY{}{}) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY{}{}) ENGINE=InnoDB{rows}",
            self.forget(),
            self.found,
            declared(&found),
            index(&found),
            self.wanted,
            declared(&wanted),
            index(&key),
        )
    }

    /// Empties them.
    pub(super) fn clear(&self) -> String {
        let rows = if self.is_keyed() { String::new() } else { format!("; {}", self.rows().clear_others()) };
        format!("DELETE FROM {}; DELETE FROM {}{rows}", self.found, self.wanted)
    }

    /// Finds the matched values of keys.
    pub(super) fn find(&self, changed: &Changed, pick: Pick<'_>, present: bool) -> String {
        format!(
            "INSERT INTO {} (hw_n, {}) {} SELECT changed.hw_n, {} FROM changed",
            self.found,
            join((1..=self.expressions.len()).map(|n| format!("m{n}")), ", "),
            changed.with(pick, present),
            join(self.expressions.iter().map(|e| format!("({e}\n)")), ", "),
        )
    }

    /// That the row of `row` has the values of a key of `m`.
    fn is_found(&self, row: &str) -> String {
        let same = |(i, (c, _)): (usize, &(Column, usize))| format!("{row}.{} = m.m{}", c.name, i + 1);
        join(self.matches.iter().enumerate().map(same), " AND ")
    }

    /// Deletes all rows of the keys.
    pub(super) fn delete_found(&self) -> String {
        format!(
            "DELETE t FROM {} AS m STRAIGHT_JOIN {} AS t ON {}",
            self.found,
            self.table,
            self.is_found("t")
        )
    }

    /// Asks the select for the rows of keys.
    pub(super) fn want(&self, changed: &Changed, pick: Pick<'_>) -> String {
        format!(
            "INSERT INTO {} ({}) {} SELECT {} FROM ({}\n) AS hw_yielded",
            self.wanted,
            join((1..=self.columns.len()).map(|n| format!("c{n}")), ", "),
            changed.with_copies(pick, self.mentions),
            join(self.columns.iter().map(|c| format!("hw_yielded.{}", c.name)), ", "),
            self.select
        )
    }

    /// How many rows no key would find again.
    pub(super) fn count_strays(&self) -> String {
        let same = |(i, (_, place)): (usize, &(Column, usize))| format!("w.c{} = m.m{}", place + 1, i + 1);
        format!(
            "SELECT COUNT(*) FROM {} AS w LEFT JOIN {} AS m ON {} WHERE m.hw_n IS NULL",
            self.wanted,
            self.found,
            join(self.matches.iter().enumerate().map(same), " AND ")
        )
    }

    fn same_key(&self) -> String {
        join(self.key.iter().map(|k| format!("t.{} <=> w.c{}", self.columns[*k].name, k + 1)), " AND ")
    }

    /// Deletes the keys' rows that shall not be.
    pub(super) fn delete_unwanted(&self) -> String {
        format!(
            "DELETE t FROM {} AS m STRAIGHT_JOIN {} AS t ON {} LEFT JOIN {} AS w ON {} WHERE w.hw_n IS NULL",
            self.found,
            self.table,
            self.is_found("t"),
            self.wanted,
            self.same_key()
        )
    }

    /// Updates the keys' rows that differ, in place.
    pub(super) fn update_wanted(&self) -> String {
        let columns = self.columns.iter().enumerate().map(|(i, c)| format!("t.{} = w.c{}", c.name, i + 1));
        let touched = self.touched.iter().map(|c| format!("t.{c} = t.{c}"));
        let listed: Vec<Column> =
            self.columns.iter().enumerate().map(|(i, c)| c.named(format!("c{}", i + 1))).collect();
        format!(
            "UPDATE {} AS w STRAIGHT_JOIN {} AS t ON {} SET {} WHERE {} <> {} \
             AND EXISTS (SELECT 1 FROM {} AS m WHERE {})",
            self.wanted,
            self.table,
            self.same_key(),
            join(columns.chain(touched), ", "),
            Shape::digest(&self.columns.iter().collect::<Vec<_>>(), "t"),
            Shape::digest(&listed.iter().collect::<Vec<_>>(), "w"),
            self.found,
            self.is_found("t")
        )
    }

    /// Inserts the rows that are missing. One that another's row stands in the way of is refused.
    pub(super) fn insert_wanted(&self) -> String {
        let same = |(c, place): &(Column, usize)| format!(" AND t.{} = w.c{}", c.name, place + 1);
        let first = self.matches.first().map_or("NULL", |(c, _)| c.name.as_str());
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS w LEFT JOIN {} AS t ON {}{} WHERE t.{first} <=> NULL",
            self.table,
            join(self.columns.iter().map(|c| c.name.clone()), ", "),
            join((1..=self.columns.len()).map(|n| format!("w.c{n}")), ", "),
            self.wanted,
            self.table,
            self.same_key(),
            self.matches.iter().map(same).collect::<String>(),
        )
    }
}
