//! Whole tables: pruning by a list of keys, and making a keyless table hold just some rows.

use super::connect::Flavour;
use super::fill::{Filler, Labels};
use super::session::{Session, number, text};
use super::shape::{Column, Shape};
use super::stage::{KeyColumn, declared_key, same_key, temporary};
use super::types::place;
use super::value::{join, key_names};
use crate::error::{Error, Result};
use crate::model::{Applied, TablePlan};

/// The keys that may stay.
pub(super) struct Keys {
    table: String,
    key: Vec<KeyColumn>,
    list: String,
}

impl Keys {
    /// Of a target table of that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape, flavour: Flavour) -> Self {
        Keys {
            table: shape.table.clone(),
            key: KeyColumn::all(table, flavour),
            list: temporary("keys", &table.target.name),
        }
    }

    /// Removes the list.
    pub(super) fn forget(&self) -> String {
        format!("DROP TEMPORARY TABLE IF EXISTS {}", self.list)
    }

    /// Makes an empty list.
    pub(super) fn make(&self) -> String {
        let (list, key, names) = (&self.list, declared_key(&self.key), key_names("", self.key.len()));
        format!(
            "{}; CREATE TEMPORARY TABLE {list} (hw_n BIGINT NOT NULL PRIMARY KEY, {key}, KEY ({names})) \
             ENGINE=InnoDB",
            self.forget()
        )
    }

    /// What fills the list.
    pub(super) fn filler(&self) -> Filler {
        let columns =
            std::iter::once("hw_n".to_string()).chain((1..=self.key.len()).map(|n| format!("k{n}")));
        let enums = self.key.iter().enumerate().filter_map(|(i, k)| Labels::of(i + 1, k.staged()));
        Filler::new(&self.list, columns.collect()).with_enums(enums.collect())
    }

    /// Deletes the rows whose key is not on the list.
    pub(super) fn prune(&self) -> String {
        format!(
            "DELETE t FROM {} AS t LEFT JOIN {} AS s ON {} WHERE s.hw_n IS NULL",
            self.table,
            self.list,
            same_key(&self.key)
        )
    }
}

/// The rows that a keyless table shall hold. Rows have nothing else by which they could be told from
/// each other than what they hold: a hash of that, as SQL's equals sign merges 'a' and 'A', 0 and -0.
pub(super) struct Rows<'a> {
    table: String,
    columns: Vec<&'a Column>,
    /// The rows, with their numbers.
    list: String,
    /// How often the table holds each content.
    have: String,
    /// The content of each row of the list, and which of its like it is.
    want: String,
    /// Contents of which the table holds more than it shall.
    extra: String,
}

impl<'a> Rows<'a> {
    /// Of a target table of that shape.
    ///
    /// # Errors
    /// When the table has lost a column.
    pub(super) fn new(table: &TablePlan, shape: &'a Shape) -> Result<Self> {
        let column = |name: &String| {
            shape.column(name).ok_or_else(|| {
                Error::table(format!("{}: column {name} is gone from the target", table.target))
                    .remedy("`highwater plan` shows both sides")
            })
        };
        let name = &table.target.name;
        Ok(Rows {
            table: shape.table.clone(),
            columns: table.columns.iter().map(|c| column(&c.target)).collect::<Result<_>>()?,
            list: temporary("rows", name),
            have: temporary("have", name),
            want: temporary("want", name),
            extra: temporary("extra", name),
        })
    }

    /// Removes the temporary tables.
    pub(super) fn forget(&self) -> String {
        let Rows { list, have, want, extra, .. } = self;
        format!("DROP TEMPORARY TABLE IF EXISTS {list}, {have}, {want}, {extra}")
    }

    /// Makes them, empty. The list is typed like the table, which then changes nothing more.
    pub(super) fn make(&self) -> String {
        let Rows { list, have, want, extra, .. } = self;
        let columns = self.columns.iter().enumerate().map(|(i, c)| format!(", c{} {}", i + 1, c.declared()));
        let columns: String = columns.collect();
        let counted = "content BINARY(32) NOT NULL PRIMARY KEY, n BIGINT NOT NULL";
        format!(
            "{}; CREATE TEMPORARY TABLE {list} (hw_n BIGINT NOT NULL PRIMARY KEY{columns}) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {have} ({counted}) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {want} (hw_n BIGINT NOT NULL PRIMARY KEY, content BINARY(32) NOT NULL, \
             n BIGINT NOT NULL, KEY (content)) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {extra} ({counted}, kept BIGINT NOT NULL) ENGINE=InnoDB",
            self.forget()
        )
    }

