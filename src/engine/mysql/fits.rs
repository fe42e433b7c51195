//! Whether a column can take another's values as they are.
//!
//! A value that is refused is parked with the server's reason. What is asked here is whether a server would
//! take a value and change it, without a word.

use super::types::{Kind, collation};
use crate::engine::fit::Fit;
use crate::model::ColumnPair;

/// How the target column takes the values.
pub(in crate::engine) fn fit(pair: &ColumnPair) -> Fit {
    match &pair.expression {
        Some(_) => Fit::Exact,
        None => of_types(&pair.source_type, &pair.target_type),
    }
}

/// The table: how a column of type `target` takes the values of type `source`.
fn of_types(source: &str, target: &str) -> Fit {
    if source == target {
        return Fit::Exact;
    }
    let (from, to) = (Kind::of(source), Kind::of(target));
    match (&from, &to) {
        (Kind::Integer | Kind::Decimal, Kind::Decimal) | (Kind::Decimal, Kind::Integer) => {
            decimal(source, target)
        }
        (Kind::Integer | Kind::Year, Kind::Integer) | (Kind::Bit, Kind::Bit) | (Kind::Json, Kind::Json) => {
            Fit::Exact
        }
        (Kind::Float | Kind::Double, Kind::Float | Kind::Double) => float(source, target),
        (Kind::Moment, Kind::Moment) => moment(source, target),
        (Kind::Bytes, Kind::Bytes) => padded(source, target),
        (Kind::Chars(_), Kind::Chars(_)) => characters(source, target),
        (Kind::Chars(_) | Kind::Bytes, Kind::Bytes | Kind::Chars(_)) => mixed(target),
        (Kind::Chars(_), Kind::Enum(_) | Kind::Set(_)) => Fit::Merged(LABELS),
        (Kind::Enum(_), Kind::Enum(_)) | (Kind::Set(_), Kind::Set(_)) => labelled(source, target),
        (
            Kind::Integer
            | Kind::Decimal
            | Kind::Year
            | Kind::Moment
            | Kind::Address
            | Kind::Json
            | Kind::Enum(_)
            | Kind::Set(_),
            Kind::Chars(_),
        ) => Fit::Exact,
        (Kind::Chars(_), Kind::Json) => Fit::blocked("JSON orders and spaces texts its own way"),
        (Kind::Address, Kind::Address) | (Kind::Opaque, Kind::Opaque) => same_word(source, target),
        (Kind::Integer | Kind::Decimal, Kind::Float | Kind::Double) => Fit::Merged(DIGITS),
        _ => Fit::blocked("it holds another kind of values"),
    }
}

pub(super) const LABELS: &str =
    "it takes a number for a label's number, and a label in other letters for its own";
const DIGITS: &str = "it holds fewer digits";
const SHORTER: &str = "it is shorter, and cuts off spaces at the end";
const SPACES: &str = "it drops spaces at the end";
const ZEROS: &str = "it is filled up with zeros";
const FRACTION: &str = "it rounds fractions of a second";
const ZONE: &str = "a TIMESTAMP is a moment, the other a date and hour, and nothing says of which zone";

/// Whether two types tell keys apart in the same way: by the same collation, if any. The older name of
/// utf8mb3 counts as the same.
pub(super) fn same_collation(source: &str, target: &str) -> bool {
    let plain = |name: &str| match name.strip_prefix("utf8_") {
        Some(rest) => format!("utf8mb3_{rest}"),
        None => name.to_string(),
    };
    collation(source).map(plain) == collation(target).map(plain)
}

/// The numbers in a type's brackets.
pub(super) fn sizes(type_name: &str) -> Vec<u32> {
    let inner = type_name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inner.map(|(list, _)| list.split(',').filter_map(|n| n.trim().parse().ok()).collect()).unwrap_or_default()
}

