//! Everything that is wrong with the settings, gathered so that it can be said at once.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, Result};

/// One thing that is wrong: where it was written, which key, and what is wrong with it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    origin: Option<String>,
    path: String,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = [self.origin.as_deref().unwrap_or_default(), &self.path];
        for part in place.into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// A key that nobody asked for, judged once all the known keys have been asked for.
#[derive(Debug)]
struct Stranger {
    origin: Option<String>,
    section: String,
    key: String,
    known: Vec<&'static str>,
}

/// What reading the settings brought to light.
#[derive(Debug, Default)]
pub(super) struct Report {
    faults: Vec<Fault>,
    strangers: Vec<Stranger>,
    /// Every key that was asked for, as `database.*.table[].name`.
    asked: BTreeSet<String>,
    /// Those of them that were given.
    given: BTreeSet<String>,
}

impl Report {
    /// Records that `what` is wrong with the key at `path` (empty: with all of `origin`).
    pub(super) fn fault(&mut self, origin: Option<String>, path: &str, what: impl Into<String>) {
        self.faults.push(Fault { origin, path: path.to_owned(), what: what.into() });
    }

    /// Records a `key` of the section at `section` (empty: the top level) where only `known` ones belong.
    pub(super) fn stranger(
        &mut self,
        origin: Option<String>,
        section: &str,
        key: String,
        known: Vec<&'static str>,
    ) {
        self.strangers.push(Stranger { origin, section: section.to_owned(), key, known });
    }

    /// Records that the key `pattern` exists.
    pub(super) fn asked(&mut self, pattern: String) {
        self.asked.insert(pattern);
    }

    /// Records that the key `pattern` is given.
    pub(super) fn given(&mut self, pattern: String) {
        self.given.insert(pattern);
    }

    /// Every key that exists and is not given.
    #[cfg(test)]
    pub(super) fn missing(&self) -> Vec<&str> {
        self.asked.difference(&self.given).map(String::as_str).collect()
    }

    /// Every key that exists.
    #[cfg(test)]
    pub(super) fn known(&self) -> &BTreeSet<String> {
        &self.asked
    }

    /// Gives back `value` if nothing is wrong, else one error with all the faults, a line each.
    pub(super) fn accept<T>(mut self, value: Option<T>) -> Result<T> {
        for stranger in std::mem::take(&mut self.strangers) {
            let path = join(&stranger.section, &stranger.key);
            let advice = self.advice(&stranger);
            self.fault(stranger.origin, &path, format!("unknown key; {advice}"));
        }
        match value {
            Some(value) if self.faults.is_empty() => Ok(value),
            _ => Err(self.into_error()),
        }
    }

    /// Whether something is wrong so far.
    pub(super) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    fn advice(&self, stranger: &Stranger) -> String {
        if let Some(right) = nearest(&stranger.key, stranger.known.iter().copied()) {
            return format!("did you mean `{right}`?");
        }
        match self.asked.iter().find(|path| path.rsplit('.').next() == Some(&stranger.key)) {
            Some(elsewhere) => format!("did you mean `{elsewhere}`?"),
            None => format!("known here: {}", stranger.known.join(", ")),
        }
    }

    fn into_error(mut self) -> Error {
        self.faults.sort();
        let lines: Vec<String> = self.faults.iter().map(|fault| format!("\n  {fault}")).collect();
        let count = match lines.len() {
            1 => "a fault".to_owned(),
            n => format!("{n} faults"),
        };
        Error::usage(format!("the settings have {count}:{}", lines.concat()))
            .remedy("docs/settings.md and config/highwater.toml explain every key")
    }
}

/// `section.key`, or `key` at the top level.
pub(super) fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The one of `candidates` that `word` is probably a misspelling of, if any is close enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_misspellings_only() {
        let keys = ["source", "target", "include", "jobs"];
        assert_eq!(nearest("sorce", keys), Some("source"));
        assert_eq!(nearest("TARGTE", keys), Some("target"));
        assert_eq!(nearest("job", keys), Some("jobs"));
        assert_eq!(nearest("password", keys), None);
    }

    #[test]
    fn nothing_wrong_gives_the_value() {
        assert_eq!(Report::default().accept(Some(3)).unwrap(), 3);
    }
}
