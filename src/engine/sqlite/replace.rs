//! Whole tables: comparing with a list of keys, and making a keyless table hold just some rows.

use sqlx::sqlite::SqliteArguments;

use super::catalog::Shape;
use super::connect::Session;
use super::stage::{Filler, Matched, MatchedColumn};
use super::value;
use crate::model::{Applied, On, OnDelete, TablePlan, quote};

/// The source's keys beside the target's rows.
pub(super) struct Keys {
    table: String,
    matched: Matched,
    /// How many columns the source's key has.
    key: usize,
    /// How many columns are staged in place of a key's.
    computed: usize,
}

/// The keys as the source has them: `k1`, .., then the staged columns that stand for some of them.
const KEYS: &str = "temp.hw_keys";

/// The same as the target would have them: `m1`, .., typed like the table's columns, else its index is of
/// no use.
const LIST: &str = "temp.hw_list";

/// What is never deleted.
const KEPT: &str = "temp.hw_kept";

impl Keys {
    /// Of a target table of that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape) -> Self {
        let matched = Matched::new(table, shape);
        Keys {
            table: format!("main.{}", quote(&shape.name)),
            computed: computed(&matched).count(),
            key: table.key.len(),
            matched,
        }
    }

    /// Makes empty lists. What is given out fills the source's keys in.
    pub(super) async fn make(&self, session: &mut Session) -> Result<Filler, sqlx::Error> {
        let keys = (1..=self.key).map(|k| format!("k{k}"));
        let keys = keys.chain(computed(&self.matched).map(|m| m.staged.clone()));
        let typed = |columns: &mut dyn Iterator<Item = (usize, &MatchedColumn)>| {
            let columns: Vec<_> = columns.collect();
            value::join(columns.iter().map(|(i, m)| format!("m{} {}{}", i + 1, m.kind, m.collate)), ", ")
        };
        let found = typed(&mut self.found());
        let all = typed(&mut self.matched.columns.iter().enumerate());
        let tables = [
            (KEYS, value::join(keys, ", ")),
            (LIST, format!("hw_id INTEGER PRIMARY KEY, {found}")),
            (KEPT, all),
        ];
        for (name, columns) in tables {
            session.run(format!("DROP TABLE IF EXISTS {name}")).await?;
            session.run(format!("CREATE TABLE {name} ({columns})")).await?;
        }
        Ok(Filler::new(&format!("INSERT INTO {KEYS}"), self.key + self.computed))
    }

    /// What fills in the matched columns of rows that are kept.
    pub(super) fn kept(&self) -> Filler {
        Filler::new(&format!("INSERT INTO {KEPT}"), self.matched.columns.len())
    }

    /// Makes the list of all keys as the target would have them.
    pub(super) async fn list(&self, session: &mut Session) -> Result<(), sqlx::Error> {
        let columns = value::join(self.found().map(|(_, m)| format!(", {}", m.staged)), "");
        session.run(format!("INSERT INTO {LIST} SELECT rowid{columns} FROM {KEYS}")).await?;
        let columns = value::join(self.found().map(|(i, _)| format!("m{}", i + 1)), ", ");
        session.run(format!("CREATE INDEX temp.hw_list_index ON hw_list ({columns})")).await?;
        let columns = value::join((1..=self.matched.columns.len()).map(|m| format!("m{m}")), ", ");
        session.run(format!("CREATE INDEX temp.hw_kept_index ON hw_kept ({columns})")).await?;
        Ok(())
    }

    /// That a row `t` of the table is an own one whose key is not on the lists.
    pub(super) fn doomed(&self) -> String {
        let kept = self.matched.columns.iter().enumerate();
        format!("{} AND NOT EXISTS (SELECT 1 FROM {KEPT} AS s WHERE {})", self.target_only(), same(kept, "s"))
    }

    fn target_only(&self) -> String {
        let own = self.matched.own().map(|own| format!("{own} AND ")).unwrap_or_default();
        format!("{own}NOT EXISTS (SELECT 1 FROM {LIST} AS s WHERE {})", same(self.found(), "s"))
    }

    /// Deletes the rows that are doomed.
    pub(super) fn delete(&self) -> String {
        format!("DELETE FROM {} AS t WHERE {}", self.table, self.doomed())
    }

    /// Finds the matched columns of own rows of which the source has no key.
    pub(super) fn find_target_only(&self) -> String {
        let columns = self.matched.columns.iter().map(|m| format!("t.{}", m.column));
        format!("SELECT {} FROM {} AS t WHERE {}", value::join(columns, ", "), self.table, self.target_only())
    }

    /// Finds keys of the source that have no row.
    pub(super) fn find_source_only(&self) -> String {
        let own = self.matched.own().map(|own| format!(" AND {own}")).unwrap_or_default();
        format!(
            "SELECT {} FROM {KEYS} AS k JOIN {LIST} AS s ON s.hw_id = k.rowid \
             WHERE NOT EXISTS (SELECT 1 FROM {} AS t WHERE {}{own}) ORDER BY k.rowid",
            value::join((1..=self.key).map(|k| format!("k.k{k}")), ", "),
            self.table,
            same(self.found(), "s")
        )
    }

    /// Removes the lists.
    pub(super) async fn end(&self, session: &mut Session) -> Result<(), sqlx::Error> {
        for name in [KEYS, LIST, KEPT] {
            session.run(format!("DROP TABLE {name}")).await?;
        }
        Ok(())
    }

    /// The matched columns that differ from row to row.
    fn found(&self) -> impl Iterator<Item = (usize, &MatchedColumn)> {
        self.matched.columns.iter().enumerate().filter(|(_, m)| m.constant.is_none())
    }
}

