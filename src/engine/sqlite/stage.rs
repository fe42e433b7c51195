//! Where rows wait inside the target: temporary tables, and the statements between them and the table.
//!
//! Staged columns have no type, so that values wait as they came. Keys compare by the target's rules:
//! its column stands on the left, whose type counts, and its index's collation is written behind.

use sqlx::sqlite::SqliteArguments;

use super::ask::bare;
use super::capture::key_names;
use super::catalog::Shape;
use super::connect::Session;
use super::fits::Compared;
use super::select::enclosed;
use super::value;
use crate::error::{Error, Result};
use crate::model::{ColumnPair, Lookup, On, OnDelete, Staged, TablePlan, Value, quote};

/// How many variables one statement may have.
const MOST_VARIABLES: usize = 32_766;

/// How many rows go into one INSERT: few sizes, so that the statements stay prepared.
const SIZES: [usize; 3] = [64, 8, 1];

/// A target table with its temporary tables.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    /// The table, as SQL.
    pub(super) table: String,
    /// The columns that are written, carried ones first.
    written: Vec<Written>,
    /// All columns that can be written, as SQL; the hidden rowid first, where rows are told by it.
    whole: Vec<String>,
    matched: Matched,
    /// What tells a row, as SQL.
    identity: Vec<String>,
    /// The staged rows.
    stage: String,
    /// The columns that a row is staged with: name and type.
    columns: Vec<(String, String)>,
    /// How many of them are the key's.
    key: usize,
    /// SQL over `changed` that gives `x1`, `x2`, ..
    lookups: Vec<String>,
    /// What `changed` shows: name, staged column, whether it is the key's.
    changed: Vec<(String, String, bool)>,
    /// Whether the tables are made anew for each transaction: what they look like depends on a rule.
    fresh: bool,
    /// Whether rows stay that the source deletes.
    pub(super) keeps: bool,
    /// Rows lifted out.
    lifted: String,
    /// The columns whose values are compared with what the table made of them.
    pub(super) compared: Compared,
}

/// A target column that is written.
#[derive(Debug, Clone)]
struct Written {
    /// Its name, as SQL.
    column: String,
    /// Where its value is staged.
    staged: String,
    on: On,
}

/// The staged column of that place.
fn place(staged: Staged) -> String {
    match staged {
        Staged::Key(k) => format!("k{}", k + 1),
        Staged::Carried(c) => format!("c{}", c + 1),
        Staged::Also(a) => format!("a{}", a + 1),
    }
}

