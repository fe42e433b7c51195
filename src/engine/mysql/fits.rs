//! Whether a column can take another's values as they are.
//!
//! A value that is refused is parked, and somebody hears of it. What is asked here is whether a server
//! would take a value and change it, which nobody hears of.

use super::types::{Kind, collation};

/// How well a column of one type takes the values of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// As they are, or not at all.
    Exact,
    /// As they are, but they mean or can do something else there.
    Doubtful(&'static str),
    /// Some would be changed.
    Changed(&'static str),
}

/// How well a column of type `target` takes the values of type `source`.
pub(super) fn fit(source: &str, target: &str) -> Fit {
    if source == target {
        return Fit::Exact;
    }
    let (from, to) = (Kind::of(source), Kind::of(target));
    match (&from, &to) {
        (Kind::Integer | Kind::Decimal, Kind::Decimal) => decimal(source, target),
        (Kind::Integer | Kind::Year, Kind::Integer) | (Kind::Bit, Kind::Bit) | (Kind::Json, Kind::Json) => {
            Fit::Exact
        }
        (Kind::Float | Kind::Double, Kind::Double) | (Kind::Float, Kind::Float) => rounded(source, target),
        (Kind::Moment, Kind::Moment) => moment(source, target),
        (Kind::Bytes, Kind::Bytes) => padded(source, target),
        (Kind::Chars(_), Kind::Chars(_)) => characters(source, target),
        (Kind::Chars(_) | Kind::Bytes, Kind::Bytes | Kind::Chars(_)) => mixed(target),
        (Kind::Chars(_), Kind::Enum(_) | Kind::Set(_))
        | (Kind::Enum(_), Kind::Enum(_))
        | (Kind::Set(_), Kind::Set(_)) => Fit::Exact,
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
        ) => text(target),
        (Kind::Chars(_), Kind::Json) => Fit::Changed("JSON orders and spaces texts anew"),
        (Kind::Address, Kind::Address) | (Kind::Opaque, Kind::Opaque) => same_word(source, target),
        (Kind::Integer | Kind::Decimal, Kind::Float | Kind::Double) => {
            Fit::Changed("it has fewer digits than the number")
        }
        _ => Fit::Changed("it holds another kind of values"),
    }
}

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
fn sizes(type_name: &str) -> Vec<u32> {
    let inner = type_name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inner.map(|(list, _)| list.split(',').filter_map(|n| n.trim().parse().ok()).collect()).unwrap_or_default()
}

/// The type's first word.
fn word(type_name: &str) -> &str {
    type_name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

fn decimal(source: &str, target: &str) -> Fit {
    let scale = |name: &str| sizes(name).get(1).copied().unwrap_or(0);
    if scale(target) < scale(source) {
        Fit::Changed("it rounds: it has fewer decimal places")
    } else {
        Fit::Exact
    }
}

/// Numbers with a fixed count of decimal places are rounded to it.
fn rounded(source: &str, target: &str) -> Fit {
    let (from, to) = (sizes(source), sizes(target));
    if to.is_empty() || (from == to && word(source) == word(target)) {
        Fit::Exact
    } else {
        Fit::Changed("it rounds to a count of decimal places")
    }
}

fn moment(source: &str, target: &str) -> Fit {
    let fraction = |name: &str| sizes(name).first().copied().unwrap_or(0);
    if fraction(target) < fraction(source) {
        return Fit::Changed("it rounds fractions of a second");
    }
    match (word(source), word(target)) {
        (from, to) if from == to => Fit::Exact,
        ("date", "datetime") => Fit::Exact,
        ("timestamp", "datetime") => Fit::Doubtful("a moment in time becomes its date and hour in UTC"),
        ("datetime", "timestamp") => Fit::Doubtful("a date and hour becomes that moment in UTC"),
        _ => Fit::Changed("it keeps only a part"),
    }
}

/// BINARY(n) is filled up with zeros.
fn padded(source: &str, target: &str) -> Fit {
    if word(target) == "binary" && (word(source) != "binary" || sizes(source) != sizes(target)) {
        Fit::Changed("BINARY fills up with zeros")
    } else {
        Fit::Exact
    }
}

fn characters(source: &str, target: &str) -> Fit {
    let length = |name: &str| sizes(name).first().copied().unwrap_or(u32::MAX);
    match (word(source), word(target)) {
        ("char", "char") => Fit::Exact,
        (_, "char") => Fit::Changed("CHAR drops spaces at the end"),
        (_, "varchar") if word(source) != "char" && length(target) < length(source) => {
            Fit::Doubtful("it is shorter: longer texts are parked, but for spaces at the end, which it drops")
        }
        _ => Fit::Exact,
    }
}

fn mixed(target: &str) -> Fit {
    match word(target) {
        "binary" => Fit::Changed("BINARY fills up with zeros"),
        "char" => Fit::Changed("CHAR drops spaces at the end"),
        _ => Fit::Exact,
    }
}

/// What has a text of its own keeps it in a column of characters.
fn text(target: &str) -> Fit {
    match word(target) {
        "char" => Fit::Doubtful("texts are compared there, not values"),
        _ => Fit::Exact,
    }
}

fn same_word(source: &str, target: &str) -> Fit {
    let general = word(target) == "geometry" && !["vector", "geometry"].contains(&word(source));
    if word(source) == word(target) || general {
        Fit::Exact
    } else {
        Fit::Changed("it holds another kind of values")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_changed_is_told_from_what_is_refused() {
        let utf = |name: &str| format!("{name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
        let exact = |source: &str, target: &str| fit(source, target) == Fit::Exact;
        let changed = |source: &str, target: &str| matches!(fit(source, target), Fit::Changed(_));
        assert!(
            exact("bigint unsigned", "int") && exact("int", "decimal(20,0)") && exact("bit(9)", "bit(64)")
        );
        assert!(changed("decimal(10,3)", "decimal(20,2)") && changed("decimal(10,3)", "int"));
        assert!(changed("double", "float") && exact("float", "double") && changed("double", "double(10,2)"));
        assert!(
            changed("int", "double") && changed("datetime(6)", "datetime(3)") && exact("date", "datetime")
        );
        assert!(matches!(fit("timestamp", "datetime"), Fit::Doubtful(_)) && changed("datetime", "date"));
        assert!(changed("varbinary(4)", "binary(4)") && exact("binary(4)", "varbinary(9)"));
        assert!(changed(&utf("varchar(9)"), &utf("char(9)")) && exact(&utf("char(9)"), &utf("varchar(9)")));
        assert!(changed(&utf("longtext"), "json") && exact("json", &utf("longtext")));
        assert!(
            exact("uuid", &utf("varchar(36)")) && changed("uuid", "binary(16)") && changed("uuid", "inet6")
        );
        assert!(
            exact("point", "geometry") && changed("geometry", "point") && changed("vector(3)", "geometry")
        );
        assert!(changed("year", "date") && exact("year", "smallint") && changed("int", "year"));
    }

    #[test]
    fn collations_by_either_name() {
        let of = |name: &str| format!("varchar(9) CHARACTER SET x COLLATE {name}");
        assert!(same_collation(&of("utf8_bin"), &of("utf8mb3_bin")) && same_collation("int", "bigint"));
        assert!(!same_collation(&of("utf8mb4_bin"), &of("utf8mb4_general_ci")));
    }
}
