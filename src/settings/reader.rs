//! Reads the merged settings key by key.
//!
//! A key exists because the code that builds the settings asks for it here, with its default and its
//! accepted form: there is no other list of keys. What nobody asked for is unknown, and a fault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Map, Value, ValueKind};

use super::faults::{Report, join};
use super::layers::{ENVIRONMENT, VARIABLE_PREFIX};

/// What a file or the environment gives for one key.
pub(super) struct Given<'a> {
    value: &'a Value,
}

impl<'a> Given<'a> {
    /// The text given; `expected` says what it should be if it is something else.
    pub(super) fn text(&self, expected: &str) -> Result<&'a str, String> {
        match &self.value.kind {
            ValueKind::String(text) => Ok(text),
            other => Err(format!("{} is not {expected}", describe(other))),
        }
    }

    /// The whole number given; the environment, which has no numbers, gives its digits.
    pub(super) fn integer(&self, expected: &str) -> Result<i64, String> {
        match &self.value.kind {
            ValueKind::I64(number) => Ok(*number),
            ValueKind::String(text) if self.is_from_environment() => {
                text.trim().parse().map_err(|_| format!("{text:?} is not {expected}"))
            }
            other => Err(format!("{} is not {expected}", describe(other))),
        }
    }

    /// The number given, whole or not; the environment, which has no numbers, gives its digits.
    pub(super) fn fraction(&self, expected: &str) -> Result<f64, String> {
        match &self.value.kind {
            ValueKind::Float(number) => Ok(*number),
            ValueKind::I64(0) => Ok(0.0),
            ValueKind::I64(1) => Ok(1.0),
            ValueKind::String(text) if self.is_from_environment() => {
                text.trim().parse().map_err(|_| format!("{text:?} is not {expected}"))
            }
            other => Err(format!("{} is not {expected}", describe(other))),
        }
    }

    /// Whether it is true; the environment, which has no such values, says it in words.
    pub(super) fn truth(&self, expected: &str) -> Result<bool, String> {
        match &self.value.kind {
            ValueKind::Boolean(truth) => Ok(*truth),
            ValueKind::String(text) if self.is_from_environment() => {
                text.trim().parse().map_err(|_| format!("{text:?} is not {expected}"))
            }
            other => Err(format!("{} is not {expected}", describe(other))),
        }
    }

    /// The list of texts given; the environment, which has no lists, may separate them by commas.
    pub(super) fn texts(&self, expected: &str) -> Result<Vec<String>, String> {
        match &self.value.kind {
            ValueKind::Array(items) => {
                items.iter().map(|value| Ok(Given { value }.text(expected)?.to_owned())).collect()
            }
            ValueKind::String(text) if self.is_from_environment() => {
                Ok(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect())
            }
            other => Err(format!("{} is not {expected}", describe(other))),
        }
    }

    /// Whether a whole number was given, in the way that [`Given::integer`] reads it.
    pub(super) fn is_integer(&self) -> bool {
        self.integer("").is_ok()
    }

    /// The folder that files are relative to: that of the settings file which gives the value.
    pub(super) fn folder(&self) -> PathBuf {
        let file = first_origin(self.value).filter(|origin| *origin != ENVIRONMENT);
        file.and_then(|file| Path::new(file).parent()).map(Path::to_path_buf).unwrap_or_default()
    }

    fn is_from_environment(&self) -> bool {
        self.value.origin() == Some(ENVIRONMENT)
    }
}

/// What a value is, without showing it: it might be a secret in the wrong place.
fn describe(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => "a number",
        ValueKind::Float(_) => "a fraction",
        ValueKind::String(_) => "a text",
        ValueKind::Table(_) => "a section",
        ValueKind::Array(_) => "a list",
    }
}

/// Where a section stands: as written, and with `*` and `[]` for its names and numbers.
#[derive(Clone, Default)]
struct Place {
    path: String,
    pattern: String,
}

impl Place {
    fn key(&self, key: &str) -> Place {
        Place { path: join(&self.path, key), pattern: join(&self.pattern, key) }
    }

    fn name(&self, name: &str) -> Place {
        Place { path: join(&self.path, name), pattern: join(&self.pattern, "*") }
    }

    fn item(&self, index: usize) -> Place {
        Place { path: format!("{}[{index}]", self.path), pattern: format!("{}[]", self.pattern) }
    }

    /// Where `value`, which stands here, was written.
    fn origin(&self, value: &Value) -> Option<String> {
        match first_origin(value)? {
            ENVIRONMENT => {
                let variable = self.path.replace('.', "__").to_uppercase();
                Some(format!("environment {VARIABLE_PREFIX}{variable}"))
            }
            file => Some(file.to_owned()),
        }
    }
}

/// The origin of a value; merged sections have none of their own, so that of something inside.
fn first_origin(value: &Value) -> Option<&str> {
    value.origin().or_else(|| match &value.kind {
        ValueKind::Table(entries) => entries.values().find_map(first_origin),
        ValueKind::Array(items) => items.iter().find_map(first_origin),
        _ => None,
    })
}

/// One section of the settings being read. Its reader asks for each key that may stand in it.
pub(super) struct Section<'a> {
    place: Place,
    entries: BTreeMap<String, Value>,
    asked: Vec<&'static str>,
    origins: BTreeMap<&'static str, Option<String>>,
    report: &'a mut Report,
}

/// Reads the whole of the merged settings.
pub(super) fn read_all<T>(
    merged: Map<String, Value>,
    report: &mut Report,
    read: impl FnOnce(&mut Section) -> T,
) -> T {
    Section::enter(Place::default(), merged, report, read)
}

