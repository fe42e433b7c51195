//! Whether values arrived as they were sent: what stands in the table is compared with what is staged.
//!
//! These servers round, pad and cut spaces off without an error, in strict mode too. No cast does to a value
//! what a column does, so rows are compared after they were written, and taken back if one has changed.

use super::fits::{LABELS, fit, sizes, word};
use super::types::{Kind, charset};
use super::value::{join, literal, quote};
use crate::engine::fit::{Fit, reason};
use crate::model::{ColumnPair, Fidelity, Lookup, On, TablePlan};

/// The most digits behind the point of a DECIMAL on either server.
const MOST_PLACES: u32 = 30;

/// A comparison of one column.
#[derive(Debug, Clone)]
struct Comparison {
    /// That the value is the same, as SQL.
    same: String,
    /// Why the row is parked else.
    reason: String,
}

/// The comparisons of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Comparisons {
    /// Of the staged row `s` with the table's `t`.
    carried: Vec<Comparison>,
    /// Of what an expression gives, as `v1`, `v2`, .., with what became of it, in `r`.
    computed: Vec<(String, Comparison)>,
}

impl Comparisons {
    /// Of a table.
    pub(super) fn of(table: &TablePlan) -> Self {
        let carried = table.columns.iter().enumerate();
        let carried = carried.filter(|(_, pair)| pair.fidelity == Fidelity::Exact && pair.on == On::Always);
        let lookups = table.rule.lookups.iter().enumerate();
        Comparisons {
            carried: carried.filter_map(|(i, pair)| of_pair(table, pair, &format!("s.c{}", i + 1))).collect(),
            computed: lookups.filter_map(|(i, lookup)| of_lookup(i, lookup)).collect(),
        }
    }

    /// Whether no value of the table's columns is compared.
    pub(super) fn is_empty(&self) -> bool {
        self.carried.is_empty()
    }

    /// The reason for which one of the staged rows is parked, given what stands behind FROM.
    pub(super) fn first_change(&self, from: &str) -> Option<String> {
        first(&self.carried, from)
    }

    /// The same of looked-up columns, given what makes `changed` and the table of their values.
    pub(super) fn first_change_of_lookups(&self, with: &str, resolved: &str) -> Option<String> {
        let values = self.computed.iter().map(|(value, _)| value.clone());
        let given = format!("SELECT changed.hw_n AS hw_n, {} FROM changed", join(values, ", "));
        let comparisons: Vec<Comparison> = self.computed.iter().map(|(_, c)| c.clone()).collect();
        let from = format!("({given}) AS v JOIN {resolved} AS r ON r.hw_n = v.hw_n WHERE TRUE");
        first(&comparisons, &from).map(|sql| format!("{with} {sql}"))
    }
}

fn first(all: &[Comparison], from: &str) -> Option<String> {
    let case = |c: &Comparison| format!(" WHEN NOT ({}) THEN {}", c.same, literal(&c.reason));
    let cases: String = all.iter().map(case).collect();
    let same = join(all.iter().map(|c| c.same.clone()), " AND ");
    (!all.is_empty()).then(|| format!("SELECT CASE{cases} END FROM {from} AND NOT ({same}) LIMIT 1"))
}

fn of_pair(table: &TablePlan, pair: &ColumnPair, staged: &str) -> Option<Comparison> {
    let made = format!("t.{}", quote(&pair.target));
    let (same, why) = match (&pair.expression, fit(pair)) {
        (Some(_), _) if pair.is_constant() => return None,
        (Some(_), _) => computed(&pair.target_type, &made, staged)?,
        // A command writes in its own way.
        (None, _) if table.rule.transform.is_some() => return None,
        (None, Fit::Compared(why) | Fit::Merged(why)) => (plain(pair, &made, staged), why),
        (None, Fit::Exact | Fit::Blocked { .. }) => return None,
    };
    Some(Comparison { same, reason: reason(&pair.target, &pair.target_type, why) })
}

/// How a column that is carried as it is compares.
fn plain(pair: &ColumnPair, made: &str, staged: &str) -> String {
    let (from, to) = (Kind::of(&pair.source_type), Kind::of(&pair.target_type));
    let places = sizes(&pair.source_type).get(1).copied().unwrap_or(0).min(MOST_PLACES);
    match (&from, &to) {
        (Kind::Integer | Kind::Decimal, Kind::Float | Kind::Double) => {
            format!("{} <=> {}", decimal(made, places), decimal(staged, places))
        }
        (Kind::Integer | Kind::Decimal, _) => format!("{made} <=> {}", decimal(staged, places)),
        (Kind::Float | Kind::Double, _) => format!("{made} + 0e0 <=> {staged} + 0e0"),
        (Kind::Chars(_) | Kind::Enum(_), Kind::Enum(_)) => {
            format!("{} <=> {}", as_utf8(made), as_utf8(staged))
        }
        (Kind::Chars(_) | Kind::Set(_), Kind::Set(_)) => members(made, staged),
        (Kind::Chars(_), Kind::Chars(_)) if charset(&pair.source_type) != charset(&pair.target_type) => {
            format!("{} <=> {}", as_utf8(made), as_utf8(staged))
        }
        (Kind::Chars(_) | Kind::Bytes, _) => format!("{} <=> {}", bytes(made), bytes(staged)),
        _ => format!("{made} <=> {staged}"),
    }
}

