//! Whole tables: pruning by a list of keys, and making a keyless table hold just some rows.

use super::changed::index;
use super::connect::Flavour;
use super::fill::{Filler, Labels};
use super::matched::{KeyColumn, Match, declared_key, first_column, own_rows, same_row};
use super::select::stand_ins;
use super::session::{Session, number, text};
use super::shape::{Column, Shape};
use super::stage::temporary;
use super::types::{Kind, place};
use super::value::{join, key_names, quote};
use crate::error::{Error, Result};
use crate::model::{Applied, ColumnPair, Key, OnDelete, TablePlan};

/// The keys that may stay.
pub(super) struct Keys {
    table: String,
    key: Vec<KeyColumn>,
    /// The types of the columns that stand for a key's column by an expression.
    stand_ins: Vec<String>,
    matches: Vec<Match>,
    list: String,
    /// Rows that stay whatever is on the list.
    keep: String,
}

impl Keys {
    /// Of a target table of that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape, flavour: Flavour) -> Self {
        let stand_ins: Vec<&ColumnPair> = stand_ins(table).collect();
        let place = |c: usize| {
            let target = table.columns.get(c).map(|pair| &pair.target);
            let place = stand_ins.iter().position(|pair| Some(&pair.target) == target);
            format!("s.e{}", place.unwrap_or_default() + 1)
        };
        Keys {
            table: shape.table.clone(),
            key: KeyColumn::all(table, flavour),
            stand_ins: stand_ins.iter().map(|pair| pair.target_type.clone()).collect(),
            matches: Match::all(table, place),
            list: temporary("keys", &table.target.name),
            keep: temporary("keep", &table.target.name),
        }
    }

    /// Removes the lists.
    pub(super) fn forget(&self) -> String {
        format!("DROP TEMPORARY TABLE IF EXISTS {}, {}", self.list, self.keep)
    }

    /// Makes empty lists.
    pub(super) fn make(&self) -> String {
        let (list, key, names) = (&self.list, declared_key(&self.key), key_names("", self.key.len()));
        let stand_ins = self.stand_ins.iter().enumerate().map(|(i, e)| format!(", e{} {e} NULL", i + 1));
        let kinds: Vec<(String, String)> =
            self.stand_ins.iter().enumerate().map(|(i, e)| (format!("e{}", i + 1), e.clone())).collect();
        // Rows are found by what stands for the key, where something does.
        let index = if kinds.is_empty() { format!(", KEY ({names})") } else { index(&kinds) };
        let kept = self.matches.iter().enumerate().map(|(i, m)| format!(", p{} {} NULL", i + 1, m.type_name));
        format!(
            "{}; CREATE TEMPORARY TABLE {list} (hw_n BIGINT NOT NULL PRIMARY KEY, {key}{}{index}) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY{}) ENGINE=InnoDB",
            self.forget(),
            stand_ins.collect::<String>(),
            self.keep,
            kept.collect::<String>()
        )
    }

    /// What fills the list.
    pub(super) fn filler(&self) -> Filler {
        let columns =
            std::iter::once("hw_n".to_string()).chain((1..=self.key.len()).map(|n| format!("k{n}")));
        let columns = columns.chain((1..=self.stand_ins.len()).map(|n| format!("e{n}")));
        let kinds = self.key.iter().map(|k| &k.staged).chain(&self.stand_ins);
        let enums = kinds.enumerate().filter_map(|(i, kind)| Labels::of(i + 1, kind));
        Filler::new(&self.list, columns.collect()).with_enums(enums.collect())
    }

    /// Puts rows on the list of those that stay: what their matched columns hold, as literals.
    pub(super) fn keep(&self, rows: &[Key]) -> String {
        format!(
            "INSERT INTO {} ({}) VALUES {}",
            self.keep,
            join((1..=self.matches.len()).map(|n| format!("p{n}")), ", "),
            join(rows.iter().map(|row| format!("({})", row.join(", "))), ", ")
        )
    }

    /// The table's own rows of which the key is not on the list, and that need not stay: what is behind FROM.
    pub(super) fn doomed(&self) -> String {
        let kept = |(i, m): (usize, &Match)| format!("t.{} = p.p{}", m.name, i + 1);
        format!(
            "{} AS t LEFT JOIN {} AS s ON {} LEFT JOIN {} AS p ON {} WHERE s.hw_n IS NULL AND p.hw_n IS NULL{}",
            self.table,
            self.list,
            same_row(&self.matches),
            self.keep,
            join(self.matches.iter().enumerate().map(kept), " AND "),
            own_rows(&self.matches)
        )
    }

    /// Deletes them.
    pub(super) fn prune(&self) -> String {
        format!("DELETE t FROM {}", self.doomed())
    }

    /// The keys on the list that have no row, and what kinds of values they have.
    pub(super) fn source_only(&self) -> (String, Vec<Kind>) {
        let key = self.key.iter().enumerate().map(|(i, k)| k.kind.key_column(&format!("s.k{}", i + 1)));
        let sql = format!(
            "SELECT {} FROM {} AS s LEFT JOIN {} AS t ON {} WHERE {} <=> NULL ORDER BY s.hw_n",
            join(key, ", "),
            self.list,
            self.table,
            same_row(&self.matches),
            first_column(&self.matches)
        );
        (sql, self.key.iter().map(|k| k.kind.clone()).collect())
    }

    /// The matched columns of the table's own rows of which the key is not on the list.
    pub(super) fn target_only(&self) -> (String, Vec<Kind>) {
        let kinds: Vec<Kind> = self.matches.iter().map(|m| Kind::of(&m.type_name)).collect();
        let columns =
            self.matches.iter().zip(&kinds).map(|(m, kind)| kind.key_column(&format!("t.{}", m.name)));
        (format!("SELECT {} FROM {}", join(columns, ", "), self.doomed()), kinds)
    }
}

