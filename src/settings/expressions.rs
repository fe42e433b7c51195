//! The forms of an operator's SQL. What can be told without a server is told here; `plan` tries the rest.

use super::faults::nearest;
use super::reader::Given;
use super::units::text;
use crate::model::sql::{Word, mentioned, words};

/// What stands for the instant that all rows are judged at.
const AS_OF: &str = "as_of";

/// What reads the clock by its bare name.
const CLOCK_WORDS: [&str; 5] =
    ["current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"];

/// What reads the clock when it is called.
const CLOCK_CALLS: [&str; 12] = [
    "now",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "sysdate",
    "utc_timestamp",
    "utc_date",
    "utc_time",
    "curdate",
    "curtime",
    "unixepoch",
];

/// What gives another value at each call.
const CHANCE_CALLS: [&str; 8] =
    ["random", "rand", "uuid", "uuid_short", "gen_random_uuid", "uuid_generate_v4", "randomblob", "nextval"];

/// SQL that stands for one value.
pub(super) fn expression(given: &Given) -> Result<String, String> {
    let sql = text(given)?;
    whole(&sql)?;
    Ok(sql)
}

/// An expression on the source row and `:as_of`: copy and replay, which read the row at different times,
/// must get the same of it.
pub(super) fn source_expression(given: &Given) -> Result<String, String> {
    let sql = expression(given)?;
    of_the_row_alone(&sql)?;
    Ok(sql)
}

/// SQL on the target whose value is written whenever its row is made equal: nothing but rows may change it.
pub(super) fn steady_expression(given: &Given) -> Result<String, String> {
    let sql = expression(given)?;
    steady(&sql)?;
    Ok(sql)
}

/// A query over `changed`.
pub(super) fn over_changed(given: &Given) -> Result<String, String> {
    let sql = steady_expression(given)?;
    if mentioned(&sql, ["changed"]).is_empty() {
        return Err("does not read `changed`, the table of the source rows at work".to_owned());
    }
    Ok(sql)
}

/// Whether the SQL is one whole: it becomes part of larger statements.
fn whole(sql: &str) -> Result<(), String> {
    const END: &str = "highwater_end";
    let ended = format!("{sql} {END}");
    let words = words(&ended);
    if !words.last().is_some_and(|(_, word)| word.is(END)) {
        return Err("ends within a quote or a comment; a quote within a text is written twice".to_owned());
    }
    if words.len() == 1 {
        return Err("is empty".to_owned());
    }
    let mut open = 0_usize;
    for (_, word) in words {
        match word {
            Word::Sign('(') => open += 1,
            Word::Sign(')') if open == 0 => return Err("closes a parenthesis that is not open".to_owned()),
            Word::Sign(')') => open -= 1,
            Word::Sign(';') => return Err("has a `;`, but is part of a larger statement".to_owned()),
            _ => {}
        }
    }
    if open == 0 { Ok(()) } else { Err("leaves a parenthesis open".to_owned()) }
}

/// Refuses SQL on the target that gives another value each time: a row would change whenever it is made equal.
pub(super) fn steady(sql: &str) -> Result<(), String> {
    let words: Vec<Word<'_>> = words(sql).into_iter().map(|(_, word)| word).collect();
    match (0..words.len()).find_map(|at| Unsteady::at(&words, at)) {
        None => Ok(()),
        Some(Unsteady::Clock(name) | Unsteady::Chance(name)) => Err(format!(
            "has {name}, which gives another value each time, whenever the row is made equal; for a value that is \
             made once say on = \"insert\" of a column"
        )),
    }
}

/// A word that gives another value at another time.
enum Unsteady<'a> {
    Clock(&'a str),
    Chance(&'a str),
}

impl<'a> Unsteady<'a> {
    fn at(words: &[Word<'a>], at: usize) -> Option<Self> {
        let is_called = words.get(at + 1) == Some(&Word::Sign('('));
        let any = |names: &[&str]| names.iter().any(|name| words[at].is(name));
        match words[at] {
            Word::Text(text) if text.eq_ignore_ascii_case("'now'") => Some(Unsteady::Clock(text)),
            Word::Name(name) if any(&CLOCK_WORDS) && !is_part(words, at) => Some(Unsteady::Clock(name)),
            Word::Name(name) if any(&CLOCK_CALLS) && is_called => Some(Unsteady::Clock(name)),
            Word::Name(name) if any(&CHANCE_CALLS) && is_called => Some(Unsteady::Chance(name)),
            _ => None,
        }
    }
}

/// Whether the word is part of a dotted name.
fn is_part(words: &[Word<'_>], at: usize) -> bool {
    let dot = Some(&Word::Sign('.'));
    words.get(at + 1) == dot || at.checked_sub(1).and_then(|before| words.get(before)) == dot
}

fn of_the_row_alone(sql: &str) -> Result<(), String> {
    let words: Vec<Word<'_>> = words(sql).into_iter().map(|(_, word)| word).collect();
    for (at, word) in words.iter().enumerate() {
        match Unsteady::at(&words, at) {
            Some(Unsteady::Clock(name)) => return Err(clock(name)),
            Some(Unsteady::Chance(name)) => {
                return Err(format!(
                    "calls {name}(), which gives another value each time; for a value that is made once \
                     write {{ target = \"{name}()\", on = \"insert\" }}"
                ));
            }
            None => {}
        }
        let is_called = words.get(at + 1) == Some(&Word::Sign('('));
        let is_part = is_part(&words, at);
        match word {
            Word::Name(name) if (word.is("select") && !is_part) || (word.is("over") && is_called) => {
                return Err(format!(
                    "reads other rows ({name}), whose changes nobody would notice; it may read its own row \
                     and `:as_of`"
                ));
            }
            Word::Parameter(name) if *name != AS_OF && nearest(name, [AS_OF]).is_some() => {
                return Err(format!("has `:{name}`; did you mean `:{AS_OF}`?"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn clock(name: &str) -> String {
    format!(
        "reads the clock ({name}), so that a row would leave without being changed; write `:{AS_OF}`, the \
         instant at which all rows are judged"
    )
}