/// The type's first word.
pub(super) fn word(type_name: &str) -> &str {
    type_name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

fn decimal(source: &str, target: &str) -> Fit {
    let scale = |name: &str| sizes(name).get(1).copied().unwrap_or(0);
    match (scale(target) < scale(source), word(target)) {
        (false, _) => Fit::Exact,
        (true, "decimal") => Fit::Compared("it rounds to fewer decimal places"),
        (true, _) => Fit::Compared("it holds whole numbers"),
    }
}

/// Numbers with a fixed count of decimal places are rounded to it.
fn float(source: &str, target: &str) -> Fit {
    let (from, to) = (sizes(source), sizes(target));
    match (word(source), word(target)) {
        (one, other) if to.is_empty() && (one == other || other == "double") => Fit::Exact,
        (one, other) if to == from && one == other => Fit::Exact,
        _ if to.is_empty() => Fit::Merged(DIGITS),
        _ => Fit::Merged("it rounds to a count of decimal places"),
    }
}

fn moment(source: &str, target: &str) -> Fit {
    let fraction = |name: &str| sizes(name).first().copied().unwrap_or(0);
    let is_rounded = fraction(target) < fraction(source);
    match (word(source), word(target)) {
        (from, to) if from == to && is_rounded => Fit::Compared(FRACTION),
        (from, to) if from == to => Fit::Exact,
        ("date", "datetime") => Fit::Exact,
        ("datetime", "date") => Fit::Merged("it drops the time of day"),
        ("timestamp", "datetime") => {
            Fit::Blocked { why: ZONE, instead: Some("CONVERT_TZ({}, '+00:00', '..')") }
        }
        ("datetime" | "date", "timestamp") => {
            Fit::Blocked { why: ZONE, instead: Some("CONVERT_TZ({}, '..', '+00:00')") }
        }
        _ => Fit::blocked("it keeps only a part"),
    }
}

/// BINARY(n) is filled up with zeros.
fn padded(source: &str, target: &str) -> Fit {
    match word(target) {
        "binary" if word(source) != "binary" || sizes(source) != sizes(target) => Fit::Merged(ZEROS),
        _ => Fit::Exact,
    }
}

fn characters(source: &str, target: &str) -> Fit {
    let length = |name: &str| sizes(name).first().copied().unwrap_or(u32::MAX);
    match (word(source), word(target)) {
        ("char", "char") => Fit::Exact,
        (_, "char") => Fit::Merged(SPACES),
        (_, "varchar") if word(source) != "char" && length(target) < length(source) => Fit::Compared(SHORTER),
        _ => Fit::Exact,
    }
}

fn mixed(target: &str) -> Fit {
    match word(target) {
        "binary" => Fit::Merged(ZEROS),
        "char" => Fit::Merged(SPACES),
        _ => Fit::Exact,
    }
}

/// Labels that the target has, too, are found there by their texts.
fn labelled(source: &str, target: &str) -> Fit {
    let (own, there) = (labels(source), labels(target));
    if own.iter().all(|label| there.contains(label)) { Fit::Exact } else { Fit::Compared(LABELS) }
}

/// The labels of an ENUM or SET, as its type has them.
fn labels(type_name: &str) -> Vec<&str> {
    let list = type_name.rsplit_once(" CHARACTER SET ").map_or(type_name, |(list, _)| list);
    let list = list.split_once("('").map_or("", |(_, rest)| rest);
    list.strip_suffix("')").unwrap_or(list).split("','").collect()
}

fn same_word(source: &str, target: &str) -> Fit {
    let general = word(target) == "geometry" && !["vector", "geometry"].contains(&word(source));
    if word(source) == word(target) || general {
        Fit::Exact
    } else {
        Fit::blocked("it holds another kind of values")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_values_is_told_by_both_types() {
        let utf = |name: &str| format!("{name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
        let fit = |source: &str, target: &str| of_types(source, target);
        let exact = |source: &str, target: &str| fit(source, target) == Fit::Exact;
        let compared = |source: &str, target: &str| matches!(fit(source, target), Fit::Compared(_));
        let merged = |source: &str, target: &str| matches!(fit(source, target), Fit::Merged(_));
        let blocked = |source: &str, target: &str| matches!(fit(source, target), Fit::Blocked { .. });
        assert!(
            exact("bigint unsigned", "int") && exact("int", "decimal(20,0)") && exact("bit(9)", "bit(64)")
        );
        assert!(compared("decimal(10,3)", "decimal(20,2)") && compared("decimal(10,3)", "int"));
        assert!(merged("double", "float") && exact("float", "double") && merged("double", "double(10,2)"));
        assert!(merged("int", "double") && compared("datetime(6)", "datetime(3)"));
        assert!(exact("date", "datetime") && merged("datetime", "date") && blocked("time", "date"));
        assert!(blocked("timestamp", "datetime") && blocked("datetime", "timestamp"));
        assert!(merged("varbinary(4)", "binary(4)") && exact("binary(4)", "varbinary(9)"));
        assert!(merged(&utf("varchar(9)"), &utf("char(9)")) && exact(&utf("char(9)"), &utf("varchar(9)")));
        assert!(compared(&utf("varchar(9)"), &utf("varchar(8)")));
        assert!(blocked(&utf("longtext"), "json") && exact("json", &utf("longtext")));
        assert!(
            exact("uuid", &utf("varchar(36)")) && blocked("uuid", "binary(16)") && blocked("uuid", "inet6")
        );
        assert!(
            exact("point", "geometry") && blocked("geometry", "point") && blocked("vector(3)", "geometry")
        );
        let moods = |labels: &str| format!("enum({labels}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
        assert!(exact(&moods("'a','it''s'"), &moods("'it''s','b','a'")));
        assert!(compared(&moods("'a','7'"), &moods("'A','b'")) && merged(&utf("varchar(9)"), &moods("'a'")));
        assert!(blocked("year", "date") && exact("year", "smallint") && blocked("int", "year"));
    }

    #[test]
    fn collations_by_either_name() {
        let of = |name: &str| format!("varchar(9) CHARACTER SET x COLLATE {name}");
        assert!(same_collation(&of("utf8_bin"), &of("utf8mb3_bin")) && same_collation("int", "bigint"));
        assert!(!same_collation(&of("utf8mb4_bin"), &of("utf8mb4_general_ci")));
    }
}
