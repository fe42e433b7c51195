//! Which values a column of PostgreSQL takes as they are, by the types of both sides.
//!
//! Values travel as text where types differ. A cast from text never fails to say that it rounds, cuts off
//! spaces or drops a part: so what it makes of a value is converted back and compared.

use super::connect::literal;
use super::shape::{Found, Shape};
use super::statements::{Pick, Which};
use crate::engine::fit::{Fit, reason};
use crate::model::{ColumnPair, Lookup, On, TablePlan};

/// What kind of values a type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Integer,
    Numeric,
    Real,
    Double,
    Text,
    Char,
    Date,
    Timestamp,
    Zoned,
    Time,
    ZonedTime,
    Interval,
    Boolean,
    Other,
}

/// A type as `format_type` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Type {
    family: Family,
    sizes: Vec<i32>,
}

impl Type {
    fn of(name: &str) -> Type {
        let (word, rest) = name.split_once('(').unwrap_or((name, ""));
        let (inner, behind) = rest.split_once(')').unwrap_or(("", ""));
        let whole = format!("{}{behind}", word.trim_end());
        let family = match whole.as_str() {
            "smallint" | "integer" | "bigint" => Family::Integer,
            "numeric" => Family::Numeric,
            "real" => Family::Real,
            "double precision" => Family::Double,
            "text" | "character varying" => Family::Text,
            "character" => Family::Char,
            "date" => Family::Date,
            "timestamp without time zone" => Family::Timestamp,
            "timestamp with time zone" => Family::Zoned,
            "time without time zone" => Family::Time,
            "time with time zone" => Family::ZonedTime,
            "interval" => Family::Interval,
            "boolean" => Family::Boolean,
            _ => Family::Other,
        };
        Type { family, sizes: inner.split(',').filter_map(|n| n.trim().parse().ok()).collect() }
    }

    /// The greatest length, or the digits of a fraction of a second.
    fn size(&self) -> i32 {
        let most = if matches!(self.family, Family::Text | Family::Char) { i32::MAX } else { 6 };
        self.sizes.first().copied().unwrap_or(most)
    }

    /// The digits behind the point.
    fn scale(&self) -> Option<i32> {
        match (self.family, self.sizes.as_slice()) {
            (Family::Integer, _) => Some(0),
            (_, []) => None,
            (_, sizes) => Some(sizes.get(1).copied().unwrap_or(0)),
        }
    }
}

/// How it is found out that a value would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// It reads back as another text.
    Text,
    /// The same, but for spaces at the end, which are padding.
    Padded,
    /// It is another number.
    Number,
    /// It is another double precision number.
    Double,
    /// Converted back to the source's type it is another text.
    Back,
    /// It is another value of the type without a length.
    Unlimited,
}

/// What is done with a pair of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    fit: Fit,
    check: Option<Check>,
    /// What a value's text is read as before it becomes the target's.
    via: Via,
}

/// What stands between the text of a value and its cast to the target's type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Via {
    /// Nothing.
    #[default]
    Nothing,
    /// A `real`, whose text names another number in double precision.
    Real,
    /// A truth, which a cast calls `true` and its text `t`.
    Truth,
    /// A number without zeros at its end: `1.0` is no text of an integer.
    Trimmed,
}

impl Via {
    /// The staged column on its way.
    pub(super) fn of(self, at: &str) -> String {
        match self {
            Via::Nothing => at.to_string(),
            Via::Real => format!("{at}::real"),
            Via::Truth => format!("{at}::boolean::text"),
            Via::Trimmed => format!("trim_scale({at}::numeric)::text"),
        }
    }
}

const ROUNDS: &str = "it rounds to fewer decimal places";
const WHOLE: &str = "it holds whole numbers";
const DIGITS: &str = "it holds fewer digits";
const SHORTER: &str = "it is shorter, and cuts off spaces at the end";
const SPACES: &str = "it drops spaces at the end";
const FRACTION: &str = "it rounds fractions of a second";
const DAY: &str = "it drops the time of day";
const OTHER: &str = "it holds another kind of values, some of which read back as another text";
const ZONE: &str = "one has a time zone, the other has none, and nothing says which zone is meant";

