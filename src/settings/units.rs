//! The forms in which values are written. Each function here says what is wrong, and gives an example.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::parser::{CronParser, Seconds};

use super::faults::nearest;
use super::glob::Glob;
use super::reader::Given;
use crate::model::Fidelity;

/// The most characters of a migration's name: it becomes part of the names of schemas and tables.
const MIGRATION_NAME_MAX: usize = 20;

/// Any text but an empty one.
pub(super) fn text(given: &Given) -> Result<String, String> {
    match given.text("a text")? {
        "" => Err("is empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// The path of a file.
pub(super) fn path(given: &Given) -> Result<PathBuf, String> {
    text(given).map(PathBuf::from)
}

/// A command as the list of its arguments, run without a shell.
pub(super) fn command(given: &Given) -> Result<Vec<String>, String> {
    let words = given.texts("a list of arguments such as [\"pass\", \"show\", \"prod\"]")?;
    if words.is_empty() { Err("is empty; it needs at least the program".to_owned()) } else { Ok(words) }
}

/// The name of a source column.
pub(super) fn column(given: &Given) -> Result<String, String> {
    match given.text("the name of a source column, or a section such as { source = \"SQL\" }")? {
        "" => Err("is empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// A list of names.
pub(super) fn columns(given: &Given) -> Result<Vec<String>, String> {
    let names = given.texts("a list of names such as [\"id\", \"tenant_id\"]")?;
    if names.iter().any(String::is_empty) {
        return Err("has an empty name".to_owned());
    }
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(format!("names {name:?} twice")),
        None => Ok(names),
    }
}

/// A list of columns, of the source or of the target.
pub(super) fn conditions(given: &Given) -> Result<Vec<String>, String> {
    let conditions = columns(given)?;
    let is_column = |text: &&String| matches!(text.split_once('.'), Some(("source" | "target", column)) if !column.is_empty());
    match conditions.iter().find(|text| !is_column(text)) {
        Some(wrong) => Err(format!(
            "{wrong:?} is not a column such as \"source.NAME\" or \"target.NAME\" that must be there"
        )),
        None => Ok(conditions),
    }
}

/// A list of files, each relative to the settings file that names it.
pub(super) fn scripts(given: &Given) -> Result<Vec<PathBuf>, String> {
    let names = given.texts("a list of files such as [\"migration.sql\"]")?;
    if names.iter().any(String::is_empty) {
        return Err("has an empty name".to_owned());
    }
    let folder = given.folder();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// What a query gives: a text, or a whole number.
pub(super) fn answer(given: &Given) -> Result<String, String> {
    match given.integer("") {
        Ok(number) => Ok(number.to_string()),
        Err(_) => given.text("a text or a whole number").map(str::to_owned),
    }
}

/// A text, or a list of texts.
pub(super) fn one_or_more(given: &Given) -> Result<Vec<String>, String> {
    match given.texts("a name or a list of names") {
        Ok(texts) => Ok(texts),
        Err(expected) => given.text("").map(|text| vec![text.to_owned()]).map_err(|_| expected),
    }
}

/// A list of hosts' names, in lower case.
pub(super) fn hosts(given: &Given) -> Result<Vec<String>, String> {
    let names = given.texts("a list of hosts such as [\"localhost\", \"staging.example.org\"]")?;
    let is_host = |name: &&String| {
        let inside = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok());
        address || (!name.is_empty() && !name.contains(['/', ':', '@', '[', ']', ' ']))
    };
    match names.iter().find(|name| !is_host(name)) {
        Some(wrong) => {
            Err(format!("{wrong:?} is not a host's name, without a port, such as \"localhost\" or \"[::1]\""))
        }
        None => Ok(names.into_iter().map(|name| name.to_ascii_lowercase()).collect()),
    }
}

/// A list of globs.
pub(super) fn globs(given: &Given) -> Result<Vec<Glob>, String> {
    let texts = given.texts("a list of globs such as [\"public.*\", \"um_*\"]")?;
    texts.iter().map(|text| Glob::parse(text)).collect()
}

/// A name of lowercase letters, digits and underscores, of at most `MIGRATION_NAME_MAX` characters.
pub(super) fn migration(given: &Given) -> Result<String, String> {
    let name = given.text("a name such as \"main\"")?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > MIGRATION_NAME_MAX || !name.chars().all(is_plain) {
        return Err(format!(
            "{name:?} can't be a migration's name; write 1 to {MIGRATION_NAME_MAX} of a-z, 0-9 and _, \
             such as \"pilot_2\""
        ));
    }
    // On SQLite the name stands in those of capture's objects, where these would fall under another's.
    let first = name.split('_').next().unwrap_or(name);
    if OBJECT_WORDS.contains(&first) {
        return Err(format!("{name:?} can't be a migration's name: it begins like an object of capture"));
    }
    Ok(name.to_owned())
}

/// The first words in the names of capture's objects on SQLite.
const OBJECT_WORDS: [&str; 11] =
    ["log", "meta", "tables", "fence", "insert", "update", "rekey", "delete", "before", "guard", "seal"];

/// One of a few words, each of which stands for a value.
pub(super) fn choice<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&Given) -> Result<T, String> {
    move |given| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of \"{}\"", words.join("\", \""));
        let text = given.text(&expected)?;
        choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let hint = nearest(text, words).map(|w| format!("; did you mean \"{w}\"?")).unwrap_or_default();
            format!("{text:?} is not {expected}{hint}")
        })
    }
}