impl Staging {
    /// For the rows of `table`, which the target has in that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape) -> Self {
        let rule = &table.rule;
        let carried = table.columns.iter().enumerate().map(|(c, pair)| Written {
            column: quote(&pair.target),
            staged: place(Staged::Carried(c)),
            on: pair.on,
        });
        let looked_up = rule.lookups.iter().enumerate().map(|(x, lookup)| Written {
            column: quote(&lookup.target),
            staged: format!("x{}", x + 1),
            on: lookup.on,
        });
        let changed = table.changed().into_iter();
        let changed = changed.map(|(name, _, at)| (quote(name), place(at), matches!(at, Staged::Key(_))));
        let hidden = if shape.rowid_column.is_none() { shape.rowid() } else { None };
        let writable = shape.written_columns().map(|c| quote(&c.name));
        let whole: Vec<String> = hidden.map(ToString::to_string).into_iter().chain(writable).collect();
        let fresh = rule.is_computed_on_target();
        let columns = staged_columns(table, fresh);
        let sort = if fresh { "ruled" } else { "stage" };
        let name = |of: String| format!("temp.{}", quote(&format!("hw_{of}_{}", shape.name)));
        let sizes = format!("{}_{}_{}", table.key.len(), table.columns.len(), rule.also.len());
        Staging {
            table: format!("main.{}", quote(&shape.name)),
            stage: name(format!("{sort}_{sizes}")),
            lifted: name(format!("lifted_{}", whole.len())),
            identity: shape.row_identity(),
            matched: Matched::new(table, shape),
            written: carried.chain(looked_up).collect(),
            key: table.key.len(),
            lookups: rule.lookups.iter().map(|l| l.expression.clone()).collect(),
            compared: Compared::of(table, &lookup_types(table, shape)),
            changed: changed.collect(),
            keeps: rule.on_delete == OnDelete::Keep,
            whole,
            columns,
            fresh,
        }
    }

    /// The temporary tables.
    pub(super) fn tables(&self) -> [&str; 2] {
        [&self.stage, &self.lifted]
    }

    /// Makes the temporary tables, and empties them.
    pub(super) async fn make(&self, session: &mut Session) -> Result<(), sqlx::Error> {
        let columns = self.columns.iter().map(|(name, kind)| format!(", {name}{kind}"));
        let computed = (1..=self.lookups.len()).map(|x| format!(", x{x}"));
        let columns = value::join(columns.chain(computed), "");
        let stage = format!("hw_n INTEGER PRIMARY KEY, hw_present{columns}");
        let whole = value::join((1..=self.whole.len()).map(|n| format!(", c{n}")), "");
        let lifted = format!("hw_n INTEGER PRIMARY KEY{whole}");
        if self.fresh {
            session.run(format!("DROP TABLE IF EXISTS {}", self.stage)).await?;
        }
        for (table, columns) in [(&self.stage, stage), (&self.lifted, lifted)] {
            session.run(format!("CREATE TABLE IF NOT EXISTS {table} ({columns})")).await?;
            session.run(format!("DELETE FROM {table}")).await?;
        }
        Ok(())
    }

    /// What fills the stage.
    pub(super) fn filler(&self) -> Filler {
        let names = value::join(self.columns.iter().map(|(name, _)| format!(", {name}")), "");
        let into = format!("INSERT INTO {} (hw_n, hw_present{names})", self.stage);
        Filler::new(&into, 2 + self.columns.len())
    }

    /// What fills the table.
    pub(super) fn loader(&self) -> Filler {
        let carried = self.written.len() - self.lookups.len();
        // The statement's own OR counts for more than an ON CONFLICT of the table's definition, which
        // might remove rows, skip them or roll everything back.
        let into = format!(
            "INSERT OR ABORT INTO {} ({})",
            self.table,
            value::join(self.written.iter().take(carried).map(|w| w.column.clone()), ", ")
        );
        Filler::new(&into, carried)
    }

    /// The picked rows as an operator's SQL sees them: those that are present, or the keys of others.
    /// With their numbers, if that is asked for.
    pub(super) fn changed(&self, pick: Pick<'_>, present: bool, numbered: bool) -> String {
        let column = |(name, staged, key): &(String, String, bool)| {
            if present || *key { format!("s.{staged} AS {name}") } else { format!("NULL AS {name}") }
        };
        let number = numbered.then(|| "s.hw_n".to_string());
        format!(
            "WITH changed AS (SELECT {} FROM {} AS s WHERE {}s.hw_present{})",
            value::join(number.into_iter().chain(self.changed.iter().map(column)), ", "),
            self.stage,
            if present { "" } else { "NOT " },
            pick.condition()
        )
    }

    /// Computes what is looked up for the rows of keys that are present.
    pub(super) fn resolve(&self, pick: Pick<'_>) -> Option<String> {
        if self.lookups.is_empty() {
            return None;
        }
        let lookup = |(x, sql): (usize, &String)| format!("{} AS x{}", enclosed(sql), x + 1);
        let set = (1..=self.lookups.len()).map(|x| format!("x{x} = r.x{x}"));
        Some(format!(
            "UPDATE {} AS q SET {} FROM ({} SELECT hw_n, {} FROM changed) AS r WHERE r.hw_n = q.hw_n",
            self.stage,
            value::join(set, ", "),
            self.changed(pick, true, true),
            value::join(self.lookups.iter().enumerate().map(lookup), ", ")
        ))
    }

    /// Takes the numbers in the list `?1` out.
    pub(super) fn unstage(&self) -> String {
        format!("DELETE FROM {} WHERE hw_n IN (SELECT value FROM json_each(?1))", self.stage)
    }

    /// What stands in columns of the rows of keys.
    pub(super) fn standing(&self, columns: &[String]) -> String {
        format!(
            "SELECT s.hw_n{} FROM {} AS s JOIN {} AS t ON {} ORDER BY s.hw_n",
            value::join(columns.iter().map(|c| format!(", t.{}", quote(c))), ""),
            self.stage,
            self.table,
            self.same()
        )
    }

    /// Stages rows `t` of the table that meet a condition as keys that are absent, with numbers below 0.
    pub(super) fn stage_doomed(&self, condition: &str) -> String {
        let Matched { columns, .. } = &self.matched;
        format!(
            "INSERT INTO {} (hw_n, hw_present{}) SELECT -row_number() OVER (), 0{} FROM {} AS t WHERE {condition}",
            self.stage,
            value::join(columns.iter().map(|m| format!(", {}", m.staged)), ""),
            value::join(columns.iter().map(|m| format!(", t.{}", m.column)), ""),
            self.table
        )
    }

    /// The numbers below 0.
    pub(super) fn doomed(&self) -> String {
        format!("SELECT hw_n FROM {} WHERE hw_n < 0", self.stage)
    }

    /// All numbers in the stage.
    pub(super) fn numbers(&self) -> String {
        format!("SELECT hw_n FROM {} ORDER BY hw_n", self.stage)
    }

    /// The numbers of the rows that are present.
    pub(super) fn present(&self) -> String {
        format!("SELECT hw_n FROM {} WHERE hw_present ORDER BY hw_n", self.stage)
    }

    /// Numbers and keys of the stage, those in the list `?1`.
    pub(super) fn keys(&self) -> String {
        format!(
            "SELECT hw_n, {} FROM {} WHERE hw_n IN (SELECT value FROM json_each(?1))",
            key_names("", self.key),
            self.stage
        )
    }

    /// Deletes the rows of keys that are absent.
    pub(super) fn delete_absent(&self, pick: Pick<'_>) -> String {
        self.delete(&format!("NOT s.hw_present{}", pick.condition()))
    }

    /// Deletes the rows of keys.
    pub(super) fn delete_found(&self, pick: Pick<'_>) -> String {
        self.delete(&format!("1{}", pick.condition()))
    }

    fn delete(&self, condition: &str) -> String {
        let found = value::join(self.identity.iter().map(|c| format!("t.{c}")), ", ");
        format!(
            "DELETE FROM {} WHERE ({}) IN (SELECT {found} FROM {} AS s JOIN {} AS t ON {} WHERE {condition})",
            self.table,
            self.identity.join(", "),
            self.stage,
            self.table,
            self.same()
        )
    }

    /// Updates the rows of keys that are present, in place.
    pub(super) fn update_present(&self, pick: Pick<'_>) -> Option<String> {
        let always = self.written.iter().filter(|w| w.on == On::Always);
        let set = value::join(always.map(|w| format!("{} = s.{}", w.column, w.staged)), ", ");
        if set.is_empty() {
            return None;
        }
        Some(format!(
            "UPDATE OR ABORT {} AS t SET {set} FROM {} AS s WHERE s.hw_present AND {}{}",
            self.table,
            self.stage,
            self.same(),
            pick.condition()
        ))
    }

    /// Inserts the rows of keys that are present and not in the table.
    pub(super) fn insert_present(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} AS s WHERE s.hw_present{} \
             AND NOT EXISTS (SELECT 1 FROM {} AS t WHERE {})",
            self.table,
            value::join(self.written.iter().map(|w| w.column.clone()), ", "),
            value::join(self.written.iter().map(|w| format!("s.{}", w.staged)), ", "),
            self.stage,
            pick.condition(),
            self.table,
            self.same()
        )
    }

    /// The reason for which one of the picked rows is parked: a value is another one in the table.
    pub(super) fn changed_value(&self, pick: Pick<'_>) -> String {
        format!(
            "SELECT reason FROM (SELECT {} AS reason FROM {} AS s JOIN {} AS t ON {} WHERE s.hw_present{}) \
             WHERE reason IS NOT NULL LIMIT 1",
            self.compared.reason(),
            self.stage,
            self.table,
            self.same(),
            pick.condition()
        )
    }

    /// Keeps the rows of keys, whole, as they are.
    pub(super) fn keep_found(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT INTO {} SELECT s.hw_n, {} FROM {} AS s JOIN {} AS t ON {} WHERE 1{}",
            self.lifted,
            value::join(self.whole.iter().map(|c| format!("t.{c}")), ", "),
            self.stage,
            self.table,
            self.same(),
            pick.condition()
        )
    }

    /// Puts kept rows of keys that are present back, with the columns that are always written as staged.
    pub(super) fn put_changed(&self, pick: Pick<'_>) -> String {
        let written = |whole: &String| self.written.iter().find(|w| w.column == *whole && w.on == On::Always);
        let column = |(i, whole): (usize, &String)| match written(whole) {
            Some(written) => format!("s.{}", written.staged),
            None => format!("l.c{}", i + 1),
        };
        format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} AS s JOIN {} AS l USING (hw_n) WHERE s.hw_present{}",
            self.table,
            self.whole.join(", "),
            value::join(self.whole.iter().enumerate().map(column), ", "),
            self.stage,
            self.lifted,
            pick.condition()
        )
    }

    /// Puts kept rows back as they were.
    pub(super) fn put_unchanged(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} AS s WHERE 1{}",
            self.table,
            self.whole.join(", "),
            value::join((1..=self.whole.len()).map(|n| format!("s.c{n}")), ", "),
            self.lifted,
            pick.condition()
        )
    }

    /// Puts kept rows of keys that are absent back as they were.
    pub(super) fn put_absent(&self, pick: Pick<'_>) -> String {
        let absent = format!("SELECT hw_n FROM {} WHERE NOT hw_present", self.stage);
        format!("{} AND s.hw_n IN ({absent})", self.put_unchanged(pick))
    }

    /// How many kept rows have a key that is absent.
    pub(super) fn count_gone(&self, pick: Pick<'_>) -> String {
        format!(
            "SELECT count(*) FROM {} AS s JOIN {} AS l USING (hw_n) WHERE NOT s.hw_present{}",
            self.stage,
            self.lifted,
            pick.condition()
        )
    }

    /// Forgets kept rows.
    pub(super) fn forget(&self, pick: Pick<'_>) -> String {
        format!("DELETE FROM {} AS s WHERE 1{}", self.lifted, pick.condition())
    }

    fn same(&self) -> String {
        self.matched.same("s")
    }
}