fn exact() -> Way {
    Way { fit: Fit::Exact, check: None, via: Via::Nothing }
}

fn checked(fit: Fit, check: Check) -> Way {
    Way { fit, check: Some(check), via: Via::Nothing }
}

/// The table: what is done with a column that is carried as it is.
fn way(from: &Type, to: &Type) -> Way {
    use Family::{
        Boolean, Char, Date, Double, Integer, Interval, Numeric, Real, Text, Time, Timestamp, Zoned,
        ZonedTime,
    };
    let zone = |instead| Way { fit: Fit::Blocked { why: ZONE, instead }, check: None, via: Via::Nothing };
    let not_less = |less: Way| if to.size() >= from.size() { exact() } else { less };
    match (from.family, to.family) {
        (Integer, Integer | Text | Char) => exact(),
        (Integer | Numeric, Numeric) => match (from.scale(), to.scale()) {
            (_, None) => exact(),
            (Some(from), Some(to)) if to >= from => exact(),
            _ => checked(Fit::Compared(ROUNDS), Check::Number),
        },
        // What is not whole is refused.
        (Numeric, Integer) => Way { via: Via::Trimmed, ..exact() },
        (Integer | Numeric, Real | Double) => checked(Fit::Merged(DIGITS), Check::Number),
        (Real, Double) => Way { via: Via::Real, ..exact() },
        (Double, Real) => checked(Fit::Merged(DIGITS), Check::Double),
        (Real | Double, Integer) => Way { via: Via::Trimmed, ..checked(Fit::Merged(WHOLE), Check::Back) },
        (Real | Double, Numeric) => checked(Fit::Merged(ROUNDS), Check::Back),
        (Text, Text) => not_less(checked(Fit::Compared(SHORTER), Check::Text)),
        (Text, Char) => checked(Fit::Merged(SPACES), Check::Text),
        (Char, Char | Text) => not_less(checked(Fit::Compared(SHORTER), Check::Padded)),
        (Timestamp, Timestamp) | (Zoned, Zoned) | (Time, Time) | (ZonedTime, ZonedTime) => {
            not_less(checked(Fit::Compared(FRACTION), Check::Back))
        }
        (Interval, Interval) => not_less(checked(Fit::Compared(FRACTION), Check::Text)),
        (Date, Timestamp) => exact(),
        (Timestamp, Date) => checked(Fit::Merged(DAY), Check::Back),
        (Timestamp | Date, Zoned) | (Zoned, Timestamp) => zone(Some("{} AT TIME ZONE '..'")),
        (Zoned, Date) => zone(Some("({} AT TIME ZONE '..')::date")),
        (Time, ZonedTime) | (ZonedTime, Time) => zone(None),
        (Boolean, Text | Char) => Way { via: Via::Truth, ..exact() },
        // Whatever has a text has it there.
        (_, Text) => exact(),
        // A text may be written in several ways.
        (Text | Char, _) => checked(Fit::Merged(OTHER), Check::Text),
        _ => checked(Fit::Compared(OTHER), Check::Text),
    }
}

/// What is done with the text that a rule's expression gives: what it is of is not known.
fn computed(to: &Type) -> Way {
    match (to.family, to.sizes.is_empty()) {
        (Family::Real | Family::Double, _) => checked(Fit::Compared(DIGITS), Check::Number),
        (Family::Numeric, false) => checked(Fit::Compared(ROUNDS), Check::Number),
        (Family::Text, false) => checked(Fit::Compared(SHORTER), Check::Text),
        (Family::Char, _) => checked(Fit::Compared(SHORTER), Check::Padded),
        (Family::Timestamp | Family::Zoned | Family::Time | Family::ZonedTime, false) => {
            checked(Fit::Compared(FRACTION), Check::Unlimited)
        }
        _ => exact(),
    }
}

