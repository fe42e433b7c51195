//! The rows that REPLACE removes: no DELETE trigger fires for them unless the writer has
//! `recursive_triggers` on. So BEFORE triggers look them up, by every unique index, and log their keys.
//!
//! A BEFORE trigger sees the new row as the statement gives it. REPLACE changes one thing more before it
//! looks for rows that are in the way: it puts the default in the place of a NULL that a column refuses. A
//! default that is a literal is compared as such. Of any other default the value is not known beforehand, nor is
//! what an expression or a generated column makes of a default: then that term of the index is left out, and
//! the keys of more rows are logged than the ones that go. Each costs a look at it. The same holds for an
//! expression over a value that its column's affinity does not suit (a text in an INTEGER column).

use super::capture::{columns, key_names};
use super::catalog::{KeyColumn, Shape, ShapeColumn, Term, Unique};
use super::parse::{self, IndexText};
use super::value;
use crate::error::{Error, Result};
use crate::model::quote;

/// The kind of an entry that is no change: a row with that key was there when one was about to be inserted.
pub(super) const MET: char = 'K';

/// The bodies of the triggers that find rows which REPLACE is about to remove.
pub(super) struct Replaced {
    /// Of the trigger BEFORE INSERT.
    pub(super) by_insert: String,
    /// Of the trigger BEFORE UPDATE.
    pub(super) by_update: String,
    /// When the latter fires.
    pub(super) when: String,
}

impl Replaced {
    /// `None` when nothing can be in a new row's way.
    ///
    /// # Errors
    /// [`crate::error::Kind::Table`] when an index can't be understood.
    pub(super) fn find(shape: &Shape, key: &[KeyColumn], log: &str) -> Result<Option<Self>> {
        let names: Vec<&str> = key.iter().map(|k| k.name.as_str()).collect();
        let kind = |is_key: bool| if is_key { MET } else { 'R' };
        let own = shape.key_index(&names);
        // The rowid can be given even where no column names it; the column that does may not be the key.
        let named = shape.rowid_column.as_deref();
        let rowid = named.map(quote).or_else(|| shape.rowid().map(ToString::to_string));
        let by_rowid = rowid.as_ref().map(|rowid| {
            (kind(named.is_some_and(|column| names == [column])), format!("t.{rowid} = NEW.{rowid}"))
        });
        let mut conditions: Vec<(char, String)> = by_rowid.into_iter().collect();
        for index in &shape.unique {
            let is_key = own.is_some_and(|own| std::ptr::eq(index, own));
            conditions.extend(in_the_way(shape, index)?.into_iter().map(|found| (kind(is_key), found)));
        }
        if conditions.is_empty() {
            return Ok(None);
        }
        let logged = key_names("", names.len());
        let found = columns("t", &names);
        let itself = key.iter().map(|k| format!("t.{0} IS OLD.{0}{1}", quote(&k.name), k.collate));
        let itself = value::join(itself, " AND ");
        let body = |more: &str| {
            let statement = |(kind, condition): &(char, String)| {
                format!(
                    "    INSERT INTO {} (kind, {logged}) SELECT '{kind}', {found} FROM {} AS t WHERE {condition}{more};",
                    quote(log),
                    quote(&shape.name)
                )
            };
            value::join(conditions.iter().map(statement), "\n")
        };
        Ok(Some(Replaced {
            by_insert: body(""),
            by_update: body(&format!(" AND NOT ({itself})")),
            when: when(shape, rowid.as_deref()),
        }))
    }
}

/// An update that leaves all indexed columns alone is in nobody's way. What an expression or a partial
/// index looks at is not known, so then every update is looked at.
fn when(shape: &Shape, rowid: Option<&str>) -> String {
    if !shape.unique.iter().all(Unique::is_plain) {
        return String::new();
    }
    let indexed = shape.unique.iter().flat_map(|u| u.columns().unwrap_or_default()).map(|c| quote(&c));
    // As bytes: an index may tell values apart that the column's own collation does not.
    let changed = rowid.map(ToString::to_string).into_iter().chain(indexed);
    let changed = changed.map(|c| format!("NEW.{c} IS NOT OLD.{c} COLLATE BINARY"));
    // A default that is put in may change a generated column after the trigger.
    let emptied = defaulted(shape).map(is_emptied);
    format!("\nWHEN {}", value::join(changed.chain(emptied), " OR "))
}

/// The columns in which REPLACE puts the default in the place of NULL.
fn defaulted(shape: &Shape) -> impl Iterator<Item = &ShapeColumn> {
    let refuses = |c: &&ShapeColumn| {
        shape.is_not_null(c) && c.default.is_some() && shape.rowid_column.as_deref() != Some(&c.name)
    };
    shape.columns.iter().filter(refuses)
}

