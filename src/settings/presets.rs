//! What is known of databases that many have: rules and checkpoints that come with highwater.

use config::{FileFormat, Format, Map, Value};

use super::faults::nearest;
use super::glob::Glob;
use super::reader::Section;
use super::units::{globs, one_or_more};
use super::{CheckpointSettings, TableSettings, tables, upgrade};

/// The presets, by name.
pub(super) const PRESETS: [(&str, &str); 2] = [
    ("wso2-carbon", include_str!("../../config/wso2-carbon.toml")),
    ("wso2-is", include_str!("../../config/wso2-is.toml")),
];

/// What a preset says of a database.
#[derive(Debug, Default)]
pub(super) struct Preset {
    pub(super) include: Option<Vec<Glob>>,
    pub(super) exclude: Option<Vec<Glob>>,
    pub(super) tables: Vec<TableSettings>,
    pub(super) checkpoints: Vec<CheckpointSettings>,
}

/// Reads `preset`, and those that it names.
pub(super) fn read(section: &mut Section) -> Preset {
    let names = section.read("preset", Vec::new(), one_or_more);
    let mut all = Preset::default();
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            section.fault("preset", format!("names {name:?} twice"));
        } else if let Some((name, text)) = PRESETS.iter().find(|(known, _)| known == name) {
            all.add(read_one(section, name, text));
        } else {
            let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
            let hint = nearest(name, known.iter().copied());
            let hint = hint.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            section.fault(
                "preset",
                format!("no preset is called {name:?}; there are: {}{hint}", known.join(", ")),
            );
        }
    }
    all
}

fn read_one(section: &mut Section, name: &str, text: &str) -> Preset {
    let origin = format!("preset {name}");
    let entries: Map<String, Value> = match FileFormat::Toml.parse(Some(&origin), text) {
        Ok(entries) => entries,
        Err(error) => {
            section.fault("preset", format!("{name} can't be read: {error}"));
            return Preset::default();
        }
    };
    section.beside(entries, |section| Preset::read(section, name))
}

impl Preset {
    fn read(section: &mut Section, name: &str) -> Preset {
        let mut tables = tables::read_all(section);
        for table in &mut tables {
            table.preset = Some(name.to_owned());
        }
        Preset {
            include: section.optional("include", globs),
            exclude: section.optional("exclude", globs),
            tables,
            checkpoints: upgrade::read_checkpoints(section),
        }
    }

    fn add(&mut self, other: Preset) {
        let join = |one: &mut Option<Vec<Glob>>, more: Option<Vec<Glob>>| {
            if let Some(more) = more {
                one.get_or_insert_default().extend(more);
            }
        };
        join(&mut self.include, other.include);
        join(&mut self.exclude, other.exclude);
        self.tables.extend(other.tables);
        self.checkpoints.extend(other.checkpoints);
    }
}