fn way_of(pair: &ColumnPair) -> Way {
    match &pair.expression {
        None if pair.source_type == pair.target_type => exact(),
        None => way(&Type::of(&pair.source_type), &Type::of(&pair.target_type)),
        Some(_) if pair.is_constant() => exact(),
        Some(_) => computed(&Type::of(&pair.target_type)),
    }
}

/// How the target column takes the values.
pub(in crate::engine) fn fit(pair: &ColumnPair) -> Fit {
    way_of(pair).fit
}

/// How staged values become the column's, and how it is found out that one would change.
#[derive(Debug, Clone, Default)]
pub(super) struct Conversion {
    /// What stands between the staged column and its cast.
    pub(super) via: Via,
    /// Whether a value would change.
    pub(super) changes: Option<Changes>,
}

impl Conversion {
    /// Of the staged column `at` into the column `found`.
    ///
    /// What a command has passed on is written as the command writes it.
    pub(super) fn of(table: &TablePlan, pair: &ColumnPair, found: &Found, at: &str) -> Conversion {
        let way = if table.rule.transform.is_some() {
            computed(&Type::of(&pair.target_type))
        } else {
            way_of(pair)
        };
        let is_checked = pair.fidelity.is_exact() && pair.on == On::Always;
        let changes = match (way.check, way.fit) {
            (Some(check), Fit::Compared(why) | Fit::Merged(why)) if is_checked => Some(Changes {
                sql: changes(check, way.via, at, &pair.source_type, found),
                reason: reason(&found.name, &found.full_type, why),
            }),
            _ => None,
        };
        Conversion { via: way.via, changes }
    }

    /// Whether COPY right into the table would do the same.
    pub(super) fn is_plain(&self) -> bool {
        self.via == Via::Nothing && self.changes.is_none()
    }
}

/// What stands between a staged value and its cast.
pub(super) fn via(pair: &ColumnPair) -> Via {
    way_of(pair).via
}

/// Tells the rows in which a value would change.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    /// Whether it would, as SQL on the staged row.
    pub(super) sql: String,
    /// Why the row is parked.
    pub(super) reason: String,
}

impl Changes {
    /// Of what was looked up as `at`: it has the column's type, but not yet its length.
    pub(super) fn of_lookup(lookup: &Lookup, found: &Found, at: &str) -> Option<Changes> {
        let way = computed(&Type::of(&found.full_type));
        let is_checked = lookup.fidelity.is_exact() && lookup.on == On::Always;
        let Fit::Compared(why) = way.fit else { return None };
        is_checked.then(|| Changes {
            sql: changes(Check::Unlimited, Via::Nothing, at, "", found),
            reason: reason(&found.name, &found.full_type, why),
        })
    }
}

impl Shape {
    /// Whether COPY right into the table makes the same of every value as the stage does.
    pub(super) fn loads_plainly(&self) -> bool {
        self.carried.iter().all(|c| c.conversion.is_plain())
    }

    /// Queries that give the reason for which one of the picked rows is parked, if there is one.
    pub(super) fn changed_values(&self, pick: Pick<'_>) -> Vec<String> {
        let carried: Vec<&Changes> =
            self.carried.iter().filter_map(|c| c.conversion.changes.as_ref()).collect();
        let looked_up: Vec<&Changes> = self.looked_up.iter().filter_map(|c| c.changes.as_ref()).collect();
        let staged = first_change(&carried, &self.picked(Which::Present, pick));
        let resolved = first_change(&looked_up, &self.resolved());
        staged.into_iter().chain(resolved).collect()
    }

    /// The same of a keyless table's rows.
    pub(super) fn changed_in_rows(&self) -> Option<String> {
        let carried: Vec<&Changes> =
            self.carried.iter().filter_map(|c| c.conversion.changes.as_ref()).collect();
        first_change(&carried, &self.rows())
    }
}