/// The rows that a keyless table shall hold. Rows have nothing else by which they could be told from
/// each other than what they hold: a hash of that, as SQL's equals sign merges 'a' and 'A', 0 and -0.
pub(super) struct Rows<'a> {
    table: String,
    columns: Vec<&'a Column>,
    /// Where the values of each go.
    places: Vec<&'static str>,
    /// The rows, with their numbers.
    list: String,
    /// How often the table holds each content.
    have: String,
    /// The content of each row of the list, and which of its like it is.
    want: String,
    /// Contents of which the table holds more than it shall.
    extra: String,
    /// The table's rows `t` that this is about: what is behind FROM, and conditions, each behind an AND.
    from: String,
    only: String,
    /// Whether rows that are too much stay.
    keeps: bool,
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
            places: table.columns.iter().map(place).collect(),
            list: temporary("rows", name),
            have: temporary("have", name),
            want: temporary("want", name),
            extra: temporary("extra", name),
            from: format!("{} AS t", shape.table),
            only: table.constants().map(|(c, value)| format!(" AND t.{} = {value}", quote(c))).collect(),
            keeps: table.rule.on_delete == OnDelete::Keep,
        })
    }

    /// Those of the rows of `from` (with the table as `t`) that `list` shall hold; `name` is the list's.
    pub(super) fn among(table: &str, columns: Vec<&'a Column>, from: String, list: &str, name: &str) -> Self {
        Rows {
            table: table.to_string(),
            columns,
            places: Vec::new(),
            list: list.to_string(),
            have: temporary("have", name),
            want: temporary("want", name),
            extra: temporary("extra", name),
            from,
            only: String::new(),
            keeps: false,
        }
    }

    /// Removes the temporary tables.
    pub(super) fn forget(&self) -> String {
        format!("DROP TEMPORARY TABLE IF EXISTS {}; {}", self.list, self.forget_others())
    }

    /// Removes those beside the list.
    pub(super) fn forget_others(&self) -> String {
        let Rows { have, want, extra, .. } = self;
        format!("DROP TEMPORARY TABLE IF EXISTS {have}, {want}, {extra}")
    }

    /// Empties those beside the list.
    pub(super) fn clear_others(&self) -> String {
        let Rows { have, want, extra, .. } = self;
        format!("DELETE FROM {have}; DELETE FROM {want}; DELETE FROM {extra}")
    }

    /// Makes them, empty. The list is typed like the table, which then changes nothing more.
    pub(super) fn make(&self) -> String {
        let columns = self.columns.iter().enumerate().map(|(i, c)| format!(", c{} {}", i + 1, c.declared()));
        format!(
            "{}; CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL PRIMARY KEY{}) ENGINE=InnoDB; {}",
            self.forget(),
            self.list,
            columns.collect::<String>(),
            self.make_others()
        )
    }

    /// Makes those beside the list.
    pub(super) fn make_others(&self) -> String {
        let Rows { have, want, extra, .. } = self;
        let counted = "content BINARY(32) NOT NULL PRIMARY KEY, n BIGINT NOT NULL";
        format!(
            "CREATE TEMPORARY TABLE {have} ({counted}) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {want} (hw_n BIGINT NOT NULL PRIMARY KEY, content BINARY(32) NOT NULL, \
             n BIGINT NOT NULL, KEY (content)) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {extra} ({counted}, kept BIGINT NOT NULL) ENGINE=InnoDB"
        )
    }

    /// What fills the list.
    pub(super) fn filler(&self) -> Filler {
        let columns = self.places.iter().enumerate().map(|(i, place)| (format!("c{}", i + 1), *place));
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
        let deleted = if self.keeps { 0 } else { self.delete(session).await? };
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
        let Rows { list, have, want, extra, from, only, .. } = self;
        let content = Shape::digest(&self.columns, "t");
        session
            .execute(format!(
                "INSERT INTO {have} SELECT content, COUNT(*) FROM (SELECT {content} AS content FROM {from} WHERE TRUE{only}) \
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
        let Rows { table, extra, from, only, .. } = self;
        let content = Shape::digest(&self.columns, "t");
        let mut deleted = session
            .execute(format!(
                "DELETE t FROM {from} JOIN {extra} AS e ON e.content = {content} WHERE e.kept = 0{only}"
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