/// What the table makes of the values that are looked up.
fn lookup_types<'a>(table: &TablePlan, shape: &'a Shape) -> Vec<&'a str> {
    let of = |lookup: &Lookup| shape.column(&lookup.target).map_or("BLOB", |c| shape.affinity(c));
    table.rule.lookups.iter().map(of).collect()
}

/// What a row is staged with: names, each with its type. Without one, values wait as they came. Those
/// that `changed` shows have the source's, which makes nothing else of them: so they compare as there.
fn staged_columns(table: &TablePlan, typed: bool) -> Vec<(String, String)> {
    let mut columns: Vec<(String, String)> = Vec::new();
    let of = |at: Staged| (place(at), String::new());
    columns.extend((0..table.key.len()).map(|k| of(Staged::Key(k))));
    columns.extend((0..table.columns.len()).map(|c| of(Staged::Carried(c))));
    columns.extend((0..table.rule.also.len()).map(|a| of(Staged::Also(a))));
    if typed {
        for (_, kind, at) in table.changed() {
            let name = place(at);
            if let Some(column) = columns.iter_mut().find(|(found, _)| *found == name) {
                column.1 = typed_as(kind);
            }
        }
    }
    columns
}

/// The type of a staged column with its collation, and a space before it.
fn typed_as(declared: &str) -> String {
    let collate = declared.rsplit_once("COLLATE ").map(|(_, c)| format!(" COLLATE {}", quote(c)));
    format!(" {}{}", bare(declared), collate.unwrap_or_default())
}