fn first_change(all: &[&Changes], rows: &str) -> Option<String> {
    let case = |c: &&Changes| format!(" WHEN {} THEN {}", c.sql, literal(&c.reason));
    let cases: String = all.iter().map(case).collect();
    let reasons = format!("SELECT CASE{cases} END AS reason FROM (SELECT * FROM {rows} OFFSET 0) AS s");
    (!all.is_empty()).then(|| format!("SELECT reason FROM ({reasons}) AS r WHERE reason IS NOT NULL LIMIT 1"))
}

fn changes(check: Check, via: Via, at: &str, source: &str, found: &Found) -> String {
    let made = format!("({}::{})", via.of(at), found.full_type);
    let base = &found.type_name;
    match check {
        Check::Text => format!("{made}::text IS DISTINCT FROM {at}"),
        Check::Padded => format!("rtrim({made}::text, ' ') IS DISTINCT FROM rtrim({at}, ' ')"),
        Check::Number => format!("{made}::text::numeric IS DISTINCT FROM {at}::numeric"),
        Check::Double => format!("{made}::double precision IS DISTINCT FROM {at}::double precision"),
        Check::Back => format!("{made}::{source}::text IS DISTINCT FROM {at}"),
        Check::Unlimited => format!("{made}::{base} IS DISTINCT FROM {at}::{base}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_values_is_told_by_both_types() {
        let fit = |from: &str, to: &str| fit(&ColumnPair::plain("c", from, "c", to));
        for (from, to) in [
            ("bigint", "smallint"),
            ("integer", "numeric(10,2)"),
            ("numeric(10,2)", "numeric(8,4)"),
            ("real", "double precision"),
            ("numeric(12,4)", "bigint"),
            ("character varying(5)", "text"),
            ("character(5)", "character varying(5)"),
            ("date", "timestamp(0) without time zone"),
            ("uuid", "character varying(36)"),
            ("timestamp(3) with time zone", "timestamp with time zone"),
        ] {
            assert_eq!(fit(from, to), Fit::Exact, "{from} into {to}");
        }
        for (from, to) in [
            ("numeric(12,4)", "numeric(12,1)"),
            ("numeric", "numeric(12,1)"),
            ("integer", "numeric(3,-2)"),
            ("text", "character varying(5)"),
            ("timestamp without time zone", "timestamp(0) without time zone"),
            ("interval", "interval(0)"),
            ("app.mood", "app.feeling"),
        ] {
            assert!(matches!(fit(from, to), Fit::Compared(_)), "{from} into {to}");
        }
        for (from, to) in [
            ("double precision", "real"),
            ("bigint", "double precision"),
            ("text", "uuid"),
            ("text", "character(5)"),
            ("timestamp without time zone", "date"),
        ] {
            assert!(matches!(fit(from, to), Fit::Merged(_)), "{from} into {to}");
        }
        for (from, to) in [
            ("timestamp without time zone", "timestamp(3) with time zone"),
            ("timestamp with time zone", "timestamp without time zone"),
            ("timestamp with time zone", "date"),
            ("time without time zone", "time with time zone"),
        ] {
            assert!(matches!(fit(from, to), Fit::Blocked { .. }), "{from} into {to}");
        }
    }

    #[test]
    fn what_an_expression_gives_is_checked_where_the_column_has_a_length() {
        let fit = |to: &str| {
            fit(&ColumnPair { expression: Some("a + b".into()), ..ColumnPair::plain("c", "text", "c", to) })
        };
        assert!(matches!(fit("numeric(5,2)"), Fit::Compared(_)) && fit("numeric") == Fit::Exact);
        assert!(matches!(fit("character varying(5)"), Fit::Compared(_)) && fit("text") == Fit::Exact);
        assert!(matches!(fit("time(0) without time zone"), Fit::Compared(_)) && fit("date") == Fit::Exact);
    }
}