    /// What fills the list.
    pub(super) fn filler(&self) -> Filler {
        let columns =
            self.columns.iter().enumerate().map(|(i, c)| (format!("c{}", i + 1), place(&c.declared())));
        let columns = std::iter::once(("hw_n".to_string(), "?")).chain(columns);
        let enums = self.columns.iter().enumerate().filter_map(|(i, c)| Labels::of(i + 1, &c.declared()));
        Filler::of(&self.list, columns.collect()).with_enums(enums.collect())
    }

    /// Makes the table hold just the rows of the list; rows that are the same stay as they are.
    ///
    /// # Errors
    /// When the server refuses.
    pub(super) async fn replace(&self, session: &mut Session) -> Result<Applied> {
        self.compare(session).await?;
        let deleted = self.delete(session).await?;
        let names = join(self.columns.iter().map(|c| c.name.clone()), ", ");
        let values = join((1..=self.columns.len()).map(|n| format!("s.c{n}")), ", ");
        let (table, list, want, have) = (&self.table, &self.list, &self.want, &self.have);
        let insert = format!(
            "INSERT INTO {table} ({names}) SELECT {values} FROM {list} AS s JOIN {want} AS w USING (hw_n) \
             LEFT JOIN {have} AS h ON h.content = w.content WHERE w.n > COALESCE(h.n, 0)"
        );
        let inserted = session.execute(insert).await?;
        Ok(Applied { inserted, deleted, ..Applied::default() })
    }

    /// What the table holds and what it shall hold. It is locked: nobody else's row may come between.
    async fn compare(&self, session: &mut Session) -> Result<()> {
        let Rows { table, list, have, want, extra, .. } = self;
        let content = Shape::digest(&self.columns, "t");
        session
            .execute(format!(
                "INSERT INTO {have} SELECT content, COUNT(*) FROM (SELECT {content} AS content FROM {table} AS t) \
                 AS c GROUP BY content"
            ))
            .await?;
        let listed: Vec<Column> =
            self.columns.iter().enumerate().map(|(i, c)| c.named(format!("c{}", i + 1))).collect();
        let content = Shape::digest(&listed.iter().collect::<Vec<_>>(), "t");
        session
            .execute(format!(
                "INSERT INTO {want} SELECT hw_n, content, ROW_NUMBER() OVER (PARTITION BY content ORDER BY hw_n) \
                 FROM (SELECT hw_n, {content} AS content FROM {list} AS t) AS c"
            ))
            .await?;
        session
            .execute(format!(
                "INSERT INTO {extra} SELECT h.content, MAX(h.n), COUNT(w.hw_n) FROM {have} AS h \
                 LEFT JOIN {want} AS w ON w.content = h.content GROUP BY h.content HAVING MAX(h.n) > COUNT(w.hw_n)"
            ))
            .await?;
        Ok(())
    }

    /// Deletes what is not wanted at all in one go, and what there is too much of one content after the
    /// other: a statement of many tables has no LIMIT.
    async fn delete(&self, session: &mut Session) -> Result<u64> {
        let Rows { table, extra, .. } = self;
        let content = Shape::digest(&self.columns, "t");
        let mut deleted = session
            .execute(format!(
                "DELETE t FROM {table} AS t JOIN {extra} AS e ON e.content = {content} WHERE e.kept = 0"
            ))
            .await?;
        let content = Shape::digest(&self.columns, table);
        let some = format!("SELECT HEX(content), n - kept FROM {extra} WHERE kept > 0");
        for row in session.query(some).await? {
            let (hash, more) = (text(&row, 0)?, number::<u64>(&row, 1)?);
            let delete = format!("DELETE FROM {table} WHERE {content} = x'{hash}' LIMIT {more}");
            deleted += session.execute(delete).await?;
        }
        Ok(deleted)
    }
}