/// The columns by which a key's row is found.
#[derive(Debug, Clone)]
pub(super) struct Matched {
    pub(super) columns: Vec<MatchedColumn>,
}

/// A column by which a key's row is found.
#[derive(Debug, Clone)]
pub(super) struct MatchedColumn {
    /// Its name, as SQL.
    pub(super) column: String,
    /// The collation by which the target tells it apart, to be put behind the other side.
    pub(super) collate: String,
    /// What the target makes of its values.
    pub(super) kind: &'static str,
    /// Where its value is staged.
    pub(super) staged: String,
    /// The literal, where it is the same for all rows.
    pub(super) constant: Option<String>,
}

impl Matched {
    /// Of a target table of that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape) -> Self {
        let names: Vec<&str> = table.matched().map(|(pair, _)| pair.target.as_str()).collect();
        let key = shape.key_columns(&names);
        let column = |(i, (pair, at)): (usize, (&ColumnPair, Staged))| {
            let known = key.as_ref().and_then(|key| key.get(i)).map(|k| k.collate.clone());
            let known = known.or_else(|| shape.key_collation(&pair.target));
            MatchedColumn {
                column: quote(&pair.target),
                // While a copy makes the table, its key's index may come after the rows.
                collate: known.unwrap_or_else(|| {
                    let collate = pair.source_type.rsplit_once("COLLATE ").map_or("BINARY", |(_, c)| c);
                    format!(" COLLATE {}", quote(collate))
                }),
                kind: shape.column(&pair.target).map_or("BLOB", |c| shape.affinity(c)),
                staged: place(at),
                constant: pair.expression.clone().filter(|_| pair.is_constant()),
            }
        };
        Matched { columns: table.matched().enumerate().map(column).collect() }
    }

    /// That a row `t` of the table is this source table's own, if others write there too.
    pub(super) fn own(&self) -> Option<String> {
        let own = |m: &MatchedColumn| {
            m.constant.as_ref().map(|c| format!("t.{} = {}{}", m.column, enclosed(c), m.collate))
        };
        let own: Vec<String> = self.columns.iter().filter_map(own).collect();
        (!own.is_empty()).then(|| own.join(" AND "))
    }

    /// That a row `t` of the table is the one of a staged row. The column stands on the left, and the
    /// staged one has no type: the target's rules count.
    pub(super) fn same(&self, staged: &str) -> String {
        let same = |m: &MatchedColumn| format!("t.{} = +{staged}.{}{}", m.column, m.staged, m.collate);
        value::join(self.columns.iter().map(same), " AND ")
    }
}