/// How the text that an expression gave compares, where the column changes what it is given, and why it would.
fn computed(target_type: &str, made: &str, staged: &str) -> Option<(String, &'static str)> {
    let fraction = sizes(target_type).first().copied().unwrap_or(0);
    let moment = |kind: &str| {
        let same_text = format!("{} <=> {}", bytes(made), bytes(staged));
        Some((
            format!("({made} <=> CAST({staged} AS {kind}(6)) OR {same_text})"),
            "it rounds fractions of a second",
        ))
    };
    match (Kind::of(target_type), word(target_type)) {
        (Kind::Integer, _) => {
            Some((format!("{made} <=> {}", decimal(staged, MOST_PLACES)), "it holds whole numbers"))
        }
        (Kind::Decimal, _) => {
            let same = format!("{made} <=> {}", decimal(staged, MOST_PLACES));
            Some((same, "it rounds to fewer decimal places"))
        }
        (Kind::Moment, "datetime" | "timestamp") if fraction < 6 => moment("DATETIME"),
        (Kind::Moment, "time") if fraction < 6 => moment("TIME"),
        (Kind::Chars(_), "varchar" | "char") => {
            Some((format!("{} <=> {}", as_utf8(made), as_utf8(staged)), "it cuts off spaces at the end"))
        }
        (Kind::Enum(_), _) => Some((format!("{} <=> {}", as_utf8(made), as_utf8(staged)), LABELS)),
        (Kind::Set(_), _) => Some((members(made, staged), LABELS)),
        (Kind::Bytes, "binary") => {
            Some((format!("{} <=> {}", bytes(made), bytes(staged)), "it is filled up with zeros"))
        }
        _ => None,
    }
}

/// A column that is looked up is computed twice where it would be rounded.
fn of_lookup(place: usize, lookup: &Lookup) -> Option<(String, Comparison)> {
    let is_checked = lookup.fidelity == Fidelity::Exact && lookup.on == On::Always;
    let fraction = sizes(&lookup.target_type).first().copied().unwrap_or(0);
    let why = match Kind::of(&lookup.target_type) {
        Kind::Decimal => "it rounds to fewer decimal places",
        Kind::Moment if word(&lookup.target_type) != "date" && fraction < 6 => {
            "it rounds fractions of a second"
        }
        _ => return None,
    };
    let n = place + 1;
    is_checked.then(|| {
        let reason = reason(&lookup.target, &lookup.target_type, why);
        // What comes behind stands on a line of its own, in case a comment ends the expression.
        let value = format!("({}\n) AS v{n}", lookup.expression);
        (value, Comparison { same: format!("r.x{n} <=> v.v{n}"), reason })
    })
}

/// Members may come in another order. A text that is a number is no list of several, and none of the labels that it
/// stands for.
fn members(made: &str, staged: &str) -> String {
    let first = as_utf8(&format!("SUBSTRING_INDEX({staged}, ',', 1)"));
    let (made, staged) = (as_utf8(made), as_utf8(staged));
    format!("({made} <=> {staged} OR FIND_IN_SET({first}, {made}) > 0)")
}

fn decimal(value: &str, places: u32) -> String {
    format!("CAST({value} AS DECIMAL(65,{places}))")
}

fn bytes(value: &str) -> String {
    format!("CAST({value} AS BINARY)")
}

fn as_utf8(value: &str) -> String {
    bytes(&format!("CONVERT({value} USING utf8mb4)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_values_is_compared_as_what_it_is() {
        let same = |from: &str, to: &str| plain(&ColumnPair::plain("a", from, "a", to), "t.`a`", "s.c1");
        assert_eq!(same("decimal(12,4)", "decimal(12,1)"), "t.`a` <=> CAST(s.c1 AS DECIMAL(65,4))");
        assert_eq!(same("bigint", "double"), "CAST(t.`a` AS DECIMAL(65,0)) <=> CAST(s.c1 AS DECIMAL(65,0))");
        assert_eq!(same("double", "float"), "t.`a` + 0e0 <=> s.c1 + 0e0");
        assert_eq!(same("datetime(6)", "datetime"), "t.`a` <=> s.c1");
        let of = |kind: &str, set: &str| format!("{kind} CHARACTER SET {set} COLLATE {set}_bin");
        assert_eq!(
            same(&of("varchar(9)", "latin1"), &of("char(9)", "latin1")),
            "CAST(t.`a` AS BINARY) <=> CAST(s.c1 AS BINARY)"
        );
        assert!(same(&of("varchar(9)", "latin1"), &of("char(9)", "utf8mb4")).contains("USING utf8mb4"));
    }
}
