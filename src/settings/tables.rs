//! The keys of what is said of one table.

use std::collections::BTreeMap;
use std::time::Duration;

use super::expressions::{expression, over_changed, source_expression, steady, steady_expression};
use super::reader::Section;
use super::units::{choice, column, columns, command, conditions, duration, lossy, share, text};
use super::{ColumnSettings, Given, IntoSettings, TableSettings, TransformSettings};
use crate::model::{Fidelity, On, OnDelete};

/// How long a command may take for one batch unless the settings say it.
const TRANSFORM_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads the list of tables. Those without a name are left out, and a fault.
pub(super) fn read_all(section: &mut Section) -> Vec<TableSettings> {
    let tables: Vec<TableSettings> =
        section.list("table", TableSettings::read).into_iter().flatten().collect();
    for (at, table) in tables.iter().enumerate() {
        let is_said_again = tables[at + 1..].iter().any(|later| later.name == table.name);
        if is_said_again && table.when.is_empty() {
            let what = format!(
                "says something of {:?} twice; of several for one table all but the last need `when`",
                table.name
            );
            section.fault("table", what);
        }
    }
    tables
}

impl TableSettings {
    fn read(section: &mut Section) -> Option<TableSettings> {
        let name = section.optional("name", text);
        if !section.has("name") {
            section.fault("name", "is missing; write the name of a source table");
        }
        let deletes = [("delete", OnDelete::Delete), ("keep", OnDelete::Keep)];
        let table = TableSettings {
            name: name.clone().unwrap_or_default(),
            preset: None,
            when: section.read("when", Vec::new(), conditions),
            target: section.optional("target", text),
            key: section.read("key", Vec::new(), columns),
            filter: section.optional("where", source_expression),
            drop: section.read("drop", Vec::new(), columns),
            on_delete: section.read("on_delete", OnDelete::Delete, choice(&deletes)),
            external: section.read("external", Vec::new(), columns),
            columns: read_columns(section),
            into: section.list("into", IntoSettings::read).into_iter().flatten().collect(),
            transform: section.present("transform", TransformSettings::read).flatten(),
            origin_share: section.optional("origin_share", share),
        };
        table.check(section);
        name.map(|_| table)
    }

    /// Faults a target column that is given its value twice.
    fn check(&self, section: &mut Section) {
        let fills = self.transform.iter().flat_map(|transform| &transform.fills);
        let twice = |column: &&String| self.columns.contains_key(*column);
        let faults: Vec<(&str, String)> = [
            self.external.iter().find(twice).map(|column| ("external", column.clone())),
            fills.clone().find(twice).map(|column| ("transform", column.clone())),
        ]
        .into_iter()
        .flatten()
        .collect();
        for (key, column) in faults {
            section.fault(key, format!("names {column:?}, which `columns` gives a value; leave one out"));
        }
        if let Some(column) = fills.clone().find(|column| self.external.contains(column)) {
            section.fault("transform", format!("fills {column:?}, which is `external`; leave one out"));
        }
    }
}

fn read_columns(section: &mut Section) -> BTreeMap<String, ColumnSettings> {
    let plain = |given: &super::reader::Given| {
        let given = Given::Column(column(given)?);
        Ok(ColumnSettings { given, on: On::Always, fidelity: Fidelity::Exact })
    };
    section.entries("columns", plain, Some(ColumnSettings::read))
}

impl ColumnSettings {
    fn read(section: &mut Section) -> Option<ColumnSettings> {
        let source = section.optional("source", source_expression);
        let target = section.optional("target", expression);
        let moments = [("always", On::Always), ("insert", On::Insert)];
        let on = section.read("on", On::Always, choice(&moments));
        if let Some(fault) = target.as_deref().filter(|_| on == On::Always).and_then(|sql| steady(sql).err())
        {
            section.fault("target", fault);
        }
        let fidelity = section.read("lossy", Fidelity::Exact, lossy);
        match (section.has("source"), section.has("target")) {
            (true, true) => {
                section.fault("target", "stands beside `source`; leave one of them out");
                return None;
            }
            (false, false) if section.has("lossy") => {
                return Some(ColumnSettings { given: Given::SameName, on, fidelity });
            }
            (false, false) => {
                section.fault_here(
                    "has no value; write the name of a source column, { source = \"SQL on the source row\" } \
                     or { target = \"SQL over changed\" }",
                );
                return None;
            }
            _ => {}
        }
        let given = source.map(Given::Source).or(target.map(Given::Target))?;
        Some(ColumnSettings { given, on, fidelity })
    }
}

impl IntoSettings {
    fn read(section: &mut Section) -> Option<IntoSettings> {
        let target = section.optional("target", text);
        let none = None::<fn(&mut Section) -> Option<String>>;
        let matches = section.entries("match", steady_expression, none);
        let select = section.optional("select", over_changed);
        for (key, form) in [
            ("target", "the name of a target table"),
            ("match", "{ COLUMN = \"SQL over changed\" }, which says whose a row is"),
            ("select", "the rows as SQL over `changed`"),
        ] {
            if !section.has(key) {
                section.fault(key, format!("is missing; write {form}"));
            }
        }
        if section.has("match") && matches.is_empty() {
            section.fault("match", "names no column, so that nothing says whose a row is");
        }
        Some(IntoSettings { target: target?, matches, select: select? })
    }
}

impl TransformSettings {
    fn read(section: &mut Section) -> Option<TransformSettings> {
        let command = section.optional("command", command);
        if !section.has("command") {
            section.fault("command", "is missing; write the program and its arguments as a list");
        }
        let fills = section.read("fills", Vec::new(), columns);
        let range = Duration::from_secs(1)..=Duration::from_secs(3600);
        let timeout = section.read("timeout", TRANSFORM_TIMEOUT, duration(range));
        Some(TransformSettings { command: command?, fills, timeout })
    }
}