/// The columns that are staged in place of a key's.
fn computed(matched: &Matched) -> impl Iterator<Item = &MatchedColumn> {
    matched.columns.iter().filter(|m| m.constant.is_none() && !m.staged.starts_with('k'))
}

fn same<'a>(columns: impl Iterator<Item = (usize, &'a MatchedColumn)>, listed: &str) -> String {
    let same = |(i, m): (usize, &MatchedColumn)| format!("t.{} = {listed}.m{}{}", m.column, i + 1, m.collate);
    value::join(columns.map(same), " AND ")
}

/// The rows that a keyless table shall hold.
pub(super) struct Rows {
    table: String,
    columns: Vec<String>,
    kinds: Vec<&'static str>,
    /// Those by which rows are compared: what is written once only may differ.
    compared: Vec<bool>,
    identity: Vec<String>,
    /// That a row `t` is an own one.
    own: String,
    keeps: bool,
}

const ROWS: &str = "temp.hw_rows";

impl Rows {
    /// Of a target table of that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape) -> Self {
        let kind = |name: &str| shape.column(name).map_or("BLOB", |c| shape.affinity(c));
        Rows {
            table: format!("main.{}", quote(&shape.name)),
            columns: table.columns.iter().map(|c| quote(&c.target)).collect(),
            kinds: table.columns.iter().map(|c| kind(&c.target)).collect(),
            compared: table.columns.iter().map(|c| c.on == On::Always).collect(),
            identity: shape.row_identity(),
            own: Matched::new(table, shape).own().unwrap_or_else(|| "1".to_string()),
            keeps: table.rule.on_delete == OnDelete::Keep,
        }
    }

    /// Makes an empty list. Its columns are typed like the table's, which then changes nothing more.
    pub(super) async fn make(&self, session: &mut Session) -> Result<Filler, sqlx::Error> {
        let columns = self.kinds.iter().enumerate().map(|(i, kind)| format!("c{} {kind}", i + 1));
        session.run(format!("DROP TABLE IF EXISTS {ROWS}")).await?;
        session.run(format!("CREATE TABLE {ROWS} ({})", value::join(columns, ", "))).await?;
        Ok(Filler::new(&format!("INSERT INTO {ROWS}"), self.columns.len()))
    }

    /// Makes the table hold just the rows of the list: equal rows are numbered on both sides, those
    /// with the same number stay as they are.
    pub(super) async fn replace(&self, session: &mut Session) -> Result<Applied, sqlx::Error> {
        let listed: Vec<String> = (1..=self.columns.len()).map(|n| format!("c{n}")).collect();
        if self.identity.is_empty() {
            return self.replace_all(session, &listed).await;
        }
        let identity: Vec<String> = (1..=self.identity.len()).map(|n| format!("r{n}")).collect();
        let have = value::join(self.identity.iter().zip(&identity).map(|(c, r)| format!("{c} AS {r}")), ", ");
        for (name, from, columns, found) in [
            ("hw_want", ROWS, &listed, "rowid AS r1".to_string()),
            ("hw_have", self.table.as_str(), &self.columns, have),
        ] {
            let compared = columns.iter().zip(&self.compared).filter(|(_, compared)| **compared);
            let content = content(&compared.map(|(c, _)| c.clone()).collect::<Vec<_>>());
            let own = if name == "hw_want" { "1" } else { self.own.as_str() };
            session.run(format!("DROP TABLE IF EXISTS temp.{name}")).await?;
            let sql = format!(
                "CREATE TEMP TABLE {name} AS SELECT {found}, content, \
                 row_number() OVER (PARTITION BY content) AS n FROM (SELECT *, {} {content} AS content FROM {from} AS t WHERE {own})",
                if name == "hw_want" { "rowid,".to_string() } else { hidden(&self.identity) }
            );
            session.run(sql).await?;
            session.run(format!("CREATE INDEX temp.{name}_index ON {name} (content, n)")).await?;
        }
        let applied = self.apply(session, &identity, &listed).await?;
        for name in ["hw_want", "hw_have", "hw_rows"] {
            session.run(format!("DROP TABLE temp.{name}")).await?;
        }
        Ok(applied)
    }

    /// Where rows can't be told from each other, all of them go.
    async fn replace_all(&self, session: &mut Session, listed: &[String]) -> Result<Applied, sqlx::Error> {
        let deleted = match self.keeps {
            true => 0,
            false => session.run(format!("DELETE FROM {} AS t WHERE {}", self.table, self.own)).await?,
        };
        let (columns, listed) = (self.columns.join(", "), listed.join(", "));
        let insert = format!("INSERT OR ABORT INTO {} ({columns}) SELECT {listed} FROM {ROWS}", self.table);
        let inserted = session.run(insert).await?;
        session.run(format!("DROP TABLE {ROWS}")).await?;
        Ok(Applied { inserted, deleted, ..Applied::default() })
    }

    async fn apply(
        &self,
        session: &mut Session,
        identity: &[String],
        listed: &[String],
    ) -> Result<Applied, sqlx::Error> {
        let without = |a: &str, b: &str| {
            format!(
                "FROM temp.{a} AS a WHERE NOT EXISTS (SELECT 1 FROM temp.{b} AS b WHERE b.content = a.content AND b.n = a.n)"
            )
        };
        let delete = format!(
            "DELETE FROM {} WHERE ({}) IN (SELECT {} {})",
            self.table,
            self.identity.join(", "),
            identity.join(", "),
            without("hw_have", "hw_want")
        );
        let deleted = match self.keeps {
            true => 0,
            false => session.run_with(delete, SqliteArguments::default()).await?,
        };
        let insert = format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {ROWS} WHERE rowid IN (SELECT r1 {})",
            self.table,
            self.columns.join(", "),
            listed.join(", "),
            without("hw_want", "hw_have")
        );
        let inserted = session.run_with(insert, SqliteArguments::default()).await?;
        Ok(Applied { inserted, deleted, ..Applied::default() })
    }
}

/// A hidden rowid is not among `*`.
fn hidden(identity: &[String]) -> String {
    match identity {
        [one] if !one.starts_with('"') => format!("{one},"),
        _ => String::new(),
    }
}

/// All values of a row as one text: equal just when class and value of each are. `quote()` ends a text
/// at NUL, so text goes as its bytes.
pub(super) fn content(columns: &[String]) -> String {
    let value = |c: &String| {
        format!(
            "CASE typeof({c}) WHEN 'text' THEN 't' || hex({c}) WHEN 'blob' THEN 'b' || hex({c}) ELSE quote({c}) END"
        )
    };
    format!("({})", value::balanced(columns.iter().map(value), " || ',' || "))
}