/// The keys of `value`, which stands at `place`; `None`, and a fault, if it isn't a section.
fn entries(place: &Place, value: Value, report: &mut Report) -> Option<Map<String, Value>> {
    let origin = place.origin(&value);
    match value.kind {
        ValueKind::Table(entries) => Some(entries),
        ValueKind::Nil => Some(Map::new()),
        other => {
            report.fault(origin, &place.path, format!("{} is not a section of keys", describe(&other)));
            None
        }
    }
}

impl Section<'_> {
    /// Reads the section of `entries` at `place`; what `read` leaves in it is unknown.
    fn enter<T>(
        place: Place,
        entries: Map<String, Value>,
        report: &mut Report,
        read: impl FnOnce(&mut Section) -> T,
    ) -> T {
        let entries = entries.into_iter().collect();
        let mut section = Section { place, entries, asked: Vec::new(), origins: BTreeMap::new(), report };
        let result = read(&mut section);
        section.close();
        result
    }

    fn close(self) {
        for (key, value) in self.entries {
            let origin = self.place.key(&key).origin(&value);
            self.report.stranger(origin, &self.place.path, key, self.asked.clone());
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        let value = self.entries.remove(key).filter(|value| value.kind != ValueKind::Nil)?;
        self.origins.insert(key, self.place.key(key).origin(&value));
        self.report.given(self.place.key(key).pattern);
        Some(value)
    }

    /// The value of `key` in the form that `accept` takes, or `default`.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        default: T,
        accept: impl FnOnce(&Given) -> Result<T, String>,
    ) -> T {
        self.optional(key, accept).unwrap_or(default)
    }

    /// The value of `key` in the form that `accept` takes, if it is given and right.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        accept: impl FnOnce(&Given) -> Result<T, String>,
    ) -> Option<T> {
        self.report.asked(self.place.key(key).pattern);
        let value = self.take(key)?;
        accept(&Given { value: &value }).map_err(|what| self.fault(key, what)).ok()
    }

    /// What `read` makes of the section `key`, which is empty if it isn't given.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section) -> T) -> T {
        let place = self.place.key(key);
        let given = self.take(key).and_then(|value| entries(&place, value, self.report));
        Section::enter(place, given.unwrap_or_default(), self.report, read)
    }

    /// What `read` makes of the section `key`, if it is given.
    pub(super) fn present<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section) -> T,
    ) -> Option<T> {
        let place = self.place.key(key);
        let given = self.take(key).and_then(|value| entries(&place, value, self.report))?;
        Some(Section::enter(place, given, self.report, read))
    }

    /// What becomes of each entry `key.NAME`, by name: `read` makes it of a section, `accept` of anything
    /// else. Those with faults are left out.
    pub(super) fn entries<T>(
        &mut self,
        key: &'static str,
        mut accept: impl FnMut(&Given) -> Result<T, String>,
        mut read: Option<impl FnMut(&mut Section) -> Option<T>>,
    ) -> BTreeMap<String, T> {
        let section = self.place.key(key);
        let given = self.take(key).and_then(|value| entries(&section, value, self.report));
        let mut results = BTreeMap::new();
        for (name, value) in given.unwrap_or_default() {
            let place = section.name(&name);
            self.report.asked(place.pattern.clone());
            self.report.given(place.pattern.clone());
            let origin = place.origin(&value);
            let result = match (value.kind, &mut read) {
                (ValueKind::Table(entries), Some(read)) => {
                    Section::enter(place, entries, self.report, |section| read(section))
                }
                (kind, _) => accept(&Given { value: &Value::new(None, kind) })
                    .map_err(|what| self.report.fault(origin, &place.path, what))
                    .ok(),
            };
            results.extend(result.map(|result| (name, result)));
        }
        results
    }

    /// What `read` makes of `entries` as if they stood here, in a file of their own.
    pub(super) fn beside<T>(
        &mut self,
        entries: Map<String, Value>,
        read: impl FnOnce(&mut Section) -> T,
    ) -> T {
        let place = Place { path: String::new(), pattern: self.place.pattern.clone() };
        Section::enter(place, entries, self.report, read)
    }

    /// What `read` makes of each section `key.NAME`, by name.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section, &str) -> T,
    ) -> Vec<T> {
        let place = self.place.key(key);
        let given = self.take(key).and_then(|value| entries(&place, value, self.report));
        let by_name: BTreeMap<String, Value> = given.unwrap_or_default().into_iter().collect();
        let mut results = Vec::with_capacity(by_name.len());
        for (name, value) in by_name {
            let place = place.name(&name);
            if let Some(entries) = entries(&place, value, self.report) {
                results.push(Section::enter(place, entries, self.report, |section| read(section, &name)));
            }
        }
        results
    }

    /// What `read` makes of each section of the list `[[key]]`.
    pub(super) fn list<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Section) -> T) -> Vec<T> {
        let place = self.place.key(key);
        let items = match self.take(key).map(|value| value.kind) {
            Some(ValueKind::Array(items)) => items,
            None => Vec::new(),
            Some(other) => {
                let what = format!("{} is not a list of sections, `[[{}]]`", describe(&other), place.path);
                self.fault(key, what);
                Vec::new()
            }
        };
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let place = place.item(index);
            if let Some(entries) = entries(&place, item, self.report) {
                results.push(Section::enter(place, entries, self.report, &mut read));
            }
        }
        results
    }

    /// Whether `key`, asked for before, is given, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// Records that `what` is wrong with `key`.
    pub(super) fn fault(&mut self, key: &str, what: impl Into<String>) {
        let origin = self.origins.get(key).cloned().flatten();
        self.report.fault(origin, &self.place.key(key).path, what);
    }

    /// Records that `what` is wrong with this section as a whole.
    pub(super) fn fault_here(&mut self, what: impl Into<String>) {
        let origin = self.origins.values().flatten().next().cloned();
        self.report.fault(origin, &self.place.path, what);
    }
}