fn is_emptied(column: &ShapeColumn) -> String {
    format!("NEW.{} IS NULL", quote(&column.name))
}

/// A term of an index as it compares the new row with one that is there.
struct Compared {
    /// That the row `t` has the new row's value.
    same: String,
    /// When the new row's value is not known.
    unknown: Vec<String>,
}

impl Compared {
    /// `text` is the index's, where it has one.
    fn new(shape: &Shape, term: &Term, text: Option<&str>) -> Option<Self> {
        let collation = quote(&term.collation);
        let of_row = || defaulted(shape).map(is_emptied).collect::<Vec<_>>();
        let Some(name) = &term.column else {
            let text = text?;
            let mentioned = parse::mentioned(text);
            let mentions = |c: &ShapeColumn| mentioned.iter().any(|name| name.eq_ignore_ascii_case(&c.name));
            let typed: Vec<Typed> = shape.columns.iter().map(|c| Typed::new(shape, c, mentions(c))).collect();
            let row = value::join(typed.iter().map(|t| t.value.clone()), ", ");
            // The same expression over a row of the new values.
            let same = format!("({text}) = (SELECT {text} FROM (SELECT {row}) AS t) COLLATE {collation}");
            let unknown = of_row().into_iter().chain(typed.into_iter().filter_map(|t| t.odd)).collect();
            return Some(Compared { same, unknown });
        };
        let column = quote(name);
        let default = defaulted(shape).find(|c| c.name == *name);
        let literal = default.and_then(|c| c.default.as_deref()).filter(|sql| parse::is_literal(sql));
        let given = match literal {
            Some(literal) => format!("coalesce(NEW.{column}, {literal})"),
            None => format!("NEW.{column}"),
        };
        let unknown = match default {
            Some(column) if literal.is_none() => vec![is_emptied(column)],
            None if shape.column(name).is_some_and(|c| c.computed) => of_row(),
            _ => Vec::new(),
        };
        Some(Compared { same: format!("t.{column} = {given} COLLATE {collation}"), unknown })
    }
}

/// The conditions under which a row `t` has the same place in a unique index as the new row; the second, where
/// there is one, takes in every row that may have it.
fn in_the_way(shape: &Shape, index: &Unique) -> Result<Vec<String>> {
    let fault = || {
        Error::table(format!("its unique index {} can't be understood: {:?}", index.name, index.sql))
            .remedy("add the table to `exclude`, or drop the index for the time of the migration")
    };
    let text = if index.is_plain() { None } else { Some(index_text(index).ok_or_else(fault)?) };
    let term = |(i, term): (usize, &Term)| {
        Compared::new(shape, term, text.as_ref().and_then(|t| t.terms.get(i)).map(String::as_str))
    };
    let terms: Vec<Compared> =
        index.terms.iter().enumerate().map(term).collect::<Option<_>>().ok_or_else(fault)?;
    let filter = text.and_then(|t| t.filter).map(|filter| format!("({filter})"));
    let among = |first: Option<String>, terms: Vec<&Compared>| {
        let same = terms.into_iter().map(|term| term.same.clone());
        value::join(first.into_iter().chain(same).chain(filter.clone()), " AND ")
    };
    let mut found = vec![among(None, terms.iter().collect())];
    let unknown: Vec<String> = terms.iter().flat_map(|term| term.unknown.clone()).collect();
    if !unknown.is_empty() {
        let known = terms.iter().filter(|term| term.unknown.is_empty()).collect();
        found.push(among(Some(format!("({})", unknown.join(" OR "))), known));
    }
    Ok(found)
}

fn index_text(index: &Unique) -> Option<IndexText> {
    let text = parse::index(index.sql.as_deref()?)?;
    (text.terms.len() == index.terms.len()).then_some(text)
}

/// A column of the new row as an expression of an index must see it: NEW has no affinity, by which a comparison with
/// a column would convert the other side. CAST has one, and leaves the values as they are that a column of
/// that affinity mostly holds.
struct Typed {
    /// `.. AS name`.
    value: String,
    /// When CAST would change the value.
    odd: Option<String>,
}

impl Typed {
    fn new(shape: &Shape, column: &ShapeColumn, is_mentioned: bool) -> Self {
        let name = quote(&column.name);
        let (affinity, kept) = match shape.affinity(column) {
            "TEXT" if is_mentioned => ("TEXT", "'text', 'null'"),
            "REAL" if is_mentioned => ("REAL", "'real', 'null'"),
            "INTEGER" | "NUMERIC" if is_mentioned => ("NUMERIC", "'integer', 'real', 'null'"),
            _ => return Typed { value: format!("NEW.{name} AS {name}"), odd: None },
        };
        Typed {
            value: format!("CAST(NEW.{name} AS {affinity}) AS {name}"),
            odd: Some(format!("typeof(NEW.{name}) NOT IN ({kept})")),
        }
    }
}