/// `lossy = true` or `false`.
pub(super) fn lossy(given: &Given) -> Result<Fidelity, String> {
    Ok(if given.truth("true or false")? { Fidelity::Lossy } else { Fidelity::Exact })
}

/// A whole number.
pub(super) fn integer(range: RangeInclusive<u64>) -> impl Fn(&Given) -> Result<u64, String> {
    move |given| {
        let number = given.integer(&format!("a whole number such as {}", range.end().min(&1000)))?;
        let number = u64::try_from(number).map_err(|_| format!("{number} is below {}", range.start()))?;
        within(number, &range, u64::to_string)
    }
}

/// A whole number of things that run at a time.
pub(super) fn count(range: RangeInclusive<u16>) -> impl Fn(&Given) -> Result<usize, String> {
    let number = integer(u64::from(*range.start())..=u64::from(*range.end()));
    move |given| usize::try_from(number(given)?).map_err(|error| error.to_string())
}

/// A share, from 0.0 to 1.0.
pub(super) fn share(given: &Given) -> Result<f64, String> {
    within(given.fraction("a share such as 0.5")?, &(0.0..=1.0), f64::to_string)
}

/// A duration with its unit.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Given) -> Result<Duration, String> {
    const EXPECTED: &str = "a duration such as \"200ms\" or \"5s\"";
    move |given| {
        let text = given.text(EXPECTED)?;
        let duration = humantime::parse_duration(text).map_err(|_| format!("{text:?} is not {EXPECTED}"))?;
        within(duration, &range, |d| humantime::format_duration(*d))
    }
}

/// A size in bytes, with its unit or as a bare number.
pub(super) fn bytes(range: RangeInclusive<u64>) -> impl Fn(&Given) -> Result<u64, String> {
    const EXPECTED: &str = "a size such as \"8MiB\"";
    move |given| {
        if given.is_integer() {
            return integer(range.clone())(given);
        }
        let text = given.text(EXPECTED)?;
        let size: ByteSize = text.parse().map_err(|_| format!("{text:?} is not {EXPECTED}"))?;
        within(size.as_u64(), &range, |bytes| ByteSize::b(*bytes))
    }
}

/// A time zone of the IANA database.
pub(super) fn timezone(given: &Given) -> Result<Tz, String> {
    const EXPECTED: &str = "a time zone such as \"UTC\" or \"Europe/Berlin\"";
    let text = given.text(EXPECTED)?;
    text.parse().map_err(|_| {
        let near = nearest(text, TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = near.map(|zone| format!("; did you mean \"{zone}\"?")).unwrap_or_default();
        format!("{text:?} is not {EXPECTED}{hint}")
    })
}

/// A cron expression of six fields, as the scheduler reads it, that comes due at some time.
pub(super) fn cron(given: &Given) -> Result<String, String> {
    const EXPECTED: &str = "a cron expression with seconds such as \"*/10 * * * * *\" (every 10 seconds)";
    let text = given.text(EXPECTED)?;
    let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
    let cron = parser.parse(text).map_err(|error| format!("{text:?} is not {EXPECTED}: {error}"))?;
    match cron.find_next_occurrence(&chrono::Utc::now(), false) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{text:?} never comes due; write for example \"*/10 * * * * *\"")),
    }
}

/// An address and port to listen on; an empty text for none.
pub(super) fn listen(given: &Given) -> Result<Option<SocketAddr>, String> {
    const EXPECTED: &str = "an address with a port such as \"127.0.0.1:9187\" (\"\" for none)";
    match given.text(EXPECTED)? {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{text:?} is not {EXPECTED}")),
    }
}

fn within<T: PartialOrd, S: Display>(
    value: T,
    range: &RangeInclusive<T>,
    show: impl Fn(&T) -> S,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (show(range.start()), show(range.end()));
    Err(format!("{} is out of range; write something from {least} to {most}", show(&value)))
}