/// Which of the staged numbers a statement is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick<'a>(pub(super) Option<&'a [i64]>);

impl Pick<'_> {
    pub(super) fn condition(self) -> &'static str {
        match self.0 {
            None => "",
            Some(_) => " AND s.hw_n IN (SELECT value FROM json_each(?1))",
        }
    }

    /// The list that the condition speaks of.
    pub(super) fn args(self) -> Result<SqliteArguments, sqlx::Error> {
        match self.0 {
            None => Ok(SqliteArguments::default()),
            Some(numbers) => value::texts(&[&list(numbers)]),
        }
    }
}

/// Numbers as a JSON list.
pub(super) fn list(numbers: &[i64]) -> String {
    format!("[{}]", value::join(numbers.iter().map(i64::to_string), ","))
}

/// Inserts rows, many with one statement.
pub(super) struct Filler {
    into: String,
    width: usize,
    statements: Vec<(usize, String)>,
}

impl Filler {
    /// `into` is all before VALUES.
    pub(super) fn new(into: &str, width: usize) -> Self {
        let row = format!("({})", vec!["?"; width.max(1)].join(", "));
        let most = (MOST_VARIABLES / width.max(1)).max(1);
        let statement =
            |size: usize| (size, format!("{into} VALUES {}", vec![row.as_str(); size].join(", ")));
        let statements = SIZES.into_iter().filter(|size| *size <= most).map(statement).collect();
        Filler { into: into.to_string(), width, statements }
    }

    /// Inserts the rows.
    pub(super) async fn insert(
        &self,
        session: &mut Session,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), sqlx::Error> {
        let (plain, odd): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.iter().all(value::binds));
        let mut plain = plain.into_iter();
        for (size, sql) in &self.statements {
            while plain.len() >= *size {
                let mut args = SqliteArguments::default();
                for part in plain.by_ref().take(*size).flatten() {
                    value::bind(&mut args, part)?;
                }
                session.run_with(sql.clone(), args).await?;
            }
        }
        for row in odd {
            self.insert_odd(session, row).await?;
        }
        Ok(())
    }

    /// A row with text that is not UTF-8.
    async fn insert_odd(&self, session: &mut Session, row: Vec<Value>) -> Result<(), sqlx::Error> {
        let places: Vec<&str> = row.iter().map(value::placeholder).collect();
        let sql = format!("{} VALUES ({})", self.into, places.join(", "));
        let mut args = SqliteArguments::default();
        for part in row {
            value::bind(&mut args, part)?;
        }
        session.run_with(sql, args).await?;
        Ok(())
    }

    /// Fails unless the rows have the width of the statement.
    pub(super) fn check(&self, rows: &[Vec<Value>]) -> Result<()> {
        match rows.iter().find(|row| row.len() != self.width) {
            Some(row) => {
                Err(Error::failed(format!("a row of {} values where {} belong", row.len(), self.width)))
            }
            None => Ok(()),
        }
    }
}
